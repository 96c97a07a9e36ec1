import HostSystem
import Testing

@testable import Jobs

@Suite("The command of a job")
struct JobCommandTests {
  @Test("Places are filled, and braces that are doubled stay")
  func places() throws {
    let command = try JobCommand([
      "borg", "create", "--stats", "/backup::{host}-{image}-{{now}}", "{mount}/", "",
    ])
    #expect(
      command.words(mount: "/run/m x", image: "home", host: "prod") == [
        "borg", "create", "--stats", "/backup::prod-home-{now}", "/run/m x/", "",
      ])
  }

  @Test(
    "Anything else in braces is refused",
    arguments: [["x", "{user}"], ["x", "{mount"], ["x", "mount}"], ["x", "{}"], [], [""]])
  func refused(_ words: [String]) {
    #expect(throws: Failure.self) { try JobCommand(words) }
  }

  @Test("What is put in never becomes a place itself")
  func once() throws {
    let command = try JobCommand(["x", "{mount}"])
    #expect(
      command.words(mount: "/m/{host}", image: "i", host: "h") == ["x", "/m/{host}"])
  }

  @Test("Names that could lead elsewhere are none")
  func names() {
    for name in ["", ".", "..", "-x", "a/b", "a b", "ä", String(repeating: "x", count: 65)] {
      #expect(!PathName.isValid(name), "\(name)")
    }
    #expect(PathName.isValid("srv-data_1.x"))
    #expect(PathName.label(of: "/srv/my data") == "srv-my_data")
    #expect(PathName.label(of: "/") == "root")
    #expect(PathName.isValid(PathName.label(of: "/\(String(repeating: "-x", count: 50))")))
  }
}
