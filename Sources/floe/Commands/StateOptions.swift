import ArgumentParser
import Catalogue
import SystemPackage

/// Where the production host keeps its images.
struct StateOptions: ParsableArguments {
  @Option(name: .customLong("state"), help: ArgumentHelp("The state directory.", valueName: "DIR"))
  var path = Catalogue.defaultDirectory.string

  var catalogue: Catalogue { Catalogue(directory: FilePath(path)) }

  var isDefault: Bool { path == Catalogue.defaultDirectory.string }

  /// A command that means this state directory, to be typed as it stands.
  func command(_ words: String) -> String { catalogue.command(words) }
}
