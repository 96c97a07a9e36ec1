package import FrozenImage

extension NodeAttributes {
  /// Whether a file with these attributes is, as far as they tell, still the one with
  /// the other ones: every write and every change of metadata sets the change time,
  /// and a number that is used again has another generation.
  package func isUnchanged(since then: NodeAttributes) -> Bool {
    inode == then.inode && generation == then.generation && mode == then.mode
      && size == then.size && changed == then.changed && inodeFlags == then.inodeFlags
  }

  /// How a node with these attributes is opened.
  package var format: TreeMount.FileFormat {
    switch type {
    case .regular: .regular
    case .directory: .directory
    default: .other
    }
  }
}
