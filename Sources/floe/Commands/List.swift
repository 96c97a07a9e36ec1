import ArgumentParser
import FrozenImage
import Glibc
import ImageAccess

struct List: ParsableCommand, JSONReporting {
  static let configuration = CommandConfiguration(
    abstract: "List the files of an image; no mount and no medium is needed.",
    discussion: """
      Paths go from the image's top down, without a slash before them. The order is the same on \
      every host. --recursive --shard K/N lists the K-th of N parts: together they are all, no \
      two have an entry in common, each has about as many bytes, and all names of a file are in \
      the same one.
      """)

  @Argument(help: SourceHelp.text)
  var source: String

  @Argument(help: "A path inside the image; its top where there is none.")
  var path = ""

  @Flag(name: .shortAndLong, help: "Print mode, links, owner, group, size and time as well.")
  var long = false

  @Flag(name: .shortAndLong, help: "List what is in directories below, too.")
  var recursive = false

  @Option(help: ArgumentHelp("Of N parts of about equal bytes, list the K-th.", valueName: "K/N"))
  var shard: Shards.Choice?

  @OptionGroup var listing: ListingOptions

  var json: Bool { listing.json }

  func validate() throws {
    if shard != nil, !recursive { throw ValidationError("--shard is for --recursive") }
    if long, listing.null { throw ValidationError("it is either --long or -0") }
  }

  func run() throws {
    let image = try listing.open(source)
    defer { image.close() }
    let tree = try ListedTree(image, at: path)
    var shards = try shard.map { choice in
      try Shards(of: tree.representation, choice) { body in
        _ = try tree.forEach(isDeep: true, tellsProblems: false, body)
      }
    }
    var output = EntryListing(listing.form(isLong: long), of: tree.representation)
    let isComplete = try tree.forEach(isDeep: recursive) { entry in
      if shards?.takes(entry) ?? true { try output.show(entry) }
    }
    try output.end()
    if !isComplete { throw SilentExit(status: EXIT_FAILURE) }
  }
}

extension Shards.Choice: ExpressibleByArgument {
  init?(argument: String) { self.init(argument) }
}
