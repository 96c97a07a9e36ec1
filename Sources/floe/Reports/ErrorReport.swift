import FrozenImage

/// A command whose report can be had as JSON; then its failure is told in JSON as well.
protocol JSONReporting {
  var json: Bool { get }
}

/// Why a command failed, for programs: `{"error": {…}}` on standard output. People read the
/// same sentence on standard error.
struct ErrorReport: Encodable {
  struct Content: Encodable {
    /// See `ErrorCode`.
    let code: String
    /// The sentence, with those of the causes behind it.
    let message: String
    /// What the causes say, the nearest first.
    let causes: [String]
  }

  let error: Content

  init(_ error: any Error) {
    var causes: [String] = []
    var next = (error as? any CodedError)?.cause
    while let cause = next {
      causes.append("\(cause)")
      next = (cause as? any CodedError)?.cause
    }
    self.error = Content(
      code: ErrorCode(of: error).rawValue, message: "\(error)", causes: causes)
  }
}
