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
    .package(url: "https://github.com/LebJe/TOMLKit.git", from: "0.6.0"),
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
    .target(name: "LogicalRepresentation", dependencies: ["FrozenImage"], swiftSettings: rules),
    .target(name: "ImageReader", dependencies: ["FrozenImage"], swiftSettings: rules),

    // Linux: the host, its media, and the blocking driver of the read rule.
    .target(name: "CLinuxIO"),
    .systemLibrary(name: "CBlkid", pkgConfig: "blkid", providers: [.apt(["libblkid-dev"])]),
    .systemLibrary(
      name: "CCompression", providers: [.apt(["zlib1g-dev", "libzstd-dev", "liblzo2-dev"])]),
    .systemLibrary(
      name: "CHash", providers: [.apt(["libxxhash-dev", "libb2-dev", "nettle-dev"])]),
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

    // Production host: what kinds of data sets share, layers of bytes, and the kinds.
    .target(name: "CBtrfs"),
    .target(name: "CFileMap"),
    .target(name: "CKernelDevices"),
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
        "CBlkid", "CKernelDevices", "CLinuxIO", "DataSets", "Decoding", "FrozenImage",
        "HostSystem", "ImageReader", "Media", "VolumeLayers",
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
      name: "LogicalVolumeProvider",
      dependencies: [
        "BlockMappers", "CFileMap", "CKernelDevices", "CLinuxIO", "DataSets", "FrozenImage",
        "HostSystem",
        "ImageReader", "LogicalRepresentation", "StackProvider", "VolumeLayers",
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

    // What floe does, without a word of the command line and without the wire: the state
    // directory, from a data set to an image, and from a source to an image that is read.
    .target(
      name: "Catalogue",
      dependencies: [
        "FrozenImage", "HostSystem", "LogicalRepresentation",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "Freezing",
      dependencies: [
        "Catalogue", "CLinuxIO", "DataSets", "FrozenImage", "HostSystem", "ImageReader",
        "LogicalRepresentation",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .target(
      name: "ImageAccess",
      dependencies: [
        "CLinuxIO", "FrozenImage", "HostSystem", "ImageReader", "LogicalRepresentation", "Media",
        "VerifiedReading",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),

    // What floe needs of a host, and whether a backup host leaves the media alone.
    .target(
      name: "HostChecks",
      dependencies: [
        "FrozenImage", "HostSystem", "ImageReader", "Media",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),

    .target(
      name: "Restoring",
      dependencies: [
        "CLinuxIO", "FrozenImage", "HostSystem", "ImageReader", "LogicalRepresentation",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),

    // The backup host's jobs: what is configured, what waits and runs, what became of it.
    .target(
      name: "Jobs",
      dependencies: [
        "CLinuxIO", "FrozenImage", "HostSystem",
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "TOMLKit", package: "TOMLKit"),
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
      exclude: ["agent.proto", "floe.proto", "generate"],
      swiftSettings: rules),
    .target(
      name: "ImageService",
      dependencies: [
        "Catalogue", "CLinuxIO", "FloeWire", "FrozenImage", "HostSystem", "ImageAccess",
        "ImageReader", "Jobs",
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
        "CFuse3", "FrozenImage", "HostSystem", "ImageReader", "LogicalRepresentation",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),

    // The program: the only place that knows every module.
    .executableTarget(
      name: "floe",
      dependencies: [
        // The kinds of data sets, as Sources/floe/Providers+All.swift registers them.
        "BtrfsProvider", "LogicalVolumeProvider", "MountedTreeProvider", "StackProvider",
        "Catalogue", "CLinuxIO", "DataSets", "Freezing", "FrozenFS", "FrozenImage",
        "HostChecks", "HostSystem",
        "ImageAccess", "ImageReader", "ImageService", "Jobs", "LogicalRepresentation", "Media",
        "Restoring", "VerifiedReading",
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
      name: "VolumeSimulation",
      dependencies: [
        "FrozenImage", "ImageReader", "SeededNumbers",
      ],
      path: "Tests/VolumeSimulation", swiftSettings: rules),
    .executableTarget(
      name: "simulate",
      dependencies: [
        "VolumeSimulation",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Tests/simulate", swiftSettings: rules),

    // What tests freeze, and where: directories, trees of files, catalogues, images.
    .target(
      name: "ImageFixtures",
      dependencies: [
        "Catalogue", "FrozenImage", "HostSystem", "LogicalRepresentation",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      path: "Tests/ImageFixtures", swiftSettings: rules),

    .testTarget(
      name: "FrozenImageTests",
      dependencies: [
        "FrozenImage", "SeededNumbers",
      ],
      swiftSettings: rules),
    .testTarget(
      name: "ImageReaderTests",
      dependencies: [
        "FrozenImage", "ImageReader", "SeededNumbers", "VolumeSimulation",
      ],
      swiftSettings: rules),
    .testTarget(
      name: "LogicalRepresentationTests",
      dependencies: [
        "FrozenImage", "LogicalRepresentation", "SeededNumbers",
      ],
      swiftSettings: rules),
    .testTarget(
      name: "HostSystemTests",
      dependencies: [
        "FrozenImage", "HostSystem", "Media",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "DecodingTests",
      dependencies: [
        "Decoding", "FrozenImage",
      ],
      swiftSettings: rules),
    .testTarget(
      name: "MediaTests",
      dependencies: [
        "FrozenImage", "HostSystem", "ImageReader", "Media", "TestTags",
      ],
      swiftSettings: rules),
    .testTarget(
      name: "HostChecksTests",
      dependencies: ["HostChecks", "HostSystem", "Media", "TestTags"],
      swiftSettings: rules),
    .testTarget(
      name: "VerifiedReadingTests",
      dependencies: [
        "CCompression", "Decoding", "FrozenImage", "HostSystem", "ImageReader", "SeededNumbers",
        "VerifiedReading",
      ],
      swiftSettings: rules),
    .testTarget(
      name: "DataSetsTests",
      dependencies: [
        "DataSets", "FrozenImage", "HostSystem", "LogicalRepresentation", "TestTags",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "ProvidersTests",
      dependencies: [
        "BlockMappers", "BtrfsProvider", "DataSets", "FileTrees", "FrozenImage", "HostSystem",
        "ImageReader", "LogicalRepresentation", "LogicalVolumeProvider", "Media",
        "MountedTreeProvider", "SeededNumbers", "StackProvider", "TestTags", "VerifiedReading",
        "VolumeLayers",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "CatalogueTests",
      dependencies: [
        "Catalogue", "FrozenImage", "HostSystem", "ImageFixtures", "TestTags",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "FreezingTests",
      dependencies: [
        "Catalogue", "DataSets", "floe", "Freezing", "FrozenImage", "HostSystem",
        "ImageFixtures", "ImageReader", "LogicalRepresentation",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "ImageAccessTests",
      dependencies: [
        "DataSets", "FrozenImage", "HostSystem", "ImageAccess", "ImageFixtures", "ImageReader",
        "LogicalRepresentation", "Restoring", "StackProvider", "VerifiedReading",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "ProductionHostTests",
      dependencies: [
        "BtrfsProvider", "Catalogue", "DataSets", "floe", "FrozenImage", "HostSystem",
        "ImageAccess", "ImageFixtures", "ImageReader", "ImageService", "LogicalRepresentation",
        "Media", "StackProvider",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "ImageServiceTests",
      dependencies: [
        "Catalogue", "FloeWire", "FrozenImage", "HostSystem", "ImageAccess", "ImageFixtures",
        "ImageReader", "ImageService", "SeededNumbers",
        .product(name: "GRPCCore", package: "grpc-swift-2"),
        .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "JobsTests",
      dependencies: [
        "Catalogue", "floe", "Freezing", "FrozenImage", "HostSystem", "ImageAccess",
        "ImageFixtures", "ImageService", "Jobs",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: rules),
    .systemLibrary(name: "CMountCalls", path: "Tests/CMountCalls"),
    .testTarget(
      name: "FrozenFSTests",
      dependencies: [
        "CFuse3", "CMountCalls", "FrozenFS", "FrozenImage", "HostSystem", "ImageReader",
        "LogicalRepresentation", "TestTags",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: rules),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "BlockMappers", "BtrfsProvider", "DataSets", "floe", "FrozenImage", "HostSystem",
        "ImageReader", "LogicalRepresentation", "Media", "SeededNumbers", "StackProvider",
        "TestTags", "VerifiedReading", "VolumeLayers",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      exclude: ["manifest", "mover", "network"],
      swiftSettings: rules),
  ],
  swiftLanguageModes: [.v6]
)
