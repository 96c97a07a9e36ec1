// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target is built with the same rules: imports are internal unless
/// said otherwise, a member is visible only where its module is imported, and a
/// warning stops the build.
let rules: [SwiftSetting] = [
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("ExistentialAny"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "floe",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "floe", targets: ["floe"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-protobuf.git", from: "1.39.0"),
    .package(url: "https://github.com/apple/swift-system.git", from: "1.8.0"),
    .package(url: "https://github.com/grpc/grpc-swift-2.git", from: "2.4.0"),
    .package(url: "https://github.com/grpc/grpc-swift-nio-transport.git", from: "2.9.0"),
    .package(url: "https://github.com/grpc/grpc-swift-protobuf.git", from: "2.4.0"),
  ],
  targets: [
    // The pure core: no Foundation, no libc, no NIO, no gRPC, no FUSE.
    .target(name: "CChecksum"),
    .target(name: "FrozenImage", dependencies: ["CChecksum"], swiftSettings: rules),
    .target(name: "ImageReader", dependencies: ["FrozenImage"], swiftSettings: rules),

    // Linux: media, files, the blocking driver of the read rule.
    .target(name: "CLinuxIO"),
    .systemLibrary(name: "CBlkid", pkgConfig: "blkid", providers: [.apt(["libblkid-dev"])]),
    .systemLibrary(
      name: "CCompression", providers: [.apt(["zlib1g-dev", "libzstd-dev", "liblzo2-dev"])]),
    .systemLibrary(
      name: "CHash", providers: [.apt(["libxxhash-dev", "libb2-dev", "nettle-dev"])]),
    .target(
      name: "LinuxIO",
      dependencies: [
        "FrozenImage", "ImageReader", "CBlkid", "CCompression", "CHash", "CLinuxIO",
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: rules),

    // Production host: one folder per volume stack.
    .target(name: "CBtrfs"),
    .target(name: "CFileMap"),
    .target(
      name: "CExt2", linkerSettings: [.linkedLibrary("ext2fs"), .linkedLibrary("com_err")]),
    .target(
      name: "DataSets",
      dependencies: [
        "CFileMap", "FrozenImage", "LinuxIO",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "VolumeLayers",
      dependencies: [
        "DataSets", "FrozenImage", "ImageReader", "LinuxIO",
      ],
      swiftSettings: rules),
    .target(
      name: "BlockMappers",
      dependencies: [
        "CBlkid", "CLinuxIO", "DataSets", "FrozenImage", "ImageReader", "LinuxIO", "VolumeLayers",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "FileTrees",
      dependencies: [
        "CExt2", "DataSets", "FrozenImage", "ImageReader", "LinuxIO", "VolumeLayers",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "StackProvider",
      dependencies: [
        "BlockMappers", "CBlkid", "CLinuxIO", "DataSets", "FileTrees", "FrozenImage", "ImageReader",
        "LinuxIO", "VolumeLayers",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "MountedTreeProvider",
      dependencies: [
        "CFileMap", "DataSets", "FrozenImage", "ImageReader", "LinuxIO", "VolumeLayers",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "BtrfsProvider",
      dependencies: [
        "CBtrfs", "DataSets", "FrozenImage", "ImageReader", "LinuxIO",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),

    // What floe does, without a word of the command line and without the wire: the state
    // directory, from a data set to an image, and from a source to an image that is read.
    .target(
      name: "Catalogue",
      dependencies: [
        "FrozenImage", "LinuxIO",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "Freezing",
      dependencies: [
        "BtrfsProvider", "Catalogue", "DataSets", "FrozenImage", "ImageReader", "LinuxIO",
        "MountedTreeProvider", "StackProvider", "VolumeLayers",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "ImageAccess",
      dependencies: [
        "FrozenImage", "ImageReader", "LinuxIO",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),

    // The wire and its two ends.
    .target(
      name: "FloeWire",
      dependencies: [
        .product(name: "GRPCCore", package: "grpc-swift-2"),
        .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      exclude: ["floe.proto", "generate"],
      swiftSettings: rules),
    .target(
      name: "ImageService",
      dependencies: [
        "Catalogue", "FloeWire", "FrozenImage", "ImageAccess", "ImageReader", "LinuxIO",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "GRPCCore", package: "grpc-swift-2"),
        .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),

    // The mount.
    .systemLibrary(name: "CFuse3", pkgConfig: "fuse3", providers: [.apt(["libfuse3-dev"])]),
    .target(
      name: "FrozenFS",
      dependencies: [
        "CFuse3", "FrozenImage", "ImageReader",
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: rules),

    // The program: the only place that knows every module.
    .executableTarget(
      name: "floe",
      dependencies: [
        "CLinuxIO", "Catalogue", "Freezing", "FrozenFS", "FrozenImage", "ImageAccess",
        "ImageReader", "ImageService", "LinuxIO",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules,
      plugins: ["VersionFromTag"]),
    .plugin(
      name: "VersionFromTag", capability: .buildTool(), path: "Sources/VersionFromTag",
      exclude: ["VERSION", "write-version"]),

    // What tests share: reproducible numbers, and the simulation of the read rule, of
    // which `swift run simulate --seeds N --from S` runs as much as one likes.
    .target(name: "SeededNumbers", path: "Tests/SeededNumbers", swiftSettings: rules),
    .target(name: "TestTags", path: "Tests/TestTags", swiftSettings: rules),
    .target(
      name: "VolumeSimulation", dependencies: ["FrozenImage", "ImageReader", "SeededNumbers"],
      path: "Tests/VolumeSimulation", swiftSettings: rules),
    .executableTarget(
      name: "simulate",
      dependencies: [
        "VolumeSimulation", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Tests/simulate", swiftSettings: rules),

    // What tests freeze, and where: directories, trees of files, catalogues, images.
    .target(
      name: "ImageFixtures",
      dependencies: [
        "Catalogue", "FrozenImage", "LinuxIO",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      path: "Tests/ImageFixtures", swiftSettings: rules),

    .testTarget(
      name: "FrozenImageTests", dependencies: ["FrozenImage", "SeededNumbers"],
      swiftSettings: rules),
    .testTarget(
      name: "ImageReaderTests",
      dependencies: ["FrozenImage", "ImageReader", "SeededNumbers", "VolumeSimulation"],
      swiftSettings: rules),
    .testTarget(
      name: "LinuxIOTests",
      dependencies: [
        "CCompression", "FrozenImage", "ImageReader", "LinuxIO", "SeededNumbers",
        "TestTags",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "ProvidersTests",
      dependencies: [
        "BlockMappers", "BtrfsProvider", "DataSets", "FileTrees", "FrozenImage", "ImageReader",
        "LinuxIO", "MountedTreeProvider", "StackProvider", "TestTags", "VolumeLayers",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "CatalogueTests",
      dependencies: [
        "Catalogue", "FrozenImage", "ImageFixtures", "TestTags",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "FreezingTests",
      dependencies: [
        "Catalogue", "DataSets", "Freezing", "FrozenImage", "ImageFixtures", "ImageReader",
        "LinuxIO",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "ImageAccessTests",
      dependencies: [
        "DataSets", "FrozenImage", "ImageAccess", "ImageFixtures", "ImageReader", "LinuxIO",
        "StackProvider",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "ProductionHostTests",
      dependencies: [
        "BtrfsProvider", "Catalogue", "DataSets", "FrozenImage", "ImageAccess", "ImageFixtures",
        "ImageReader", "ImageService", "LinuxIO", "StackProvider", "floe",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "ImageServiceTests",
      dependencies: [
        "Catalogue", "FloeWire", "FrozenImage", "ImageAccess", "ImageFixtures", "ImageReader",
        "ImageService", "LinuxIO", "SeededNumbers",
        .product(name: "GRPCCore", package: "grpc-swift-2"),
        .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .systemLibrary(name: "CMountCalls", path: "Tests/CMountCalls"),
    .testTarget(
      name: "FrozenFSTests",
      dependencies: [
        "CFuse3", "CMountCalls", "FrozenFS", "FrozenImage", "ImageReader", "LinuxIO",
        "TestTags",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "BtrfsProvider", "DataSets", "FrozenImage", "ImageReader", "LinuxIO", "SeededNumbers",
        "StackProvider", "TestTags", "floe",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      exclude: ["manifest", "mover", "network"],
      swiftSettings: rules),
  ],
  swiftLanguageModes: [.v6]
)
