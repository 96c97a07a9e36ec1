import FrozenImage
import Testing

@testable import BlockMappers
@testable import DataSets

@Suite struct MetadataParserTests {
  private func parse(_ text: String) throws -> MetadataSection {
    try MetadataParser.parse(Array(text.utf8))
  }

  private func expectRefusal(
    _ text: String, _ reason: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(throws: StackError(.malformed, reason), sourceLocation: sourceLocation) {
      try parse(text)
    }
  }

  @Test func everyKindOfValue() throws {
    let text = try parse(
      """
      # a comment, with { and "
      vg { # after a brace
      \tid="x" seqno=17\tnegative = -5 octal = 010 plus=+7
        float = 1.5 bare = .25
        list = [ "a", 'b\\', 3
          # inside
        , 4.0,]
        nothing = []
        inner{}}
      'quoted key'=1
      """.replacing("quoted key", with: "quoted-key"))
    let vg = try text.section("vg")
    #expect(try vg.string("id") == "x")
    #expect(try vg.integer("seqno") == 17)
    #expect(try vg.integer("octal") == 8)
    #expect(try vg.integer("plus") == 7)
    #expect(try vg.array("negative") == [.integer(-5)])
    #expect(try vg.array("float") == [.float(1.5)])
    #expect(try vg.array("bare") == [.float(0.25)])
    #expect(try vg.array("list") == [.string("a"), .string("b\\"), .integer(3), .float(4)])
    #expect(try vg.array("nothing") == [])
    #expect(try vg.section("inner").keys.isEmpty)
    #expect(try text.integer("quoted-key") == 1)
    #expect(text.sections.map(\.key) == ["vg"])
  }

  @Test func escapes() throws {
    let text = try parse(#"a = "say \"no\" to C:\\path \n" b = 'raw \" here'"#)
    #expect(try text.string("a") == #"say "no" to C:\path \n"#)
    #expect(try text.string("b") == #"raw \" here"#)
  }

  /// A zero byte ends the text, as it ends lvm2's.
  @Test func zeroByte() throws {
    let text = try MetadataParser.parse(Array("a = 1\n\0 } garbage".utf8))
    #expect(text.keys == ["a"])
    #expect(throws: StackError(.malformed, "line 1: the text ends inside the section a")) {
      try MetadataParser.parse(Array("a { \0}".utf8))
    }
  }

  @Test func malformedText() {
    expectRefusal("a {\n b = 1\n", "line 3: the text ends inside the section a")
    expectRefusal("a {\n b = \"x }\n", "line 3: the string of a/b does not end")
    expectRefusal("a = [ 1, 2", "line 1: a has no value")
    expectRefusal("a = [ [ 1 ] ]", "line 1: a has no value")
    expectRefusal("a = [ , ]", "line 1: a has no value")
    expectRefusal("a =", "line 1: a has no value")
    expectRefusal("a = bare", "line 1: a has no value")
    expectRefusal("a", "line 1: neither a section nor a value follows a")
    expectRefusal("\n\n}", "line 3: a key is expected")
    expectRefusal("= 1", "line 1: a key is expected")
    expectRefusal("'' = 1", "line 1: a key is expected")
    expectRefusal("a/b = 1", "line 1: a key is expected")
    expectRefusal("a\u{1} = 1", "line 1: neither a section nor a value follows a")
    expectRefusal("a = 1\na { }", "line 2: a appears twice")
    expectRefusal("a { b = 1 b = 2 }", "line 1: a/b appears twice")
    expectRefusal("a = -", "line 1: a is no number: -")
    expectRefusal("a = .", "line 1: a is no number: .")
    expectRefusal("a = 09", "line 1: a is no number: 09")
    expectRefusal("a = 9223372036854775808", "line 1: a is no number: 9223372036854775808")
  }

  @Test func hugeText() {
    let digits = String(repeating: "9", count: 1_000_000)
    expectRefusal("a = \(digits)", "line 1: the number of a is too long")
    expectRefusal("\(digits) = 1", "line 1: a key is expected")
    let deep = String(repeating: "a{", count: 1_000_000)
    expectRefusal(deep, "line 1: sections nest deeper than 16")
    expectRefusal("a = \"\(digits)", "line 1: the string of a does not end")
    let many = "a = [" + String(repeating: "1 ", count: MetadataParser.maximumCount + 1) + "]"
    expectRefusal(many, "line 1: the text holds more than 1048576 values")
    let long = [UInt8](repeating: UInt8(ascii: " "), count: MetadataParser.maximumLength + 1)
    #expect(throws: StackError(.malformed, "the text has 16777217 bytes, more than 16777216")) {
      try MetadataParser.parse(long)
    }
  }

  /// What is missing or of another type is named by its path.
  @Test func paths() throws {
    let text = try parse("vg { lv { size = -1 name = 5 tags = [1] big = 4294967296 } }")
    let lv = try text.section("vg").section("lv")
    #expect(throws: StackError(.malformed, "vg/lv/stripes is missing")) { try lv.array("stripes") }
    #expect(throws: StackError(.malformed, "vg/lv/size is -1, which is out of range")) {
      try lv.integer("size")
    }
    #expect(throws: StackError(.malformed, "vg/lv/big is 4294967296, which is out of range")) {
      try lv.integer("big")
    }
    #expect(throws: StackError(.malformed, "vg/lv/name is not a string")) { try lv.string("name") }
    #expect(throws: StackError(.malformed, "vg/lv/name is not a section")) {
      try lv.section("name")
    }
    #expect(throws: StackError(.malformed, "vg/lv/tags holds something else than strings")) {
      try lv.strings("tags")
    }
    #expect(throws: StackError(.malformed, "vg/lv is a section, not an array")) {
      try text.section("vg").array("lv")
    }
  }
}
