import Glibc
import TestTags
import Testing

extension EndToEnd {
  /// What shells complete, as the scripts that the package installs have it.
  @Suite("Completions", .tags(.needsRoot))
  struct Completions {
    private func script(_ scratch: Scratch, _ shell: String) throws -> String {
      let path = "\(scratch.path)/floe.\(shell)"
      let text = try run(Floe.program, ["--generate-completion-script", shell])
      try writeFile(path, Array(text.utf8))
      return path
    }

    @Test(
      "bash completes commands and options",
      arguments: [
        (["mou"], "mount"), (["doc"], "doctor"), (["mount", "--remap"], "--remap-timeout"),
        (["freeze", "--assume"], "--assume-frozen"),
      ])
    func bash(words: [String], completion: String) throws {
      let scratch = try Scratch()
      // As bash calls a completion function (bash(1), Programmable Completion).
      let said = try run(
        "bash",
        [
          "-c",
          """
          source "$1"
          shift
          COMP_WORDS=(floe "$@") COMP_CWORD=$# COMP_TYPE=9
          COMP_LINE="${COMP_WORDS[*]}" COMP_POINT=${#COMP_LINE}
          function=$(complete -p floe | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
          $function floe "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
          printf '%s\\n' "${COMPREPLY[@]}"
          """, "bash", try script(scratch, "bash"),
        ] + words)
      let found = said.split(separator: "\n").map { $0.filter { $0 != " " } }
      #expect(found.contains(completion), "\(said)")
      #expect(found.allSatisfy { $0.hasPrefix(words.last ?? "") }, "\(said)")
    }

    @Test("fish completes commands and options, and zsh reads its script, where they are installed")
    func others() throws {
      let scratch = try Scratch()
      if try attempt("which", ["fish"]).succeeded {
        let path = try script(scratch, "fish")
        for (line, wanted) in [("floe mou", "mount"), ("floe mount --remap", "--remap-timeout")] {
          let said = try run("fish", ["-N", "-c", "source '\(path)'; complete -C '\(line)'"])
          #expect(said.hasPrefix(wanted), "\(said)")
        }
      }
      if try attempt("which", ["zsh"]).succeeded {
        try run("zsh", ["-n", try script(scratch, "zsh")])
      }
    }
  }
}
