// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// Optimised in builds for debugging too, as the kernels are: loops over elements would take many
/// times as long.
let optimised = SwiftSetting.unsafeFlags(["-O"], .when(configuration: .debug))

/// Tests are not optimised in any build: compiling takes longer than they gain.
let testSettings = settings + [.unsafeFlags(["-Onone"], .when(configuration: .release))]

let package = Package(
    name: "Wuerstchen",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Wuerstchen", targets: ["Wuerstchen"]),
        .library(name: "WuerstchenTraining", targets: ["WuerstchenTraining"]),
        .library(name: "WuerstchenMPI", targets: ["WuerstchenMPI"]),
        .library(name: "WuerstchenScenes", targets: ["WuerstchenScenes"]),
        .library(name: "WuerstchenMiniature", targets: ["WuerstchenMiniature"]),
        .library(name: "WuerstchenNN", targets: ["WuerstchenNN"]),
        .library(name: "TensorCore", targets: ["TensorCore"]),
    ],
    traits: [
        .trait(
            name: "MPI",
            description: "Training by several processes over Open MPI or MPICH (WuerstchenMPI).")
    ],
    targets: [
        .target(
            name: "CWuerstchenBLAS",
            linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
        // Optimised in builds for debugging too: they would take many times as long, and round
        // otherwise than the same loops optimised.
        .target(
            name: "CWuerstchenKernels",
            cSettings: [.unsafeFlags(["-O2"], .when(configuration: .debug))]),
        // Opens MPI at run time: it is built anywhere, and under Open MPI or MPICH alike.
        .target(
            name: "CWuerstchenMPI",
            linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
        .target(
            name: "CWuerstchenPhotos",
            linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
        .systemLibrary(
            name: "CWuerstchenPNG",
            pkgConfig: "libpng",
            providers: [.apt(["libpng-dev"]), .brew(["libpng"])]),
        .target(
            name: "TensorCore",
            dependencies: ["CWuerstchenBLAS", "CWuerstchenKernels"],
            swiftSettings: settings + [.strictMemorySafety(), optimised]),
        .target(
            name: "WuerstchenNN",
            dependencies: ["TensorCore"],
            swiftSettings: settings + [.strictMemorySafety()]),
        .target(
            name: "Wuerstchen",
            dependencies: ["WuerstchenNN", "TensorCore", "CWuerstchenPNG", "CWuerstchenPhotos"],
            swiftSettings: settings),
        .target(
            name: "WuerstchenTraining",
            dependencies: ["Wuerstchen", "WuerstchenNN", "TensorCore"],
            swiftSettings: settings),
        .target(
            name: "WuerstchenMPI",
            dependencies: ["WuerstchenTraining", "TensorCore", "CWuerstchenMPI"],
            swiftSettings: settings),
        .target(
            name: "WuerstchenScenes",
            dependencies: ["WuerstchenTraining", "Wuerstchen", "WuerstchenNN", "TensorCore"],
            resources: [.copy("Resources/Probe")],
            swiftSettings: settings),
        .target(
            name: "WuerstchenMiniature",
            dependencies: ["Wuerstchen", "WuerstchenNN", "TensorCore"],
            resources: [.copy("Resources/Miniature"), .copy("Resources/Students")],
            swiftSettings: settings),
        .target(
            name: "_WuerstchenTestSupport",
            dependencies: ["TensorCore", "WuerstchenNN", "Wuerstchen", "WuerstchenTraining"],
            path: "Tests/_WuerstchenTestSupport",
            swiftSettings: settings),
        .target(
            name: "_CWuerstchenKernelTwins",
            dependencies: ["CWuerstchenKernels"],
            path: "Tests/_CWuerstchenKernelTwins"),
        .testTarget(
            name: "TensorCoreTests",
            dependencies: [
                "TensorCore", "CWuerstchenKernels", "_CWuerstchenKernelTwins",
                "_WuerstchenTestSupport",
            ],
            swiftSettings: testSettings),
        .testTarget(
            name: "WuerstchenNNTests",
            dependencies: ["WuerstchenNN", "TensorCore", "_WuerstchenTestSupport"],
            swiftSettings: testSettings),
        .testTarget(
            name: "WuerstchenTests",
            dependencies: ["Wuerstchen", "TensorCore", "_WuerstchenTestSupport"],
            resources: [.copy("Fixtures")],
            swiftSettings: testSettings),
        // What is written outside the package can use public API alone, and so do these tests.
        .testTarget(
            name: "PublicAPITests",
            dependencies: ["WuerstchenTraining", "Wuerstchen", "WuerstchenNN", "TensorCore"],
            packageAccess: false,
            swiftSettings: testSettings),
        .testTarget(
            name: "WuerstchenMiniatureTests",
            dependencies: [
                "WuerstchenMiniature", "WuerstchenScenes", "WuerstchenTraining", "Wuerstchen",
                "WuerstchenNN", "TensorCore", "_WuerstchenTestSupport",
            ],
            swiftSettings: testSettings),
        .testTarget(
            name: "WuerstchenScenesTests",
            dependencies: [
                "WuerstchenScenes", "WuerstchenTraining", "Wuerstchen", "WuerstchenNN",
                "TensorCore", "_WuerstchenTestSupport",
            ],
            swiftSettings: testSettings),
        .testTarget(
            name: "WuerstchenTrainingTests",
            dependencies: [
                "WuerstchenScenes", "WuerstchenTraining", "Wuerstchen", "WuerstchenNN",
                "TensorCore",
                "_WuerstchenTestSupport",
            ],
            resources: [.copy("Fixtures")],
            swiftSettings: testSettings),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu17
)
