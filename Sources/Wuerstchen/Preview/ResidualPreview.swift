internal import TensorCore
internal import WuerstchenNN

/// A small residual decoder that enlarges a latent about forty-three times.
struct ResidualPreview: Sendable {
    static let latentChannels = 16

    private let input: Linear
    private let inputBlock: ResidualBlock
    private let blocks: [[ResidualBlock]]
    private let upsamplers: [TransposedConvolution]
    private let output: Convolution

    init(_ root: Parameters) throws {
        let up = root["up"]
        input = try Linear(
            root["inp"][0], ResidualPreview.latentChannels, 192, .pointwiseConvolution,
            role: .inputWeight)
        inputBlock = try ResidualBlock(root["inp"][1], channels: 192)
        blocks = [
            [try ResidualBlock(up[0], channels: 192)],
            [try ResidualBlock(up[3], channels: 128)],
            [try ResidualBlock(up[6], channels: 64), try ResidualBlock(up[7], channels: 64)],
        ]
        upsamplers = [
            try TransposedConvolution(up[2], 192, 128, kernel: 2, stride: 2),
            try TransposedConvolution(up[5], 128, 64, kernel: 2, stride: 2),
            try TransposedConvolution(up[9], 64, 32, kernel: 2, stride: 2),
        ]
        output = try Convolution(
            root["out"][0], 32, 48, kernel: 3, padding: 1, role: .outputWeight)
    }

    func callAsFunction(_ x: Tensor) throws -> Tensor {
        func enlarged(_ side: Int) -> Int { max(1, Int((Double(side) * 4 / 3).rounded())) }
        let first = inputBlock(input(x))
        var y = first.resized(
            rows: .bilinear(from: x.shape[1], to: enlarged(x.shape[1])),
            columns: .bilinear(from: x.shape[2], to: enlarged(x.shape[2])))
        for (index, level) in blocks.enumerated() {
            try Task.checkCancellation()
            for block in level { y = block(y) }
            let isLast = index == blocks.count - 1
            y = upsamplers[index](y.layerNormalized(), isLast ? .gelu : .identity)
        }
        return output(y).pixelShuffled(4).scaled(by: 1, shift: 0.5)
    }
}
