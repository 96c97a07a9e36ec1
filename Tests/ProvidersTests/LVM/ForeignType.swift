import Testing

/// A segment type that floe does not map, in text that lvm2 takes.
struct ForeignType: Sendable, CustomTestStringConvertible {
  let type: String
  let reason: String
  /// The logical volumes of a group; the one of this type is called root.
  let volumes: [String]
  var testDescription: String { type }

  /// - Parameters:
  ///   - body: what the segment has beside its type and extents.
  ///   - parts: linear volumes that it is made of, with their places.
  ///   - others: volumes that it is made of and that are not linear.
  ///   - extents: its own; each part has four.
  init(
    _ type: String, _ body: String, _ reason: String, parts: [(String, String)] = [],
    others: [String] = [], extents: Int = 4
  ) {
    self.type = type
    self.reason = reason
    volumes =
      [VolumeText.volume("root", VolumeText.segment(type, extents: 0..<extents, body))]
      + parts.map { name, place in
        VolumeText.volume(
          name, isVisible: false, VolumeText.segments("striped", [place], extents: 4))
      } + others
  }

  var refusal: String {
    "the logical volume vg/root has a segment (segment1) of type \(type), which floe cannot map: "
      + reason
  }

  static let all = [
    ForeignType(
      "mirror",
      "mirror_count = 2\nregion_size = 128\nmirrors = [\"root_mimage_0\", 0, \"root_mimage_1\", 0]",
      "only the kernel knows which leg is in sync; lvconvert --type raid1 changes that",
      parts: [("root_mimage_0", "pv0 20"), ("root_mimage_1", "pv1 20")]),
    ForeignType(
      "vdo", "vdo_pool = \"pool\"\nvdo_offset = 0",
      "its data are compressed and deduplicated", parts: [("pool_vdata", "pv0 20")],
      others: [pool("vdo-pool", vdoPool)]),
    ForeignType(
      "thin-pool",
      "metadata = \"pool_tmeta\"\npool = \"pool_tdata\"\ntransaction_id = 0\nchunk_size = 128",
      "the pool's own metadata hold its places", parts: thinParts),
    ForeignType(
      "cache", "cache_pool = \"pool\"\norigin = \"root_corig\"",
      "the newest data may lie in the cache",
      parts: [("root_corig", "pv0 20"), ("pool_cdata", "pv1 20"), ("pool_cmeta", "pv1 30")],
      others: [
        pool(
          "cache-pool",
          """
          data = "pool_cdata"
          metadata = "pool_cmeta"
          metadata_format = 2
          chunk_size = 128
          cache_mode = "writeback"
          policy = "smq"
          policy_settings {
          }
          """)
      ]),
    ForeignType(
      "writecache",
      "origin = \"root_wcorig\"\nwritecache = \"fast_cvol\"\nwritecache_block_size = 4096",
      "the newest data may lie in the cache",
      parts: [("root_wcorig", "pv0 20"), ("fast_cvol", "pv1 20")]),
  ]

  private static let vdoPool = """
    data = "pool_vdata"
    header_size = 0
    virtual_extents = 4
    use_compression = 1
    use_deduplication = 1
    use_metadata_hints = 0
    minimum_io_size = 4096
    block_map_cache_size_mb = 128
    block_map_era_length = 16380
    use_sparse_index = 0
    index_memory_size_mb = 256
    max_discard = 1
    slab_size_mb = 2048
    ack_threads = 1
    bio_threads = 4
    bio_rotation = 64
    cpu_threads = 2
    hash_zone_threads = 1
    logical_threads = 1
    physical_threads = 1
    write_policy = "auto"
    """
  private static let thinParts = [("pool_tmeta", "pv0 20"), ("pool_tdata", "pv1 20")]

  private static func pool(_ type: String, _ body: String) -> String {
    VolumeText.volume(
      "pool", isVisible: false, VolumeText.segment(type, extents: 0..<4, body))
  }
}
