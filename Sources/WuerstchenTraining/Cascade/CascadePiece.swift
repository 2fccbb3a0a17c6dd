/// A piece of the training of a cascade. Later ones stand on earlier ones.
public enum CascadePiece: String, Sendable, Codable, CaseIterable, CodingKeyRepresentable {
    /// The VQGAN.
    case stageA = "stage-a"
    /// Stage A's decoder once more, on latents that are not quantised, as Stage B makes them.
    case decoder
    /// The semantic compressor, with the preview decoder.
    case compressor
    /// The text encoder, on captions alone.
    case text
    /// The preview decoder once more, on the compressor as it is when it is done.
    case preview
    /// Stage B with its text encoder, on Stage A and the compressor.
    case stageB = "stage-b"
    /// Stage C with its text encoder, on the compressor.
    case stageC = "stage-c"

    /// The piece in words.
    public var title: String {
        switch self {
        case .stageA: "Stage A"
        case .decoder: "Stage A's decoder"
        case .compressor: "compressor"
        case .text: "text encoder"
        case .preview: "preview decoder"
        case .stageB: "Stage B"
        case .stageC: "Stage C"
        }
    }

    /// How a piece of a small cascade is trained: what the miniature was, with as many steps.
    public var options: TrainingOptions {
        switch self {
        case .stageA:
            TrainingOptions(steps: 8000, batchSize: 16, peakRate: 2e-3)
        case .decoder: muon(steps: 10_000, peakRate: 1e-3, weightDecay: 0)
        case .compressor:
            TrainingOptions(steps: 3000, batchSize: 12, peakRate: 2e-3, weightDecay: 1e-4)
        case .text: TrainingOptions(steps: 700, batchSize: 128, peakRate: 1e-3)
        case .preview:
            TrainingOptions(steps: 4000, batchSize: 16, peakRate: 1e-3, weightDecay: 1e-4)
        case .stageB:
            muon(steps: 14_000, peakRate: 1.2e-3, weightDecay: 1e-3, averageDecay: 0.999)
        case .stageC:
            TrainingOptions(steps: 18000, batchSize: 48, peakRate: 1e-3, averageDecay: 0.999)
        }
    }

    /// Steps of sixteen images with Muon: a fifth less loss than AdamW after as many.
    private func muon(
        steps: Int, peakRate: Float, weightDecay: Float, averageDecay: Float = 0.998
    ) -> TrainingOptions {
        var result = TrainingOptions(
            steps: steps, batchSize: 16, peakRate: peakRate, weightDecay: weightDecay,
            averageDecay: averageDecay)
        result.optimizer = Muon(weightDecay: weightDecay)
        return result
    }

    /// The same with another number of steps, over which the rate rises and falls.
    ///
    /// - Parameters:
    ///   - steps: The steps.
    ///   - rateFactor: What share of the rate to take, for a piece that is trained already.
    /// - Returns: The settings.
    public func options(steps: Int, rateFactor: Float = 1) -> TrainingOptions {
        var result = options
        result.rate =
            TrainingOptions(
                steps: steps, batchSize: result.batchSize,
                peakRate: rateFactor * result.rate.peak
            ).rate
        result.steps = steps
        return result
    }

    /// The share of the time for training that the piece gets.
    public var share: Double {
        switch self {
        case .stageA: 0.12
        case .decoder: 0.1
        case .compressor: 0.1
        case .text: 0.03
        case .preview: 0.05
        case .stageB: 0.33
        case .stageC: 0.27
        }
    }
}
