// swift-tools-version: 6.2
import PackageDescription

// floe's sources once more, as a package that is built for libFuzzer alone, so that the
// project's own package knows nothing of it. Without gRPC, libfuse and the program, of
// which nothing is fuzzed. `mount-scripts/fuzz` builds and runs it.

/// As the project's own package has it.
let rules: [SwiftSetting] = [
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("ExistentialAny"),
]

let package = Package(
  name: "fuzzing",
  dependencies: [
    .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-protobuf.git", from: "1.39.0"),
    .package(url: "https://github.com/apple/swift-system.git", from: "1.8.0"),
  ],
  targets: [
    .target(name: "CChecksum"),
    .target(name: "FrozenImage", dependencies: ["CChecksum"], swiftSettings: rules),
    .target(name: "LogicalRepresentation", dependencies: ["FrozenImage"], swiftSettings: rules),
    .target(name: "ImageReader", dependencies: ["FrozenImage"], swiftSettings: rules),
    .target(name: "CLinuxIO"),
    .target(name: "CKernelDevices"),
    .systemLibrary(name: "CBlkid", pkgConfig: "blkid"),
    .systemLibrary(name: "CCompression"),
    .systemLibrary(name: "CHash"),
    .target(
      name: "HostSystem",
      dependencies: [
        "CLinuxIO", "FrozenImage",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "Decoding",
      dependencies: [
        "CCompression", "CHash", "FrozenImage",
      ],
      swiftSettings: rules),
    .target(
      name: "Media",
      dependencies: [
        "CBlkid", "CLinuxIO", "FrozenImage", "HostSystem", "ImageReader",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "VerifiedReading",
      dependencies: [
        "Decoding", "FrozenImage", "HostSystem", "ImageReader", "LogicalRepresentation",
        "Media",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(name: "CBtrfs"),
    .target(name: "CFileMap"),
    .target(
      name: "CExt2", linkerSettings: [.linkedLibrary("ext2fs"), .linkedLibrary("com_err")]),
    .target(
      name: "DataSets",
      dependencies: [
        "CFileMap", "FrozenImage", "HostSystem", "ImageReader", "LogicalRepresentation",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "VolumeLayers",
      dependencies: [
        "DataSets", "FrozenImage", "HostSystem", "ImageReader", "LogicalRepresentation",
        "Media",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "BlockMappers",
      dependencies: [
        "CBlkid", "CKernelDevices", "CLinuxIO", "DataSets", "Decoding", "FrozenImage", "HostSystem",
        "ImageReader", "Media", "VolumeLayers",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "FileTrees",
      dependencies: [
        "CExt2", "CFileMap", "CKernelDevices", "DataSets", "FrozenImage", "HostSystem",
        "ImageReader", "LogicalRepresentation", "VolumeLayers",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "StackProvider",
      dependencies: [
        "BlockMappers", "CBlkid", "CLinuxIO", "DataSets", "FileTrees", "FrozenImage",
        "HostSystem", "ImageReader", "LogicalRepresentation", "Media", "VolumeLayers",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "MountedTreeProvider",
      dependencies: [
        "CFileMap", "DataSets", "FileTrees", "FrozenImage", "HostSystem", "ImageReader",
        "LogicalRepresentation", "Media", "StackProvider", "VolumeLayers",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "BtrfsProvider",
      dependencies: [
        "CBtrfs", "DataSets", "Decoding", "FrozenImage", "HostSystem", "ImageReader",
        "LogicalRepresentation", "Media",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    // The messages and what they become; neither the service nor its client.
    .target(
      name: "FloeWire",
      dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf")],
      exclude: [
        "agent.proto", "floe.proto", "generate", "Generated/agent.grpc.swift",
        "Generated/agent.pb.swift", "Generated/floe.grpc.swift",
      ],
      swiftSettings: rules),
    .target(
      name: "ImageService",
      dependencies: [
        "FloeWire", "FrozenImage", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      path: "Sources/ImageService/Conversion", swiftSettings: rules),
    .executableTarget(
      name: "Fuzz",
      dependencies: [
        "BlockMappers", "BtrfsProvider", "CBtrfs", "CCompression", "DataSets", "Decoding",
        "FileTrees", "FloeWire", "FrozenImage", "ImageReader", "ImageService",
        "LogicalRepresentation", "StackProvider", "VolumeLayers",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      path: "Fuzz", swiftSettings: rules),
  ],
  swiftLanguageModes: [.v6]
)
