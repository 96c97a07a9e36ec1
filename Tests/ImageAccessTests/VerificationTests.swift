import DataSets
import FrozenImage
import Glibc
import HostSystem
import ImageAccess
import ImageFixtures
import LogicalRepresentation
import StackProvider
import SystemPackage
import Testing
import VerifiedReading

/// With real bytes on a real medium, which is a file.
@Suite(.enabled(if: ExtDisk.isPossible)) struct VerificationTests {
  let disk: ExtDisk
  let file: FilePath

  init() throws {
    disk = try ExtDisk()
    file = disk.directory.path.appending("image.floe")
    let freezer = try StackFreezer(
      StackPlace(
        start: .path(disk.path.string), selectors: [], physicalVolumes: [], assumesFrozen: false))
    _ = try freezer.describe(
      FrozenImageLabel(
        id: .random(), name: "disk", created: .now, host: HostName.current,
        source: disk.path.string, service: ""),
      scratch: FileScratch(writing: file), progress: { _ in })
  }

  private func verify(
    threads: Int, before: () throws -> Void = {}
  ) throws -> VerificationManifest {
    let image = try OpenedImage(
      ImageSource(file.string), cache: disk.directory.path.string, mountpoint: nil,
      connect: { (_) throws(ServiceError) in throw .refused("the file names no service") })
    let root = try image.root(nil)
    var request = ReaderRequest()
    request.readsEveryCopy = true
    request.remapTimeout = 1
    let medium = image.representation.volumes[0].media[0]
    request.media = ["\(medium.id)": disk.path.string]
    let taken = TakenMedia()
    let reader = try request.makeReader(of: image, volume: image.volume(of: root), taken: taken)
    #expect(taken.report().map(\.path) == [disk.path.string])
    try before()
    let began = Timestamp.now
    let findings = Verification(reader).run(below: root.node, threads: threads) { _ in }
    #expect(findings.failure == nil)
    return VerificationManifest(
      image.representation, try image.volume(of: root), reader.status, findings, began: began)
  }

  @Test(arguments: [1, 8]) func everyByteIsRead(threads: Int) throws {
    let manifest = try verify(threads: threads)
    #expect(manifest.files == UInt64(FileTree.files.count))
    #expect(manifest.bytes == UInt64(FileTree.files.map(\.bytes.count).reduce(0, +)))
    #expect(manifest.mismatch_count == 0 && manifest.unreadable_count == 0)
    #expect(manifest.image == "disk" && manifest.data_checksums == "none")
    #expect(manifest.ended_seconds >= manifest.began_seconds)
  }

  @Test func filesThatCannotBeReadAreNamed() throws {
    // Nobody can tell any more whether the bytes are the frozen ones.
    let manifest = try verify(threads: 4) { try disk.use() }
    let withBytes = FileTree.files.filter { !$0.bytes.isEmpty }.map(\.path)
    #expect(manifest.unreadable_count == withBytes.count)
    #expect(Set(manifest.unreadable.map(\.path)).subtracting(withBytes + ["/again"]).isEmpty)
    #expect(manifest.unreadable.map(\.path) == manifest.unreadable.map(\.path).sorted())
  }

  @Test func aKeySignsWhatOpensslChecks() throws {
    let place = disk.directory.path
    try shell(
      """
      cd '\(place)'; openssl ecparam -name prime256v1 -genkey -out key.pem
      openssl ec -in key.pem -pubout -out public.pem 2>/dev/null; printf manifest >manifest
      """)
    let signature = try SigningKey(path: "\(place)/key.pem").signature(of: Array("manifest".utf8))
    let target = try FileDescriptor.open(
      place.appending("manifest.sig"), .writeOnly, options: .create, permissions: .ownerReadWrite)
    _ = try target.closeAfter { try target.writeAll(signature) }
    try shell(
      "cd '\(place)'; openssl dgst -sha256 -verify public.pem -signature manifest.sig manifest >/dev/null"
    )
    #expect(throws: Failure.self) { try SigningKey(path: "\(place)/public.pem") }
    #expect(throws: Failure.self) { try SigningKey(path: "\(place)/none") }
  }
}
