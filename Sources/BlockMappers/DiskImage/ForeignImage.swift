package import DataSets
package import VolumeLayers

/// A file format that keeps a disk or anything else inside, and that floe does not read.
package struct ForeignImage {
  /// With an article.
  package let name: String
  /// What to do.
  package let advice: String

  /// Looks for the magic number of a format at its place.
  ///
  /// - Throws: `StackError` when the layer cannot be read.
  package static func find(on layer: Layer) throws(StackError) -> ForeignImage? {
    let head = try layer.bytes(at: 0, count: Int(min(layer.size, 512)))
    func begins(_ magic: [UInt8], at offset: Int = 0) -> Bool {
      head.count >= offset + magic.count && head[offset..<offset + magic.count] == magic[...]
    }
    if begins(Qcow2Header.magic) {
      return ForeignImage(
        name: "a qcow2 image in a place where none is looked for",
        advice: "name the device or file that it begins on, with --format qcow2")
    }
    if let format = disks.first(where: { begins($0.magic, at: $0.offset) }) {
      return ForeignImage(
        name: "\(format.name), which floe does not read",
        advice: "qemu-img convert -f \(format.qemu) -O qcow2 makes one that it does")
    }
    if let format = archives.first(where: { begins($0.magic) }) {
      return ForeignImage(name: "compressed with \(format.name)", advice: "unpack it first")
    }
    return nil
  }

  /// The formats of disk images, by QEMU's name (QEMU, block/vmdk.c, vhdx.c, vdi.c, vpc.c,
  /// qed.h, parallels.c).
  private static let disks: [(magic: [UInt8], offset: Int, name: String, qemu: String)] = [
    (Array("KDMV".utf8), 0, "a VMDK image", "vmdk"),
    (Array("COWD".utf8), 0, "a VMDK image", "vmdk"),
    (Array("# Disk DescriptorFile".utf8), 0, "a VMDK image", "vmdk"),
    (Array("vhdxfile".utf8), 0, "a VHDX image", "vhdx"),
    ([0x7F, 0x10, 0xDA, 0xBE], 64, "a VDI image", "vdi"),
    (Array("conectix".utf8), 0, "a VHD image", "vpc"),
    (Array("QED\0".utf8), 0, "a QED image", "qed"),
    (Array("WithoutFreeSpace".utf8), 0, "a Parallels image", "parallels"),
    (Array("WithouFreSpacExt".utf8), 0, "a Parallels image", "parallels"),
  ]

  private static let archives: [(magic: [UInt8], name: String)] = [
    ([0x1F, 0x8B], "gzip"), (Array("BZh".utf8), "bzip2"),
    ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], "xz"), ([0x28, 0xB5, 0x2F, 0xFD], "zstd"),
    ([0x04, 0x22, 0x4D, 0x18], "lz4"), ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], "7z"),
    ([0x50, 0x4B, 0x03, 0x04], "zip"),
  ]
}
