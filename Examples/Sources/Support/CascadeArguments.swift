public import ArgumentParser
public import Foundation
public import Wuerstchen
private import WuerstchenMiniature

/// The cascade that a command works with: the small one or a checkpoint, with stages replaced.
public struct CheckpointArguments: ParsableArguments, Sendable {
    /// The folder that was named.
    @Option(
        help: """
            A folder with wuerstchen-prior and wuerstchen in it, as published. Where images are made, \
            also a folder of the hub's cache (models--ORG--NAME), of the combined pipeline, or with \
            the original repository's files. (default: the small cascade that ships in the package, \
            which draws scenes of 256×256)
            """)
    public var checkpoint: String?

    /// The folder of another Stage C.
    @Option(
        help: """
            A Stage C in place of the checkpoint's: a folder with config.json and weights, such as \
            the folder `student` that distill writes. Where images are made it can be the folder of \
            several students, of which --stage-c-steps picks one.
            """)
    public var stageC: String?

    /// The folder of another Stage B.
    @Option(
        help: """
            A Stage B in place of the checkpoint's: a folder with config.json and weights, such as \
            the folder `student` that distill writes. Where images are made it can be the folder of \
            several students, of which --stage-b-steps picks one.
            """)
    public var stageB: String?

    /// The folder of another Stage A.
    @Option(
        help: """
            A Stage A in place of the checkpoint's, such as the folder `student` of distill decoder.
            """)
    public var stageA: String?

    /// Nothing named.
    public init() {}

    /// Whether nothing was named.
    var isEmpty: Bool { checkpoint == nil && stages == StageFolders() }

    /// Refuses to fall back to drawn scenes where another checkpoint than the small cascade was
    /// named and nobody asked for them.
    ///
    /// - Parameters:
    ///   - images: The folder of images that was named.
    ///   - scenes: Whether drawn scenes were asked for.
    /// - Throws: `ValidationError`.
    public func requireData(images: String?, scenes: Bool) throws {
        try ExampleSupport.requireData(for: checkpoint, images: images, scenes: scenes)
    }

    /// The stages that were named.
    public var stages: StageFolders {
        func folder(_ path: String?) -> URL? { path.map { URL(fileURLWithPath: $0) } }
        return StageFolders(
            stageC: folder(stageC), stageB: folder(stageB), stageA: folder(stageA))
    }

    /// The checkpoint's folder.
    public func folder() throws -> URL {
        try checkpoint.map { URL(fileURLWithPath: $0) } ?? Miniature.folder()
    }

    /// The cascade.
    public func cascade(
        variant: String? = nil, precision: Precision, memory: MemoryPolicy = .resident
    ) throws -> Cascade {
        try Cascade(
            contentsOf: folder(), variant: variant, precision: precision, memory: memory,
            replacing: stages)
    }
}

/// Refuses to fall back to drawn scenes where a checkpoint was named and nobody asked for them.
///
/// - Parameters:
///   - checkpoint: The checkpoint that was named; nil for the small cascade, or for none.
///   - images: The folder of images that was named.
///   - scenes: Whether drawn scenes were asked for.
/// - Throws: `ValidationError`.
public func requireData(for checkpoint: String?, images: String?, scenes: Bool) throws {
    if images != nil, scenes {
        throw ValidationError("--images and --scenes exclude each other")
    }
    guard let checkpoint, images == nil, !scenes else { return }
    throw ValidationError(
        "\(checkpoint) is not the small cascade: name its images with --images, or pass --scenes "
            + "if they are drawn scenes")
}

/// The same, or the small cascade with its students.
public struct CascadeArguments: ParsableArguments, Sendable {
    /// What was named.
    @OptionGroup public var checkpoint: CheckpointArguments

    /// Whether the students are wanted.
    @Flag(
        help: """
            Take few steps of the small cascade: one of a distilled Stage C, four of Stage B.
            """)
    public var fast = false

    /// The adapters.
    @Option(
        name: .customLong("lora"),
        help: ArgumentHelp(
            """
            A LoRA for the stages, such as lora.safetensors of train lora, or one in the naming of \
            diffusers or kohya; with :SCALE behind it for more or less of it. Several add up.
            """, valueName: "file[:scale]"))
    public var loras: [LoRAArgument] = []

    /// Nothing named.
    public init() {}

    /// Refuses the students of the small cascade together with another checkpoint.
    public func validate() throws {
        guard !fast || checkpoint.isEmpty else {
            throw ValidationError(
                "--fast takes the students of the small cascade in the package; name those of your "
                    + "own checkpoint with --stage-c, --stage-b and --stage-a")
        }
    }

    /// The cascade, with the students of some steps where stages are folders of several; the most
    /// steps that there are for nil.
    public func cascade(
        variant: String? = nil, precision: Precision, memory: MemoryPolicy = .resident,
        stageCSteps: Int? = nil, stageBSteps: Int? = nil
    ) throws -> Cascade {
        try Cascade(
            contentsOf: checkpoint.folder(), variant: variant, precision: precision, memory: memory,
            replacing: stages.choosing(stageC: stageCSteps, stageB: stageBSteps),
            loras: loras.map(\.file))
    }

    /// The same with the best Stage C for a number of steps: of the students that were named, or
    /// the checkpoint's own.
    ///
    /// - Returns: This, with a single stage named, and the steps that Stage C takes.
    public func best(for steps: Int) throws -> (arguments: CascadeArguments, steps: Int) {
        let (stages, steps) = try stages.best(for: steps)
        var result = self
        result.fast = false
        result.checkpoint.stageC = stages.stageC?.path
        result.checkpoint.stageB = stages.stageB?.path
        result.checkpoint.stageA = stages.stageA?.path
        return (result, steps)
    }

    /// The stages that were named, or the small cascade's students.
    private var stages: StageFolders {
        get throws { fast ? try Miniature.students() : checkpoint.stages }
    }
}

/// A file of adapters and how much of it counts, such as `windmill.safetensors:0.8`.
public struct LoRAArgument: ExpressibleByArgument, Sendable {
    /// The file and its scale.
    public let file: LoRAFile

    /// A path, or one with a number behind the last colon that is no file's name.
    public init?(argument: String) {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count > 1, let scale = parts.last.flatMap({ Float($0) }),
            !FileManager.default.fileExists(atPath: argument)
        {
            guard scale.isFinite else { return nil }
            let path = parts.dropLast().joined(separator: ":")
            file = LoRAFile(URL(fileURLWithPath: path), scale: scale)
        } else {
            file = LoRAFile(URL(fileURLWithPath: argument))
        }
    }
}
