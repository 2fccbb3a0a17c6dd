public import Foundation
public import TensorCore

/// A tiny decoder of semantic latents: a small picture in milliseconds, in place of Stages B and A
/// when a preview is enough.
///
/// Which network it is is read from the parameters: the published previewers (a stack of
/// convolutions with GELU and batch norm that enlarges the latent four or eight times), or a small
/// residual decoder for cascades trained from scratch. ``init()`` needs no parameters at all.
public struct PreviewDecoder: Sendable {
    private enum Network: Sendable {
        case convolutional(ConvolutionalPreview)
        case residual(ResidualPreview)
        case linear
    }

    private let network: Network

    /// The channels of the latents that the decoder takes, or nil if it takes any.
    private var channels: Int? {
        switch network {
        case .convolutional(let network): network.inputs
        case .residual: ResidualPreview.latentChannels
        case .linear: nil
        }
    }

    /// A decoder from a safetensors file.
    ///
    /// - Parameter file: Such as the published `previewer.safetensors`.
    /// - Throws: ``WuerstchenError`` when the file cannot be read or holds something else.
    public init(contentsOf file: URL) throws {
        try self.init(parameters: try CheckpointParameters(contentsOf: file))
    }

    /// A decoder with the given parameters.
    ///
    /// - Throws: ``WuerstchenError`` when parameters are missing, surplus or misshapen, or when
    ///   OpenBLAS is not installed.
    public init(parameters source: CheckpointParameters) throws {
        _ = try BLAS.load()
        network = try Parameters.load(from: source, ignoring: BatchNorm.isCounter) { root in
            if source.shape(of: "inp.0.weight") != nil {
                return .residual(try ResidualPreview(root))
            }
            return .convolutional(try ConvolutionalPreview(root, shapes: source))
        }
    }

    /// A decoder without parameters: the three directions in which a latent varies most become
    /// brightness and two colour contrasts, one pixel for each position.
    ///
    /// It shows where things are, in colours of its own.
    public init() {
        network = .linear
    }

    /// Small pictures of latents.
    ///
    /// - Returns: One picture for each latent of the batch.
    /// - Throws: `CancellationError` when the task is cancelled, or ``WuerstchenError`` with code
    ///   `notFinite` when the result is not a picture.
    public func decode(_ latent: SemanticLatent) throws -> [Image] {
        let shape = latent.values.shape
        guard shape.rank == 4, shape.count > 0, channels ?? shape.channels == shape.channels else {
            throw WuerstchenError(
                .invalidRequest,
                "the preview decoder takes latents [batch, rows, columns, "
                    + "\(channels.map { "\($0)" } ?? "channels")], not \(shape)")
        }
        let pixels: Tensor
        switch network {
        case .convolutional(let network): pixels = try network(latent.values)
        case .residual(let network): pixels = try network(latent.values)
        case .linear:
            let parts = (0..<latent.values.shape[0]).map {
                principalColors(latent.values[$0..<$0 + 1])
            }
            pixels = Tensor.concatenating(parts)
        }
        return try Image.images(pixels, madeBy: "the preview decoder")
    }
}

/// The published previewers: convolutions, each but the last followed by GELU and then batch norm.
private struct ConvolutionalPreview: Sendable {
    private enum Layer: Sendable {
        case same(Convolution)
        case twice(TransposedConvolution)
    }

    let inputs: Int
    private let layers: [(layer: Layer, norm: BatchNorm?)]

