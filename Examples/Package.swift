// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

func example(_ name: String, folder: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .executableTarget(
        name: name,
        dependencies: [
            .product(name: "Wuerstchen", package: "Wuerstchen"),
            .product(name: "WuerstchenTraining", package: "Wuerstchen"),
            .product(name: "WuerstchenScenes", package: "Wuerstchen"),
            .product(name: "WuerstchenMiniature", package: "Wuerstchen"),
        ] + dependencies,
        path: "Sources/\(folder)",
        swiftSettings: settings)
}

let support = Target.Dependency.target(name: "ExampleSupport")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "Examples",
    platforms: [.macOS(.v15)],
    traits: [
        .trait(name: "MPI", description: "Training by several processes over MPI.")
    ],
    dependencies: [
        // Named, because a path dependency is otherwise called after whatever folder it lies in.
        .package(
            name: "Wuerstchen", path: "..",
            // Without .defaults, of which there are none: they would put a flag on every compiler
            // call that the package's own builds do not have.
            traits: [.trait(name: "MPI", condition: .when(traits: ["MPI"]))]),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    ],
    targets: [
        .target(
            name: "ExampleSupport",
            dependencies: [
                .product(name: "Wuerstchen", package: "Wuerstchen"),
                .product(name: "WuerstchenTraining", package: "Wuerstchen"),
                .product(name: "WuerstchenMiniature", package: "Wuerstchen"), arguments,
                .product(
                    name: "WuerstchenMPI", package: "Wuerstchen",
                    condition: .when(traits: ["MPI"])),
            ],
            path: "Sources/Support", swiftSettings: settings),
        example("text-to-image", folder: "TextToImage", [arguments, support]),
        example("chain-stages", folder: "ChainStages", [support]),
        .executableTarget(
            name: "train-tiny",
            dependencies: [
                .product(name: "TensorCore", package: "Wuerstchen"),
                .product(name: "WuerstchenNN", package: "Wuerstchen"),
                .product(name: "WuerstchenTraining", package: "Wuerstchen"),
            ],
            path: "Sources/TrainTiny", swiftSettings: settings),
        example("random-checkpoint", folder: "RandomCheckpoint", [arguments, support]),
        example("convert", folder: "Convert", [arguments, support]),
        example("scenes", folder: "Scenes", [arguments, support]),
        example("train", folder: "Train", [arguments, support]),
        example("distill", folder: "Distill", [arguments, support]),
        example("evaluate", folder: "Evaluate", [arguments, support]),
        example("benchmark", folder: "Benchmark", [arguments, support]),
        example(
            "documentation-pictures", folder: "DocumentationPictures", [arguments, support]),
        .testTarget(
            name: "ExamplesTests",
            dependencies: [
                "text-to-image", "chain-stages", "random-checkpoint", "train", "distill", "scenes",
                "evaluate", "train-tiny", "convert",
            ],
            swiftSettings: settings + [.unsafeFlags(["-Onone"], .when(configuration: .release))]),
    ],
    swiftLanguageModes: [.v6]
)
