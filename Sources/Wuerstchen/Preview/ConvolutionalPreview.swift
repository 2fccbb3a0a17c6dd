internal import TensorCore
internal import WuerstchenNN

/// The published previewers: convolutions, each but the last followed by GELU and then batch norm.
struct ConvolutionalPreview: Sendable {
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