    /// Reads the layers' widths and kernels off the shapes of their weights.
    init(_ root: Parameters, shapes: CheckpointParameters) throws {
        let blocks = root["blocks"]
        var layers: [(Layer, BatchNorm?)] = []
        var index = 0
        var widths: [Int] = []
        while let shape = shapes.shape(of: "blocks.\(index).weight") {
            guard shape.rank == 4, [1, 2, 3].contains(shape[3]), shape[2] == shape[3] else {
                throw WuerstchenError(
                    .incompatibleParameters,
                    "\(shapes.origin): blocks.\(index).weight is \(shape), not a convolution of a "
                        + "previewer")
            }
            let kernel = shape[3]
            // A kernel of 2 is a transposed convolution, whose weight has the inputs first.
            let isTransposed = kernel == 2
            let (inputs, outputs) = isTransposed ? (shape[0], shape[1]) : (shape[1], shape[0])
            guard inputs == widths.last ?? inputs else {
                throw WuerstchenError(
                    .incompatibleParameters,
                    "\(shapes.origin): blocks.\(index).weight is \(shape) after a layer of "
                        + "\(widths.last ?? 0) channels")
            }
            if widths.isEmpty { widths.append(inputs) }
            widths.append(outputs)
            let layer: Layer =
                isTransposed
                ? .twice(
                    try TransposedConvolution(blocks[index], inputs, outputs, kernel: 2, stride: 2))
                : .same(
                    try Convolution(
                        blocks[index], inputs, outputs, kernel: kernel, padding: kernel / 2))
            let hasNorm = shapes.shape(of: "blocks.\(index + 2).running_mean") != nil
            layers.append(
                (layer, hasNorm ? try BatchNorm(blocks[index + 2], outputs, epsilon: 1e-5) : nil))
            index += 3
        }
        guard let inputs = widths.first, widths.last == 3 else {
            throw WuerstchenError(
                .incompatibleParameters,
                "\(shapes.origin) has no layers from blocks.0.weight on to one of 3 channels; it is "
                    + "not a previewer")
        }
        self.inputs = inputs
        self.layers = layers
    }

    func callAsFunction(_ x: Tensor) throws -> Tensor {
        var y = x
        for (layer, norm) in layers {
            try Task.checkCancellation()
            let activation: Activation = norm == nil ? .identity : .gelu
            switch layer {
            case .same(let convolution): y = convolution(y, activation)
            case .twice(let convolution): y = convolution(y, activation)
            }
            if let norm { y = norm(y) }
        }
        return y
    }
}

/// A small residual decoder that enlarges a latent about forty-three times.
private struct ResidualPreview: Sendable {
    static let latentChannels = 16

    private let input: Linear
    private let inputBlock: ResidualBlock
    private let blocks: [[ResidualBlock]]
    private let upsamplers: [TransposedConvolution]
    private let output: Convolution

    init(_ root: Parameters) throws {
        let up = root["up"]
        input = try Linear(
            root["inp"][0], ResidualPreview.latentChannels, 192, .pointwiseConvolution)
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
        output = try Convolution(root["out"][0], 32, 48, kernel: 3, padding: 1)
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

/// One latent's three principal components as brightness and two colour contrasts,
/// `[1, rows, columns, 3]`.
private func principalColors(_ latent: Tensor) -> Tensor {
    let channels = latent.shape.channels
    let positions = latent.count / max(1, channels)
    let values = latent.elements
    let means = (0..<channels).map { channel in
        (0..<positions).reduce(Float(0)) { $0 + values[$1 * channels + channel] }
            / Float(max(1, positions))
    }
    var rest = values.indices.map { values[$0] - means[$0 % channels] }
    var components: [[Float]] = []
    for number in 0..<3 {
        // Power iteration on the covariance; the component found is then taken off the data.
        var direction = (0..<channels).map { Float($0 % 3 == number ? 1.5 : 1) }
        var scores = [Float](repeating: 0, count: positions)
        for _ in 0..<24 {
            let length = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
            direction = direction.map { $0 / max(length, 1e-12) }
            for position in 0..<positions {
                scores[position] = (0..<channels).reduce(0) {
                    $0 + rest[position * channels + $1] * direction[$1]
                }
            }
            let found = (0..<channels).map { channel in
                (0..<positions).reduce(Float(0)) {
                    $0 + rest[$1 * channels + channel] * scores[$1]
                }
            }
            if found.allSatisfy({ abs($0) < 1e-12 }) { break }
            direction = found
        }
        for index in rest.indices {
            let length = direction.reduce(0) { $0 + $1 * $1 }
            rest[index] -=
                length > 0
                ? scores[index / channels] * direction[index % channels] / length.squareRoot() : 0
        }
        let deviation = (scores.reduce(0) { $0 + $1 * $1 } / Float(max(1, positions))).squareRoot()
        components.append(scores.map { $0 / max(deviation, 1e-6) })
    }
    return Tensor([1, latent.shape[1], latent.shape[2], 3]) { target in
        for position in 0..<positions {
            let bright = 0.5 + 0.2 * components[0][position]
            let (warm, green) = (0.1 * components[1][position], 0.1 * components[2][position])
            target[3 * position] = bright + warm - green / 2
            target[3 * position + 1] = bright + green
            target[3 * position + 2] = bright - warm - green / 2
        }
    }
}
