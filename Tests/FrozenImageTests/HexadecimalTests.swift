import FrozenImage
import Testing

@Suite struct HexadecimalTests {
  @Test func everyByteIsTwoDigits() {
    let all = Array(UInt8.min...UInt8.max)
    #expect([0x00, 0x0a, 0xf0, 0xff].hexadecimal == "000af0ff")
    #expect([UInt8](hexadecimal: all.hexadecimal) == all)
    #expect([UInt8](hexadecimal: all.hexadecimal.uppercased()) == all)
    #expect([UInt8](hexadecimal: "") == [])
  }

  @Test(arguments: ["0", "000", "0g", "+1", "1 ", "0x", "é", "１２"])
  func anythingElseIsRefused(_ text: String) {
    #expect([UInt8](hexadecimal: text) == nil)
  }

  /// Bytes are copied, not taken for digits.
  @Test func bytesStayBytes() {
    let bytes: ArraySlice<UInt8>? = [0x31, 0x32]
    let copied: [UInt8]? = bytes.map(Array.init)
    #expect(copied == [0x31, 0x32])
  }
}
