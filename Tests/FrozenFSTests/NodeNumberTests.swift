import FrozenImage
import Testing

@testable import FrozenFS

@Suite struct NodeNumberTests {
  /// Every node has one number, the root's is 1, and each number leads back.
  @Test(arguments: [0, 1, 2, 7] as [UInt64])
  func numbersAreABijection(root: UInt64) {
    let numbers = NodeNumbers(root: NodeIndex(rawValue: root))
    let all = (0..<10).map { numbers.number(of: NodeIndex(rawValue: $0)) }
    #expect(Set(all) == Set(1...10))
    #expect(numbers.number(of: NodeIndex(rawValue: root)) == 1)
    for index in (0..<10 as Range<UInt64>) {
      let node = NodeIndex(rawValue: index)
      #expect(numbers.node(of: numbers.number(of: node)) == node)
    }
    #expect(numbers.node(of: 0) == NodeIndex(rawValue: .max))
  }
}
