import Wuerstchen

/// The operations that the stages are made of, at their largest published shapes.
enum OperationBenchmark {
    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        func matrix(_ outputs: Int, _ features: Int) -> PackedWeight {
            PackedWeight(random("w", [outputs, features]), precision: precision)
        }
        func measure(_ name: String, _ flops: Double, _ work: () -> Void) throws {
            try table.measure(name, precision, flops: flops, work)
        }
        try attention("C, 576 + 77 positions, 24 heads", (576, 1536, 24), precision, &table)
        try attention("B, 4096 + 77 positions, 10 heads", (4096, 640, 10), precision, &table)

        let semantic = random("c", [1, 24, 24, 1536])
        let wide = matrix(6144, 1536)
        try measure("layer norm, C", 8 * 576 * 1536) {
            _ = semantic.layerNormalized(for: wide)
        }
        let taps = random("taps", [9, 320])
        let bias = random("bias", [320])
        let map = random("b", [1, 128, 128, 320])
        let expand = matrix(1280, 320)
        try measure("depthwise 3×3 and norm, B", 26 * 16384 * 320) {
            _ = map.normalizedDepthwiseConvolution(taps, bias: bias, for: expand)
        }
        let project = matrix(320, 1280)
        let epilogue = Epilogue(bias: random("b1", [1280]), activation: .gelu)
        let gamma = random("gamma", [1280])
        try measure("two layers with response norm, B", 4 * 16384 * 320 * 1280) {
            let (hidden, sumOfSquares) = Tensor.linearWithSumOfSquares(
                [Tensor.Term(map, expand)], epilogue, for: project)
            let response = Tensor.globalResponse(sumOfSquares: sumOfSquares, gamma: gamma)
            _ = Tensor.linear(
                [Tensor.Term(hidden, project, inputScale: response)], Epilogue(residual: map))
        }
        let halve = matrix(640, 4 * 320)
        try measure("convolution 2×2 down, B", 2 * 4096 * 4 * 320 * 640) {
            _ = map.convolution(halve, kernel: 2, stride: 2)
        }

        let (first, second) = (matrix(1536, 384), matrix(384, 1536))
        let mixTaps = random("taps", [9, 384])
        let mixBias = random("bias", [384])
        let mixing = Mixing(Tensor([0, 0, 0.1], [3]))
        var pixels = random("a", [1, 256, 256, 384])
        try measure("depthwise 3×3 of a norm, A", 26 * 65536 * 384) {
            pixels = (consume pixels).addingDepthwiseConvolution(
                mixTaps, bias: mixBias, mixing: mixing)
        }
        try measure("MLP, A", 4 * 65536 * 384 * 1536) {
            pixels = (consume pixels).addingMLP(
                (first, nil), (second, nil), mixing: mixing)
        }
        let phases = (0..<4).map { _ in matrix(192, 4 * 384) }
        try measure("convolution 4×4 up, A", 2 * 262144 * 4 * 384 * 192) {
            _ = pixels.transposedConvolution(phases, bias: nil, kernel: 4, stride: 2, padding: 1)
        }
    }

    /// Attention to oneself and to a text.
    private static func attention(
        _ name: String, _ size: (positions: Int, channels: Int, heads: Int),
        _ precision: Precision, _ table: inout ResultTable
    ) throws {
        let x = random("x", [1, size.positions, size.channels]).scaled(by: 2)
        let text = random("text", [1, 77, size.channels])
        let flops = 4 * Double(size.positions * (size.positions + 77) * size.channels)
        try table.measure("attention, \(name)", precision, flops: flops) {
            _ = x.attention(
                to: [.init(keys: x, values: x), .init(keys: text, values: text)],
                heads: size.heads, precision: precision)
        }
    }
}
