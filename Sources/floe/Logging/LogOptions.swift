import ArgumentParser
import Logging

/// Which messages a command logs.
struct LogOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The lowest level that is logged: debug (every step of every read), info, notice, warning "
        + "or error. The variable FLOE_LOG says the same; otherwise it is notice.",
      valueName: "LEVEL"))
  var logLevel: Level?

  enum Level: String, ExpressibleByArgument, CaseIterable {
    case debug, info, notice, warning, error

    var value: Logger.Level { Logger.Level(rawValue: rawValue) ?? .notice }
  }
}
