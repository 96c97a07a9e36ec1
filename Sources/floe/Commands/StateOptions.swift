import ArgumentParser
import ImageService
import SystemPackage

/// Where the production host keeps its images.
struct StateOptions: ParsableArguments {
  @Option(name: .customLong("state"), help: "The state directory.")
  var path = Catalogue.defaultDirectory.string

  var catalogue: Catalogue { Catalogue(directory: FilePath(path)) }
}
