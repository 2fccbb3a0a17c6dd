import Wuerstchen

/// One forward pass of a stage with random weights, for images of a size.
struct StageBenchmark {
    /// A stage, ready to run on a batch of images.
    private let prepare: (_ side: Int, _ batch: Int) throws -> () throws -> Void
    private let name: String
    private let precision: Precision
    /// FLOP of an image of 1024×1024, as published: linear layers, convolutions and attention.
    private let flops: Double

    init(_ part: Benchmark.Part, _ precision: Precision) throws {
        switch part {
        case .stageC: try self.init(StageC.self, precision)
        case .stageB: try self.init(StageB.self, precision)
        default: try self.init(stageA: precision)
        }
    }

    private init(stageA precision: Precision) throws {
        (name, flops) = ("Stage A, decode", 2.172e12)
        self.precision = precision
        let stage = try StageA(
            configuration: .init(), parameters: RandomParameters(seed: 3), precision: precision)
        prepare = { side, batch in
            let x = random("latent", [batch, side / 4, side / 4, 4])
            return { _ = try stage.decode(unscaled: x) }
        }
    }

    private init<Stage: BenchmarkedStage>(_ type: Stage.Type, _ precision: Precision) throws {
        let stage = try Stage.withRandomWeights(precision)
        (name, flops) = ("\(stage.description.name), one forward", Stage.flops)
        self.precision = precision
        prepare = { side, batch in
            let forward = try stage.forward(side: StageBenchmark.grid(side), batch: batch)
            return { _ = try forward() }
        }
    }

    /// The side of the semantic latent for a side in pixels: multiples of three, as Stage B needs.
    private static func grid(_ side: Int) -> Int { 3 * (side * 8 / 1024) }

    /// The image that the published figures are for.
    func measure(_ table: inout ResultTable) throws {
        try table.measure(name, precision, flops: flops, try prepare(1024, 1))
    }

    /// Images of another size, in a batch.
    ///
    /// - Returns: The seconds of the fastest run.
    @discardableResult
    func measure(side: Int, batch: Int, _ table: inout ResultTable) throws -> Double {
        let label = "\(name), \(batch) × \(side)², \(Threads.count) threads"
        let work = try prepare(side, batch)
        return try table.measureTime(label, precision, perPixel: Double(batch * side * side), work)
    }
}

/// Stages against image size, batch and threads.
enum ScalingBenchmark {
    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        let threads = Threads.count
        defer { Threads.count = threads }
        for part in [Benchmark.Part.stageC, .stageB, .stageA] {
            let stage = try StageBenchmark(part, precision)
            for side in [512, 768, 1024, 1536, 2048] {
                try stage.measure(side: side, batch: 1, &table)
            }
            for batch in [2, 4, 8] { try stage.measure(side: 512, batch: batch, &table) }
            for count in stride(from: 1, through: threads, by: 1) where threads % count == 0 {
                Threads.count = count
                try stage.measure(side: 1024, batch: 1, &table)
            }
        }
    }
}

/// The two text encoders.
enum TextBenchmark {
    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        for (name, configuration, flops) in [
            ("bigG", CLIPTextModel.Configuration.bigG, 98e9), ("ViT-H", .huge, 47e9),
        ] {
            let model = try CLIPTextModel(
                configuration: configuration, parameters: RandomParameters(seed: 4),
                precision: precision)
            let ids = [Array(0..<77)]
            let mask = [[Bool](repeating: true, count: 77)]
            try table.measure("text encoder \(name), 77 tokens", precision, flops: flops) {
                _ = try model(ids: ids, mask: mask)
            }
        }
    }
}

/// From weights in memory to a network.
enum LoadingBenchmark {
    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        let source = SharedParameters()
        try table.measureTime("loading Stage C", precision) {
            _ = try StageC(configuration: .init(), parameters: source, precision: precision)
        }
        try table.measureTime("loading Stage B", precision) {
            _ = try StageB(configuration: .init(), parameters: source, precision: precision)
        }
        try table.measureTime("loading Stage A", precision) {
            _ = try StageA(configuration: .init(), parameters: source, precision: precision)
        }
        try table.measureTime("loading text encoder bigG", precision) {
            _ = try CLIPTextModel(configuration: .bigG, parameters: source, precision: precision)
        }
    }

    /// Parameters that are all parts of one tensor, so that no time goes into making them.
    private struct SharedParameters: ParameterSource {
        let origin = "shared parameters"
        let names: Set<String>? = nil
        private let numbers = random("shared", [1 << 26]).scaled(by: 0.01, shift: 0.01)

        func parameter(_ request: ParameterRequest) -> FoundParameter {
            let shape = request.shape
            return shape.count <= numbers.count
                ? .found(numbers[0..<shape.count].reshaped(to: shape)) : .missing
        }
    }
}

/// An image of 1024×1024 in the published number of steps, one network in memory at a time.
enum CascadeBenchmark {
    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        try table.measureOnce("an image, 60 and 12 steps", precision) {
            _ = try image(precision, stageCSteps: 60, stageBSteps: 12)
        }
    }

    /// An image of random networks, each made, run and given up in its turn.
    static func image(
        _ precision: Precision, stageCSteps: Int, stageBSteps: Int
    ) throws -> Image? {
        var options = (stageC: SamplingOptions.stageC, stageB: SamplingOptions.stageB)
        options.stageC.timesteps = try Timesteps(count: stageCSteps)
        options.stageB.timesteps = try Timesteps(count: stageBSteps)
        let semantic = try StageC.withRandomWeights(precision).sample(
            text(.bigG, precision), imageSize: ImageSize(width: 1024, height: 1024), seed: 7,
            options: options.stageC)
        let latent = try StageB.withRandomWeights(precision)
            .sample(semantic, text: text(.huge, precision), seed: 7, options: options.stageB)
        return try StageA(
            configuration: .init(), parameters: RandomParameters(seed: 3), precision: precision
        ).decode(latent).first
    }

    private static func text<Stage>(
        _ configuration: CLIPTextModel.Configuration, _ precision: Precision
    ) throws -> TextEmbedding<Stage> {
        let model = try CLIPTextModel(
            configuration: configuration, parameters: RandomParameters(seed: 4),
            precision: precision)
        let mask = [[Bool](repeating: true, count: 77)]
        return TextEmbedding(
            prompts: try model(ids: [Array(0..<77)], mask: mask),
            negatives: try model(ids: [Array(100..<177)], mask: mask))
    }
}
