import Foundation
import PackagePlugin

/// Writes `Version.swift` before each build: the version is what `git describe` says of the
/// source (a tag such as v1.2.0, or the commits since it), so that nobody has to remember to
/// raise a number. A source without Git, such as a release's archive, says its `VERSION` file.
@main
struct VersionFromTag: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
    let made = context.pluginWorkDirectoryURL.appending(path: "Version")
    return [
      .prebuildCommand(
        displayName: "Version from the tag",
        executable: URL(filePath: "/bin/sh"),
        arguments: [
          context.package.directoryURL
            .appending(path: "Sources/VersionFromTag/write-version").path,
          context.package.directoryURL.path, made.path,
        ],
        outputFilesDirectory: made)
    ]
  }
}
