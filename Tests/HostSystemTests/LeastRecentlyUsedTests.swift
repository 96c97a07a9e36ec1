import HostSystem
import Testing

@Suite struct LeastRecentlyUsedTests {
  @Test func whatWasNotUsedForLongestGoes() {
    var kept = LeastRecentlyUsed<Int, String>(limit: 2)
    kept.keep("one", for: 1)
    kept.keep("two", for: 2)
    #expect(kept.value(for: 1) == "one")
    kept.keep("three", for: 3)
    #expect(kept.value(for: 2) == nil)
    #expect(kept.value(for: 1) == "one")
    #expect(kept.value(for: 3) == "three")
  }

  @Test func aKeyThatIsThereTakesNoOthersPlace() {
    var kept = LeastRecentlyUsed<Int, String>(limit: 2)
    kept.keep("one", for: 1)
    kept.keep("two", for: 2)
    kept.keep("another", for: 2)
    #expect(kept.value(for: 1) == "one")
    #expect(kept.value(for: 2) == "another")
  }
}
