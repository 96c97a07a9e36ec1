public import FrozenImage
import HostSystem
public import ImageReader

/// Copies of all media of one moment, which stand for those that were frozen: only who made them
/// knows which they are.
extension MediumFinder {
  /// Opens a copy: only one that the user named.
  ///
  /// - Throws: `Failure.notFound` when the user named none.
  public func findNamedAlone(_ description: MediumDescription) throws(Failure) -> OpenMedium {
    guard isNamed(description) else {
      throw .notFound(label: description.label, id: description.id, silent: [], left: [])
    }
    return try find(description, witness: nil)
  }

  /// Whether the user named a medium.
  public func isNamed(_ description: MediumDescription) -> Bool {
    named.keys.contains { description.isNamed($0) }
  }

  /// Whether a medium is the very hardware that was frozen, by its WWID; `nil` where nothing
  /// tells.
  public func isFrozenHardware(
    _ medium: any Medium, of description: MediumDescription
  ) -> Bool? {
    guard let recorded = HardwareID(description.hardwareID),
      let number = (medium as? OpenMedium)?.deviceNumber,
      let hardware = sysfs.hardwareID(of: number)
    else { return nil }
    return hardware.proves(recorded) ? true : hardware.contradicts(recorded) ? false : nil
  }
}
