import ArgumentParser
import Glibc

extension Floe {
  /// Reads the command line. Where an option is unknown that is said, and not what is
  /// missing: with a typing error in it nothing else can be judged.
  static func parsed(_ arguments: [String]) throws -> any ParsableCommand {
    do { return try parseAsRoot(arguments) } catch {
      throw unknownOption(in: arguments) ?? error
    }
  }

  /// The parser looks for unknown options only when nothing is missing, so what may be
  /// missing is made up: no command takes more than three arguments, and "0" does for each;
  /// `freeze` wants no place for an image that it only explains.
  private static func unknownOption(in arguments: [String]) -> (any Error)? {
    let enough = arguments.first == Freeze._commandName ? ["--explain"] : []
    for count in 0...3 {
      let more = enough + Array(repeating: "0", count: count)
      do { _ = try parseAsRoot(arguments + more) } catch {
        if message(for: error).hasPrefix("Unknown option") { return error }
      }
    }
    return nil
  }

  /// Says what the parser has to say and ends the program: help on standard output, errors,
  /// which repeat what was typed, so that a terminal does not obey them.
  ///
  /// - Parameter status: the exit status of a wrong call; `nil` for the parser's own.
  static func end(with error: any Error, status: Int32? = nil) -> Never {
    let code = exitCode(for: error)
    guard code != .success else { exit(withError: error) }
    for line in fullMessage(for: error).split(separator: "\n", omittingEmptySubsequences: false) {
      printError(String(line))
    }
    Glibc.exit(status ?? code.rawValue)
  }
}
