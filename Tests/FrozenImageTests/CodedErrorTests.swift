import FrozenImage
import Testing

@Suite struct CodedErrorTests {
  /// An error of a module.
  private struct Sample: SentenceError {
    let code: ErrorCode
    let sentence: String
    let cause: (any Error)?
  }

  private struct Other: SentenceError {
    let code: ErrorCode
    let sentence: String
    let cause: (any Error)?
  }

  private enum Foreign: Error { case one }

  @Test func aCauseGivesItsCodeAndItsSentence() {
    let chain = ChainError.malformedExtent(offset: 7)
    let error = Sample("the map cannot be used", cause: chain)
    #expect(error.code == .malformed)
    #expect(error.description == "the map cannot be used: the store extent at 7 is malformed")
    #expect(error.cause as? ChainError == chain)
    #expect(Sample(cannot: "read it", chain).sentence == "cannot read it")
  }

  @Test func anErrorIsTakenOverAsItIs() {
    let error = Sample(Other("it moves", cause: Sample(.inUse, "it is written")))
    #expect(error.code == .inUse)
    #expect(error.sentence == "it moves")
    #expect(error.cause as? Sample == Sample(.inUse, "it is written"))
    #expect(Sample(error) == error)
  }

  @Test func anErrorWithoutACodeHasFailed() {
    #expect(ErrorCode(of: Foreign.one) == .failed)
    #expect(Sample("it cannot be done", cause: Foreign.one).code == .failed)
    #expect(Sample(Foreign.one).description == "one")
  }

  @Test func errorsOfOneSentenceDifferByTheirCode() {
    #expect(Sample(.inUse, "no") != Sample(.invalid, "no"))
    #expect(Sample(.inUse, "no") == Sample(.inUse, "no"))
  }
}
