import HostSystem
import Testing

@testable import Jobs

@Suite("The agent's configuration")
struct AgentConfigurationTests {
  @Test("What is said counts, what is not has its default")
  func whole() throws {
    let configuration = try AgentConfiguration(
      text: """
        at_once = 3
        mounts = "/srv/mnt"
        [jobs.rsync]
        command = ["rsync", "-aHAX", "{mount}/", "/backup/{host}/{image}/"]
        user = "backup"
        timeout = 60
        retries = 2
        [jobs.all]
        command = ["tar", "-cf", "/dev/null", "{mount}"]
        together = true
        mount_options = ["--medium", "a=b"]
        """)
    #expect(configuration.atOnce == 3 && configuration.waiting == 100)
    #expect(configuration.mounts == "/srv/mnt")
    let rsync = try #require(configuration.jobs["rsync"])
    #expect(rsync.user == "backup" && rsync.timeout == 60 && rsync.retries == 2)
    #expect(!rsync.isTogether && rsync.atOnce == 1)
    let all = try #require(configuration.jobs["all"])
    #expect(all.isTogether && all.mountOptions == ["--medium", "a=b"] && all.user == nil)
  }

  @Test(
    "What makes no sense is refused, and named",
    arguments: [
      ("at_one = 3", "at_one"),
      ("at_once = 0", "at_once"),
      ("at_once = \"3\"", "at_once"),
      ("mounts = \"mnt\"", "mounts"),
      ("mounts = \"/\"", "mounts"),
      ("mounts = \"/a/../b\"", "mounts"),
      ("jobs = 3", "jobs"),
      ("[jobs.x]\nuser = \"a\"", "command"),
      ("[jobs.x]\ncommand = []", "empty"),
      ("[jobs.x]\ncommand = [\"a\", 3]", "command"),
      ("[jobs.x]\ncommand = \"rsync {mount}\"", "command"),
      ("[jobs.x]\ncommand = [\"a\", \"{path}\"]", "{path}"),
      ("[jobs.x]\ncommand = [\"a\"]\ntimeout = -1", "timeout"),
      ("[jobs.x]\ncommand = [\"a\"]\nshell = true", "shell"),
      ("[jobs.x]\ncommand = [\"a\", \"{image}\"]\ntogether = true", "{image}"),
      ("[jobs.\"a/b\"]\ncommand = [\"a\"]", "a/b"),
      ("[jobs.x", "line 1"),
    ])
  func refused(_ text: String, _ named: String) throws {
    let failure = #expect(throws: Failure.self) { try AgentConfiguration(text: text) }
    #expect("\(try #require(failure))".contains(named), "\(String(describing: failure))")
  }

  @Test("The example in the documents is one")
  func example() throws {
    let repository = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let configuration = try AgentConfiguration(path: "/\(repository)/docs/agent.toml")
    #expect(configuration.jobs.keys.sorted() == ["borg", "restic", "rsync", "tar"])
    #expect(
      configuration.jobs["borg"]?.command.words(mount: "/m", image: "i", host: "h") == [
        "borg", "create", "--stats", "/backup/borg::h-i-{now}", "/m",
      ])
  }
}
