internal import TensorCore
internal import WuerstchenNN

/// A small encoder of residual blocks at a quarter to a thirty-second of the sides, for cascades
/// that are trained from scratch.
struct ResidualCompressor: Sendable {
    static let latentChannels = 16

    private static let widths = [32, 64, 128, 192]
    private static let depths = [1, 2, 2, 2]

    private let levels: [(downsampler: Convolution, blocks: [ResidualBlock])]
    private let projection: Linear

    init(_ root: Parameters) throws {
        let parameters = root["backbone"]
        var next = 0
        var inputs = 3
        levels = try ResidualCompressor.widths.indices.map { level in
            let width = ResidualCompressor.widths[level]
            let patch = level == 0 ? 4 : 2
            let downsampler = try Convolution(
                parameters[next], inputs, width, kernel: patch, stride: patch,
                role: level == 0 ? .inputWeight : .weight)
            let depth = ResidualCompressor.depths[level]
            let blocks = try (1...depth).map {
                try ResidualBlock(parameters[next + $0], channels: width)
            }
            // The norm in front of the next level has a number too.
            next += depth + 2
            inputs = width
            return (downsampler, blocks)
        }
        projection = try Linear(
            root["mapper"][1], inputs, SemanticCompressor.latentChannels, .pointwiseConvolution,
            hasBias: false, role: .outputWeight)
    }

    /// - Parameter pixels: `[batch, height, width, 3]`, 0…1.
    /// - Returns: `[batch, ⌊height / 32⌋, ⌊width / 32⌋, 16]`.
    /// - Throws: `CancellationError` between levels when the task is cancelled.
    func callAsFunction(_ pixels: Tensor) throws -> Tensor {
        var y = pixels.scaled(by: 4, shift: -2)
        for (index, level) in levels.enumerated() {
            try Task.checkCancellation()
            y = level.downsampler(index == 0 ? y : y.layerNormalized())
            for block in level.blocks { y = block(y) }
        }
        return projection(y.layerNormalized())
    }
}
