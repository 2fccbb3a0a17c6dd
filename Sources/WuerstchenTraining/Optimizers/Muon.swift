public import TensorCore
public import WuerstchenNN

/// Muon for the matrices of hidden layers, and AdamW for all other parameters (Jordan et al.,
/// "Muon: An optimizer for hidden layers in neural networks", 2024).
///
/// A matrix moves along the orthogonal matrix that is nearest to its momentum, so that all of its
/// directions are learnt at one speed. What a parameter is to its layer decides who moves it:
/// weights between others are Muon's; embeddings, norms, biases, depthwise kernels and the layers
/// that take the network's input or make its output are AdamW's. Kernels of convolutions are
/// matrices `[outputs, inputs · height · width]`, those of transposed convolutions
/// `[inputs, outputs · height · width]`.
///
/// A matrix moves by `0.2 · √max(rows, columns)` times the rate, which makes its elements move as
/// far as AdamW's do (Liu et al., "Muon is Scalable for LLM Training", 2025): a rate and a weight
/// decay that were good for AdamW can be kept. This is `torch.optim.Muon` with `adjust_lr_fn` set
/// to `match_rms_adamw`, but for the numbers: PyTorch orthogonalises in bfloat16, this in 32-bit
/// floats, or where a training multiplies in bfloat16 with factors of bfloat16 and sums of 32 bits.
/// All are equally far from orthogonal, as the iteration ends with singular values of about 0.7 to
/// 1.2.
///
/// It remembers `momentum` of a matrix, which is half of what AdamW remembers.
public struct Muon: Optimizer {
    /// The name.
    public let name = "muon"
    /// How much of the momentum stays in a step.
    public var momentum: Float
    /// Steps of the iteration that orthogonalises.
    public var iterations: Int
    /// Moves what is no hidden matrix.
    public var others: AdamW

    /// The share of a parameter that is taken off in a step, in units of the learning rate.
    public var weightDecay: Float {
        get { others.weightDecay }
        set { others.weightDecay = newValue }
    }

    /// An optimiser of the given settings; the published ones by default.
    ///
    /// - Parameters:
    ///   - momentum: How much of the momentum stays in a step.
    ///   - iterations: Steps of the iteration that orthogonalises.
    ///   - others: Moves what is no hidden matrix, and has the weight decay of both.
    public init(momentum: Float = 0.95, iterations: Int = 5, others: AdamW = AdamW()) {
        self.momentum = momentum
        self.iterations = iterations
        self.others = others
    }

    /// The same with a weight decay.
    public init(weightDecay: Float) {
        self.init(others: AdamW(weightDecay: weightDecay))
    }

    private func isMatrix(_ role: ParameterRole?, _ shape: Shape) -> Bool {
        role == .weight && shape.rank >= 2
    }

    /// The momentum of a hidden matrix, and AdamW's running means of everything else.
    public func tensorKinds(of role: ParameterRole?, _ shape: Shape) -> Set<String> {
        isMatrix(role, shape) ? ["momentum"] : others.tensorKinds(of: role, shape)
    }

    /// Moves one parameter.
    public func update(
        _ parameter: inout Tensor, _ gradient: Tensor, _ memory: inout OptimizerState.Memory,
        role: ParameterRole?, scale: Float, rate: Float, precision: Precision
    ) {
        guard isMatrix(role, parameter.shape) else {
            return others.update(
                &parameter, gradient, &memory, role: role, scale: scale, rate: rate,
                precision: precision)
        }
        let gradient = scale == 1 ? gradient : gradient.scaled(by: scale)
        var mean = memory.take("momentum", gradient.shape)
        mean.move(towards: gradient, by: 1 - momentum)
        // Nesterov's momentum looks a step ahead.
        let direction = Tensor.combine(1 - momentum, gradient, momentum, mean)
        memory.tensors["momentum"] = mean
        memory.count += 1
        let rows = parameter.shape[0]
        let columns = parameter.count / max(1, rows)
        let step = direction.reshaped(to: [rows, columns]).orthogonalized(
            iterations: iterations, precision: precision)
        let length = 0.2 * Float(max(rows, columns)).squareRoot()
        parameter = Tensor.combine(
            1 - rate * weightDecay, parameter, -rate * length,
            step.reshaped(to: parameter.shape))
    }
}

extension Tensor {
    /// About the nearest orthogonal matrix: of a matrix `U · S · Vᵀ` some `U · S' · Vᵀ` with
    /// singular values `S'` near 1.
    ///
    /// A polynomial of fifth degree is applied to the singular values over and over, a
    /// Newton–Schulz iteration. Its coefficients are Jordan's: they lift small values as fast as
    /// can be, and leave the others where they swing around 1.
    ///
    /// - Parameters:
    ///   - iterations: How often.
    ///   - precision: The numbers that matrices are multiplied with; 8 bits would not do.
    /// - Returns: A matrix of the same shape; zeros of a matrix of zeros.
    func orthogonalized(iterations: Int, precision: Precision = .float32) -> Tensor {
        // The smaller of the two products with its transpose is computed.
        if shape[0] > shape[1] {
            return matrixTransposed().orthogonalized(iterations: iterations, precision: precision)
                .matrixTransposed()
        }
        let size = Float(max(squareSum().squareRoot(), 1e-7))
        var x = scaled(by: 1 / size)
        let (rows, columns) = (shape[0], shape[1])
        for _ in 0..<iterations {
            let gram = x.product(with: x, precision)
            let cubic = Tensor.combine(-4.7750, gram, 2.0315, gram.product(with: gram, precision))
            let product = cubic.product(with: x.matrixTransposed(), precision)
            x = Tensor.combine(3.4445, x, 1, product.reshaped(to: [rows, columns]))
        }
        return x
    }

    /// `self · otherᵀ` of two matrices, as a product of one sample's rows.
    private func product(with other: Tensor, _ precision: Precision) -> Tensor {
        let rows = reshaped(to: [1, shape[0], shape[1]])
        let result =
            precision == .bfloat16
            ? rows.linear(PackedWeight(other, precision: precision)) : rows.linear(other)
        return result.reshaped(to: [shape[0], other.shape[0]])
    }
}
