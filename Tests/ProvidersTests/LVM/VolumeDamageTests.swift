import Testing

@testable import BlockMappers
@testable import DataSets
@testable import FrozenImage
@testable import VolumeLayers

extension LVMTests {
  /// Bytes that are damaged one by one give an error, or the very same map.
  @Suite struct Damage {
    /// Label, metadata area header and text, with the volume intact.
    private let bytes: [UInt8]
    private let map: LayerMap

    init() throws {
      let disks = try LVMDisks(1)
      try disks.makeGroup()
      try disks.makeVolume("root", "-l 7 vg")
      try disks.makeVolume("var", "-l 3 vg")
      try disks.lvm("lvextend -l +5 vg/root")
      bytes = try contents(of: Array(disks.images[0].utf8))
      let group = try LVMDisks.group(on: [Layer(ArrayMedium(bytes))])
      map = try group.map(group.choose("root"))
    }

    private func expectRefusalOrSameMap(_ medium: ArrayMedium, _ comment: String) {
      do {
        let group = try LVMDisks.group(on: [Layer(medium)])
        let found = try group.map(group.choose("root"))
        #expect(found.runs == map.runs && found.witness == map.witness, "\(comment)")
      } catch is StackError {
        return
      } catch {
        Issue.record(error)
      }
    }

    @Test func everyByteThatIsChecked() throws {
      let header = Array(bytes[4096..<4608])
      let (offset, size) = header.withUnsafeBytes { bytes in
        (bytes.number(at: 40) ?? UInt64(0), bytes.number(at: 48) ?? UInt64(0))
      }
      let text = 4096 + Int(offset)..<4096 + Int(offset + size)
      #expect(text.count > 1000)
      let medium = ArrayMedium(bytes)
      for place in [Array(0..<2048), Array(4096..<4608), Array(text)].joined() {
        for mask: UInt8 in [0x01, 0x80, 0xFF] {
          medium.flip(mask, at: place)
          expectRefusalOrSameMap(medium, "byte \(place)")
          medium.flip(mask, at: place)
        }
      }
    }

    /// The same with checksums that are right, so that what is behind them is reached.
    @Test func everyByteOfLabelAndHeader() throws {
      for place in 512 + 20..<1024 {
        for mask: UInt8 in [0x01, 0x80, 0xFF] {
          var sector = Array(bytes[512..<1024])
          sector[place - 512] ^= mask
          let medium = ArrayMedium(bytes)
          medium.write(sector, at: 512, checksumAt: 16, from: 20)
          expectNoTrap(medium)
        }
      }
      for place in 4096 + 4..<4096 + 128 {
        for mask: UInt8 in [0x01, 0x80, 0xFF] {
          var header = Array(bytes[4096..<4608])
          header[place - 4096] ^= mask
          let medium = ArrayMedium(bytes)
          medium.write(header, at: 4096, checksumAt: 0, from: 4)
          expectNoTrap(medium)
        }
      }
    }

    private func expectNoTrap(_ medium: ArrayMedium) {
      do {
        let group = try LVMDisks.group(on: [Layer(medium)])
        let found = try group.map(group.choose("root"))
        #expect(found.runs == map.runs)
      } catch is StackError {
        return
      } catch {
        Issue.record(error)
      }
    }
  }
}
