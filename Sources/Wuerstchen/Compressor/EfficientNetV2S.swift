internal import TensorCore
internal import WuerstchenNN

/// EfficientNetV2-S without its classifier (Tan and Le, "EfficientNetV2", 2021): images to 1280
/// channels at a thirty-second of their sides.
struct EfficientNetV2S: Sendable {
    /// A row of the paper's table of stages.
    private struct Stage {
        let isFused: Bool
        let expansion: Int
        let stride: Int
        let inputs: Int
        let outputs: Int
        let repeats: Int
    }

    private static let stages = [
        Stage(isFused: true, expansion: 1, stride: 1, inputs: 24, outputs: 24, repeats: 2),
        Stage(isFused: true, expansion: 4, stride: 2, inputs: 24, outputs: 48, repeats: 4),
        Stage(isFused: true, expansion: 4, stride: 2, inputs: 48, outputs: 64, repeats: 4),
        Stage(isFused: false, expansion: 4, stride: 2, inputs: 64, outputs: 128, repeats: 6),
        Stage(isFused: false, expansion: 6, stride: 1, inputs: 128, outputs: 160, repeats: 9),
        Stage(isFused: false, expansion: 6, stride: 2, inputs: 160, outputs: 256, repeats: 15),
    ]
    static let outputChannels = 1280

    private let stem: (Convolution, BatchNorm)
    private let stages: [[MBConv]]
    private let head: (Convolution, BatchNorm)

    init(_ parameters: Parameters) throws {
        stem = (
            try Convolution(
                parameters[0][0], 3, 24, kernel: 3, stride: 2, padding: 1, hasBias: false,
                role: .inputWeight),
            try BatchNorm(parameters[0][1], 24, epsilon: MBConv.normalizationEpsilon)
        )
        stages = try EfficientNetV2S.stages.enumerated().map { index, stage in
            try (0..<stage.repeats).map { number in
                try MBConv(
                    parameters[index + 1][number], isFused: stage.isFused,
                    inputs: number == 0 ? stage.inputs : stage.outputs, outputs: stage.outputs,
                    expansion: stage.expansion, stride: number == 0 ? stage.stride : 1)
            }
        }
        head = (
            try Convolution(
                parameters[7][0], 256, EfficientNetV2S.outputChannels, kernel: 1, hasBias: false),
            try BatchNorm(
                parameters[7][1], EfficientNetV2S.outputChannels,
                epsilon: MBConv.normalizationEpsilon)
        )
    }

    /// Normalised images `[batch, height, width, 3]` to `[batch, ⌈height / 32⌉, ⌈width / 32⌉,
    /// 1280]`. Throws `CancellationError` between blocks when the task is cancelled.
    func callAsFunction(_ x: Tensor, trace: Trace?) throws -> Tensor {
        var y = stem.0(x, stem.1, .silu)
        trace?("stage0", y)
        for (index, stage) in stages.enumerated() {
            for block in stage {
                try Task.checkCancellation()
                y = block(y)
            }
            trace?("stage\(index + 1)", y)
        }
        return head.0(y, head.1, .silu)
    }
}
