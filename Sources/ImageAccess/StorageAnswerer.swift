package import FrozenImage
package import ImageReader
package import LogicalRepresentation

/// The media of an image that is read, for whoever answers questions from them.
package struct OpenMedia: Sendable {
  /// The medium that the reader has open now; `nil` when it has not.
  package let medium: @Sendable (MediumID) -> (any Medium)?
  /// Opens another one, of which only its identifier is known.
  ///
  /// - Throws: why it cannot be had, or may not be taken.
  package let take: @Sendable (MediumDescription) throws -> any Medium
}

/// Makes what answers questions about an image from its media; `nil` when the representation
/// does not tell how.
///
/// The program hands them in: nothing here knows what lies on a medium.
package typealias StorageAnswerer =
  @Sendable (Representation, VolumeDescription, OpenMedia) throws -> StorageAnswers?

/// What answers from the media.
package struct StorageAnswers: Sendable {
  /// Answers questions.
  package let host: any ProductionHost
  /// Begins to look at the media now and then while nobody asks. Called once the reader has
  /// opened its own.
  package let follow: @Sendable () throws -> Void
  /// Whether, at the last answer, the production host knew more of where the image lies than
  /// its media show.
  package let hostKnowsMore: @Sendable () -> Bool

  /// - Parameters:
  ///   - host: answers questions.
  ///   - hostKnowsMore: whether the production host knows more than the media show.
  ///   - follow: begins to look at the media.
  package init(
    _ host: any ProductionHost, hostKnowsMore: @escaping @Sendable () -> Bool,
    follow: @escaping @Sendable () throws -> Void
  ) {
    self.host = host
    self.hostKnowsMore = hostKnowsMore
    self.follow = follow
  }
}

/// Who answers questions about an image.
package enum AnswerChoice: String, Sendable, CaseIterable {
  /// The storage where it can, else the production host.
  case storage
  /// The storage alone: the media are copies of their own, of which the production host knows
  /// nothing.
  case media
  /// The production host alone.
  case host
  /// Both, and their answers are compared.
  case both
}
