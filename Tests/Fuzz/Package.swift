// swift-tools-version: 6.2
import PackageDescription

// Built with `-sanitize=fuzzer` by .ci/stages/fuzz.
let package = Package(
    name: "Fuzz",
    platforms: [.macOS(.v15)],
    dependencies: [
        // Named, because a path dependency is otherwise called after whatever folder it lies in.
        .package(name: "Wuerstchen", path: "../..")
    ],
    targets: [
        .target(name: "CFuzzer"),
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "CFuzzer",
                .product(name: "TensorCore", package: "Wuerstchen"),
                .product(name: "Wuerstchen", package: "Wuerstchen"),
                .product(name: "WuerstchenTraining", package: "Wuerstchen"),
            ],
            swiftSettings: [
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("InternalImportsByDefault"),
                .enableUpcomingFeature("MemberImportVisibility"),
                .treatAllWarnings(as: .error),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
