import FrozenImage

/// The words that the program was started with. `CommandLine.arguments` would replace what is
/// not UTF-8 in them, and a path would be another one.
enum ProgramArguments {
  /// The program's own name first.
  static let all: [String] = (0..<Int(CommandLine.argc)).compactMap { index in
    CommandLine.unsafeArgv[index].map { PathText.text(cString: $0) }
  }
}
