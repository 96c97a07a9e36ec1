import FrozenImage
import Testing

@testable import ImageAccess

@Suite struct AddressTests {
  @Test(arguments: [
    ("floe+unix:/var/lib/floe/floe.sock/nightly", "unix:/var/lib/floe/floe.sock", "nightly"),
    ("floe+unix:floe.sock/nightly", "unix:floe.sock", "nightly"),
    ("floe://localhost/nightly", "127.0.0.1:7733", "nightly"),
    ("floe://127.8.0.1:99/nightly", "127.8.0.1:99", "nightly"),
    ("floe://[::1]/nightly", "[::1]:7733", "nightly"),
    ("floe://[0:0::1]:80/nightly", "[::1]:80", "nightly"),
    ("ssh://prod/nightly", "ssh://prod", "nightly"),
    ("ssh://[::1]/nightly", "ssh://[::1]", "nightly"),
    ("ssh://prod/nightly?socket=/var/lib/floe/floe.sock", "ssh://prod", "nightly"),
    (
      "ssh://root@prod.example:22/nightly?socket=/run/x.sock",
      "ssh://root@prod.example:22?socket=/run/x.sock", "nightly"
    ),
  ])
  func sources(text: String, endpoint: String, image: String) throws {
    let address = try ServiceAddress(text)
    #expect(address.endpoint.description == endpoint)
    #expect(address.image == image)
    #expect(try ServiceAddress(address.description) == address)
  }

  @Test(arguments: [
    ("ssh://root@prod", "ssh://root@prod"), ("ssh://prod/", "ssh://prod"),
    ("ssh://prod/?socket=/run/x", "ssh://prod?socket=/run/x"), ("floe://[::1]", "[::1]:7733"),
    ("floe+unix:/run/x.sock", "unix:/run/x.sock"),
  ])
  func servicesWithoutAnImage(text: String, endpoint: String) throws {
    #expect(try ServiceEndpoint(service: text).description == endpoint)
  }

  @Test(arguments: ["", "prod", "ssh://prod/nightly", "floe://localhost/nightly", "floe+unix:"])
  func noServices(text: String) {
    #expect(throws: AddressError.self) { try ServiceEndpoint(service: text) }
  }

  @Test(arguments: [
    "", "nightly", "floe:", "floe://", "floe:///nightly", "floe://localhost", "floe://localhost/",
    "floe://localhost/a/b", "floe://::1/nightly", "floe://[::1/nightly", "floe://[::1]x/nightly",
    "floe://localhost:65536/nightly", "floe://localhost:/nightly", "floe://localhost:x/nightly",
    "floe+unix:/nightly", "floe+unix:", "floe+unix:/a/b/", "ssh://", "ssh:///nightly", "ssh://prod",
    "ssh://prod/", "ssh://prod/a/b", "ssh://-oProxyCommand=x/nightly", "ssh://root@-x/nightly",
    "ssh://a b/nightly", "ssh://a@b@c/nightly", "ssh://prod/nightly?socket=run",
    "ssh://prod/nightly?socket=/a:b", "ssh://prod/nightly?user=x", "ssh://$(id)/nightly",
    "floe+unix:/" + String(repeating: "x", count: 110) + "/nightly",
  ])
  func noSources(text: String) {
    #expect(throws: AddressError.self) { try ServiceAddress(text) }
  }

  @Test(arguments: ["192.168.0.1:7733", "0.0.0.0:7733", "[::]:7733", "example.org:7733", ":7733"])
  func otherNetworksAreRefused(text: String) {
    #expect(throws: AddressError.self) { try ServiceEndpoint(listening: text) }
    #expect(throws: AddressError.self) { try ServiceAddress("floe://\(text)/nightly") }
  }

  @Test func aPlaceToListen() throws {
    #expect(try ServiceEndpoint(listening: "unix:/run/x.sock") == .unix(path: "/run/x.sock"))
    #expect(try ServiceEndpoint(listening: "localhost:0") == .loopback(.v4("127.0.0.1"), port: 0))
    #expect(throws: AddressError.self) { try ServiceEndpoint(listening: "localhost") }
    #expect(throws: AddressError.self) { try ServiceEndpoint(listening: "unix:") }
    let path = #expect(throws: AddressError.self) { try ServiceEndpoint(listening: "/run/x.sock") }
    #expect(path?.description.contains("write unix:/run/x.sock") == true)
  }
}
