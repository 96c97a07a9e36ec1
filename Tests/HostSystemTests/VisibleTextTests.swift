import FrozenImage
import HostSystem
import Testing

@Suite struct VisibleTextTests {
  @Test(arguments: [
    ("plain “text” Tänk 日本", "plain “text” Tänk 日本"),
    ("a\u{1B}[31mb\nc\r\td", "a\\x1B[31mb\\nc\\r\\td"),
    ("\u{0}\u{7}\u{7F}\u{9B}2J\u{85}", "\\x00\\x07\\x7F\\x9B2J\\x85"),
    ("gpj.\u{202E}exe\u{2028}\u{2066}", "gpj.\\u{202e}exe\\u{2028}\\u{2066}"),
  ])
  func whatATerminalObeysIsEscaped(text: String, shown: String) {
    #expect(VisibleText.line(text) == shown)
  }

  @Test func aByteThatIsNotUTF8IsShown() {
    #expect(VisibleText.line(PathText.text(of: [0x63, 0xE9, 0x2F])) == "c\\xE9/")
  }

  @Test func linesOfAReportStayLines() {
    #expect(VisibleText.page(["label  a\nb", "end"]) == "label  a\\nb\nend")
  }

  @Test(arguments: [
    ("/dev/sdb", "/dev/sdb"), ("/srv/a b", "'/srv/a b'"), ("it's", "'it'\\''s'"), ("", "''"),
    ("/srv/é", "'/srv/é'"), ("a'\u{1B}b\\", "$'a\\'\\x1Bb\\\\'"),
  ])
  func wordsOfAShell(text: String, word: String) {
    #expect(VisibleText.shellWord(text) == word)
  }

  @Test func theShellReadsThemBack() throws {
    for bytes in [[0x61, 0xE9, 0x31, 0x27, 0x5C], Array("a b'\u{1B}\n9".utf8)] as [[UInt8]] {
      let word = VisibleText.shellWord(PathText.text(of: bytes))
      let check = "[ \"$(printf %s \(word) | od -An -tx1 | tr -d ' \\n')\" = \"$0\" ]"
      let hexadecimal = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      #expect(ChildProcess.run("bash", ["bash", "-c", check, hexadecimal]) == 0, "\(word)")
    }
  }
}
