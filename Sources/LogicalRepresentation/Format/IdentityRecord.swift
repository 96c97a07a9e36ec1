public import FrozenImage

/// By what people and tools know a node: where the image's nodes are copies that floe made,
/// the original's. A backup tool that sees them decides that nothing changed.
public struct NodeIdentity: Hashable, Sendable {
  /// The inode number.
  public var inode: UInt64
  /// `st_nlink`, at least 1.
  public var links: UInt32
  /// `st_ctim`.
  public var changed: Timestamp
  /// The birth time, where the source keeps one.
  public var created: Timestamp?
  /// Inode flags (`FS_IOC_GETFLAGS`).
  public var inodeFlags: UInt64

  public init(
    inode: UInt64, links: UInt32, changed: Timestamp, created: Timestamp?, inodeFlags: UInt64
  ) {
    self.inode = inode
    self.links = links
    self.changed = changed
    self.created = created
    self.inodeFlags = inodeFlags
  }

  /// The identity in a node's own attributes.
  public init(_ attributes: NodeAttributes) {
    self.init(
      inode: attributes.inode, links: attributes.links, changed: attributes.changed,
      created: attributes.created, inodeFlags: attributes.inodeFlags)
  }

  /// Of a copy whose original is not known: no original has a number with this bit, and no
  /// other copy this number.
  init(unknownOriginalOf attributes: NodeAttributes) {
    self.init(attributes)
    inode |= Self.withoutOriginal
  }

  /// File systems of Linux number their inodes below this.
  private static let withoutOriginal: UInt64 = 1 << 62

  /// What is wrong with the identity, so that no representation can hold it; `nil` when
  /// nothing is.
  var problem: String? {
    if inode == 0 || inode > UInt64(Int64.max) { return "it is shown with a number out of range" }
    if links == 0 { return "it is shown without a link" }
    for time in [changed, created ?? changed] where time.nanoseconds >= 1_000_000_000 {
      return "a time that it is shown with is malformed"
    }
    return nil
  }
}

extension NodeAttributes {
  /// These attributes with another identity.
  func shown(as identity: NodeIdentity) -> NodeAttributes {
    var shown = self
    shown.inode = identity.inode
    shown.links = identity.links
    shown.changed = identity.changed
    shown.created = identity.created
    shown.inodeFlags = identity.inodeFlags
    return shown
  }
}

/// What a node is shown with in place of what its own record says; one for each node, in the
/// order of the nodes.
struct IdentityRecord: Record {
  static let size = 48
  static let noun = "identity"

  /// Stands where nanoseconds would, for a birth time that is not known.
  private static let noTime = UInt32.max

  var identity: NodeIdentity

  init(_ identity: NodeIdentity) {
    self.identity = identity
  }

  init(_ fields: inout FieldReader) {
    let inode: UInt64 = fields.next()
    let flags: UInt64 = fields.next()
    let changed: Int64 = fields.next()
    let created: Int64 = fields.next()
    let changedFraction: UInt32 = fields.next()
    let createdFraction: UInt32 = fields.next()
    let links: UInt32 = fields.next()
    fields.skip(4)
    identity = NodeIdentity(
      inode: inode, links: links,
      changed: Timestamp(seconds: changed, nanoseconds: changedFraction),
      created: createdFraction == Self.noTime
        ? nil : Timestamp(seconds: created, nanoseconds: createdFraction),
      inodeFlags: flags)
  }

  func write(to fields: inout FieldWriter) {
    fields.put(identity.inode)
    fields.put(identity.inodeFlags)
    fields.put(identity.changed.seconds)
    fields.put(identity.created?.seconds ?? 0)
    fields.put(identity.changed.nanoseconds)
    fields.put(identity.created?.nanoseconds ?? Self.noTime)
    fields.put(identity.links)
    fields.put(UInt32(0))
  }
}
