/// What was told already of images, so that what lasts is told once.
struct ProblemsTold {
  private var told: [String: String] = [:]

  /// Notes a problem.
  ///
  /// - Returns: whether it is another than the one before.
  mutating func isNew(_ problem: String, of image: String) -> Bool {
    told.updateValue(problem, forKey: image) != problem
  }

  /// Notes that an image has none.
  mutating func forget(_ image: String) { told[image] = nil }
}
