// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

let wuerstchen = Target.Dependency.product(name: "Wuerstchen", package: "Wuerstchen")
let miniature = Target.Dependency.product(name: "WuerstchenMiniature", package: "Wuerstchen")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let lifecycle = Target.Dependency.product(
    name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let network = ["NIOCore", "NIOPosix", "NIOHTTP1"].map {
    Target.Dependency.product(name: $0, package: "swift-nio")
}

// A package of its own, so that the other examples do not wait for Hummingbird to be built.
let package = Package(
    name: "Server",
    platforms: [.macOS(.v15)],
    dependencies: [
        // Named, because a path dependency is otherwise called after whatever folder it lies in.
        .package(name: "Wuerstchen", path: "../.."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(
            url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.0.0"),
    ],
    targets: [
        .target(
            name: "ImageServer", dependencies: [wuerstchen, hummingbird, lifecycle] + network,
            resources: [.embedInCode("Resources/page.html")], swiftSettings: settings),
        .executableTarget(
            name: "server",
            dependencies: [
                "ImageServer", wuerstchen, miniature, hummingbird, lifecycle, arguments,
            ],
            path: "Sources/Server", swiftSettings: settings),
        .target(name: "ServerClient", dependencies: network, swiftSettings: settings),
        .executableTarget(
            name: "load", dependencies: ["ServerClient", arguments], path: "Sources/Load",
            swiftSettings: settings),
        .testTarget(
            name: "ImageServerTests",
            dependencies: [
                "ImageServer", "ServerClient", "load", wuerstchen, miniature, hummingbird,
                lifecycle, arguments,
            ],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
