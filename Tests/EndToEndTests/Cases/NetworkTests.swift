import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// Backup hosts in networks of their own, over lines that fail.
  @Suite(
    "Networks", .tags(.needsRoot, .needsLoopDevices, .needsFUSE, .needsNetworkNamespaces, .slow))
  struct Networks {
    @Test("Two backup hosts read over TCP while their lines are cut, narrow, late and reset")
    func badLines() async throws {
      let site = try Site(.raid0, megabytes: 1024, serves: false) { try $0.buildSmall() }
      let port = Int.random(in: 20_000..<30_000)
      try site.production.serve(on: port)
      let networks = try (0..<2).map { try BackupNetwork($0, port: port, in: site.scratch) }
      let hosts = try networks.enumerated().map { number, network in
        try BackupHost(
          "floe://127.0.0.1:\(port)/\(Site.image)",
          media: site.volume.devices.map { ($0.medium, $0.loop) },
          options: ["--remap-timeout", "3"], within: network.prefix, in: site.scratch,
          name: "backup-\(number)")
      }
      var verifiers = try hosts.map { try site.verifier($0) }
      let mover = try site.mover()
      try mover.waitForTurns(1)
      for tally in try await readAtOnce(&verifiers, pieces: [100, 100]) {
        #expect(tally.failures == 0, "\(tally)")
      }

      // One line is cut: its host's reads fail once everything moved, the other's do not.
      try networks[0].cut()
      try mover.waitForTurns(2)
      let tallies = try await readAtOnce(&verifiers, pieces: [3, 200])
      #expect(tallies[0].failed == [EIO: 3], "\(tallies[0])")
      #expect(tallies[1].failures == 0, "\(tallies[1])")
      try networks[0].heal()
      try waitUntil("reads go on") { try verifiers[0].read(pieces: 3).failures == 0 }

      // A narrow, late line makes reads slow, which may cost them the timeout; never wrong.
      try networks[0].narrow(megabits: 4)
      try networks[0].behave(late: 20)
      #expect(try await readAtOnce(&verifiers, pieces: [10, 200])[1].failures == 0)
      try networks[0].widen()

      // Connections that break in the middle of answers.
      try networks[0].behave(reset: 7)
      #expect(try await readAtOnce(&verifiers, pieces: [10, 100])[1].failures == 0)
      try networks[0].behave()
      try waitUntil("reads go on") { try verifiers[0].read(pieces: 3).failures == 0 }
      for tally in try await readAtOnce(&verifiers, pieces: [200, 200]) {
        #expect(tally.failures == 0, "\(tally)")
      }

      try mover.stop()
      for host in hosts {
        #expect(try host.status().remaps > 0)
        try host.unmount()
      }
    }

    /// Lets every host read at the same time.
    private func readAtOnce(
      _ verifiers: inout [Verifier], pieces: [Int]
    ) async throws -> [Verifier.Tally] {
      let results = try await withThrowingTaskGroup(
        of: (Int, Verifier, Verifier.Tally).self
      ) { [verifiers] group in
        for (index, verifier) in verifiers.enumerated() {
          group.addTask {
            var verifier = verifier
            let tally = try verifier.read(pieces: pieces[index])
            return (index, verifier, tally)
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }
      }
      for (index, verifier, _) in results { verifiers[index] = verifier }
      return results.map { $0.2 }
    }
  }
}
