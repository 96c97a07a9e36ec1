import Glibc

/// A backup host's network: a namespace of its own, joined to the production host's by
/// a line that can be cut, made narrow, late, and broken.
///
/// The service listens on the loopback address only, as long as it has no TLS. So a
/// relay at each end carries its connections over the line, as a tunnel would.
final class BackupNetwork {
  /// A command in the namespace is this and then the command.
  let prefix: [String]
  private let name: String
  /// The line's end on the production host's side.
  private let near: String
  private let control: String

  /// - Parameters:
  ///   - number: 0 to 63, another one for each network of a test.
  ///   - port: where the service listens, on the loopback address of both sides.
  init(_ number: Int, port: Int, in scratch: Scratch) throws {
    name = "floe\(getpid())n\(number)"
    near = "fl\(getpid() % 100_000)n\(number)"
    let far = "\(near)f"
    prefix = ["nsenter", "--net=/run/netns/\(name)"]
    control = "\(scratch.path)/\(name).control"
    // From the block for tests between networks (RFC 2544).
    let address = (near: "198.18.\(number).1", far: "198.18.\(number).2")
    try run("ip", ["netns", "add", name])
    try run("ip", ["link", "add", near, "type", "veth", "peer", "name", far, "netns", name])
    try run("ip", ["address", "add", "\(address.near)/30", "dev", near])
    try run("ip", ["link", "set", near, "up"])
    try run("ip", ["-n", name, "address", "add", "\(address.far)/30", "dev", far])
    try run("ip", ["-n", name, "link", "set", far, "up"])
    try run("ip", ["-n", name, "link", "set", "lo", "up"])
    try behave()
    let relay = "\(Floe.repository)/Tests/EndToEndTests/network/relay"
    let relays = [
      try scratch.start(relay, ["\(address.near):\(port)", "127.0.0.1:\(port)", control]),
      try scratch.start(
        prefix[0],
        prefix[1...] + [relay, "127.0.0.1:\(port)", "\(address.near):\(port)", control]),
    ]
    try waitUntil("the relays listen") {
      if let ended = relays.first(where: \.hasEnded) { throw HarnessError(ended.errors) }
      return relays.allSatisfy { $0.output == "listening\n" }
    }
  }

  deinit {
    _ = try? attempt("ip", ["link", "delete", near])
    _ = try? attempt("ip", ["netns", "delete", name])
  }

  /// Lets nothing through the line, without a word to either end.
  func cut() throws {
    try inside(
      "nft",
      "add table inet cut; add chain inet cut in { type filter hook input priority 0; };"
        + "add rule inet cut in iifname != lo drop")
  }

  func heal() throws { try inside("nft", "delete table inet cut") }

  /// Makes the line as narrow as this, both ways.
  func narrow(megabits: Int) throws {
    let shape = ["tbf", "rate", "\(megabits)mbit", "burst", "32k", "latency", "50ms"]
    try run("tc", ["qdisc", "add", "dev", near, "root"] + shape)
    try inside("tc", arguments: ["qdisc", "add", "dev", "\(near)f", "root"] + shape)
  }

  func widen() throws {
    try run("tc", ["qdisc", "delete", "dev", near, "root"])
    try inside("tc", arguments: ["qdisc", "delete", "dev", "\(near)f", "root"])
  }

  /// - Parameters:
  ///   - late: milliseconds that everything is late in each relay.
  ///   - reset: chunks after which a connection is reset; 0 for never.
  func behave(late: Int = 0, reset: Int = 0) throws {
    try writeFile(control, Array("\(late) \(reset)\n".utf8))
  }

  private func inside(_ program: String, _ words: String..., arguments: [String] = []) throws {
    try run(prefix[0], prefix[1...] + [program] + words + arguments)
  }
}
