import FrozenImage
package import HostSystem

/// Runs a script with `sh -e`.
///
/// - Throws: `Failure` when its exit status is not 0; what it says goes where the tests' own
///   output goes.
package func shell(_ script: String) throws(Failure) {
  let status = ChildProcess.run("sh", ["sh", "-ec", script])
  guard status == 0 else { throw Failure(.failed, "status \(status) of: \(script)") }
}
