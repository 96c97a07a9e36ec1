import FrozenImage
import ImageReader
import LinuxIO

/// Finds the layers of a volume stack, from the medium up.
public struct StackFinder {
  private let place: StackPlace
  private var selectors: ArraySlice<String>

  public init(_ place: StackPlace) {
    self.place = place
    selectors = place.selectors[...]
  }

  /// - Throws: `StackError` that says which layer cannot be read, or what has to be named.
  public func find() throws(StackError) -> FoundStack {
    let layer = try start()
    guard place.assumesFrozen else {
      throw StackError(
        "nothing shows that \(layer.title) rests; --assume-frozen takes it as a raw volume")
    }
    return FoundStack(try Stack(top: layer), content: nil)
  }

  private func start() throws(StackError) -> Layer {
    guard case .path(let path) = place.start else { throw StackError("no volume group") }
    do throws(MediumError) {
      return Layer(try OpenMedium(path: path))
    } catch {
      throw StackError("\(path): \(error.reason)")
    }
  }
}
