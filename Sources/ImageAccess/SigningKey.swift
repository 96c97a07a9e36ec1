import Crypto
import FoundationEssentials
import FrozenImage
import HostSystem
import SystemPackage

/// A private key that signs manifests: ECDSA over P-256 and SHA-256, as
/// `openssl dgst -sha256 -verify` checks it.
package struct SigningKey {
  private let key: P256.Signing.PrivateKey

  /// - Parameter path: a PEM file, as `openssl ecparam -name prime256v1 -genkey` or
  ///   `openssl genpkey` writes it.
  /// - Throws: `Failure` when it cannot be read or is no such key.
  package init(path: String) throws {
    let text = try String(decoding: Self.contents(of: path), as: UTF8.self)
    // `ecparam -genkey` writes the curve's name before the key.
    let lines = text.split(separator: "\n").drop {
      !($0.hasPrefix("-----BEGIN") && $0.contains("PRIVATE KEY"))
    }
    do {
      key = try P256.Signing.PrivateKey(pemRepresentation: lines.joined(separator: "\n"))
    } catch {
      throw Failure(.invalid, "\(path) is no private key of the curve P-256 in PEM form")
    }
  }

  private static func contents(of path: String) throws -> [UInt8] {
    do {
      let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
      return try file.closeAfter {
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0) }
        return Array(bytes[..<count])
      }
    } catch {
      throw Failure("the signing key \(path) cannot be read", cause: error)
    }
  }

  /// The signature in DER form.
  ///
  /// - Throws: an error of the cryptographic library.
  package func signature(of bytes: [UInt8]) throws -> [UInt8] {
    Array(try key.signature(for: bytes).derRepresentation)
  }
}
