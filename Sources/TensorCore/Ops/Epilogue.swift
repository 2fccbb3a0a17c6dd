internal import CWuerstchenKernels

/// What a linear layer does to its sums while they are still in the cache:
///
///     y = activation(scale · x + bias)
///     y = residual + gain · y
///     y = y · (1 + modulation.scale) + modulation.shift
///
/// Parts that are left out cost nothing.
public struct Epilogue: Sendable {
    /// A factor for each output channel, such as a folded batch norm's.
    public var scale: Tensor?
    /// A summand for each output channel.
    public var bias: Tensor?
    /// The activation function.
    public var activation: Activation
    /// What is added at the end, in the shape of the result.
    public var residual: Tensor?
    /// The factor of the activated sums.
    public var gain: Float
    /// A factor and a summand for each sample and output channel, both `[samples, channels]`.
    public var modulation: Modulation?

    /// y = x · (1 + scale) + shift, per sample and channel.
    public struct Modulation: Sendable {
        /// `[samples, channels]`, 0 for no change.
        public var scale: Tensor
        /// `[samples, channels]`
        public var shift: Tensor

        /// A modulation by a factor and a summand, both `[samples, channels]`.
        public init(scale: Tensor, shift: Tensor) {
            self.scale = scale
            self.shift = shift
        }
    }

    /// An epilogue of the given parts.
    public init(
        scale: Tensor? = nil, bias: Tensor? = nil, activation: Activation = .identity,
        residual: Tensor? = nil, gain: Float = 1, modulation: Modulation? = nil
    ) {
        self.scale = scale
        self.bias = bias
        self.activation = activation
        self.residual = residual
        self.gain = gain
        self.modulation = modulation
    }

    /// What the parts were computed by.
    var edges: [GradientEdge?] {
        [
            scale?.edge, bias?.edge, residual?.edge, modulation?.scale.edge,
            modulation?.shift.edge,
        ]
    }

    /// The kernel's description of the steps for the part of the result that starts at the given
    /// sample and row (of all samples' rows).
    func steps(sample: Int, row: Int, columns: Int) -> wk_epilogue {
        unsafe wk_epilogue(
            scale: scale?.pointer, bias: bias?.pointer, activation: activation.kernel, gain: gain,
            residual: residual.map { unsafe $0.pointer + row * columns }, residual_ld: columns,
            modulation_scale: unsafe modulation.map { unsafe $0.scale.pointer + sample * columns },
            modulation_shift: unsafe modulation.map { unsafe $0.shift.pointer + sample * columns },
            sum_of_squares: nil)
    }

    /// The kernels read as many elements as the result has; shorter parts must not get that far.
    func check(samples: Int, columns: Int, count: Int) {
        for part in [scale, bias] {
            precondition(part?.count ?? columns == columns, "an epilogue for \(columns) channels")
        }
        precondition(
            residual?.count ?? count == count,
            "a residual \(residual?.shape as Any) for \(count) elements")
        for part in [modulation?.scale, modulation?.shift] {
            precondition(
                part?.count ?? samples * columns == samples * columns,
                "a modulation \(part?.shape as Any) for \(samples) samples of \(columns) channels")
        }
    }
}

extension wk_epilogue {
    /// The steps for the columns from `column` on.
    func moved(by column: Int) -> wk_epilogue {
        unsafe wk_epilogue(
            scale: scale.map { unsafe $0 + column }, bias: unsafe bias.map { unsafe $0 + column },
            activation: unsafe activation, gain: gain,
            residual: residual.map { unsafe $0 + column },
            residual_ld: unsafe residual_ld,
            modulation_scale: modulation_scale.map { unsafe $0 + column },
            modulation_shift: unsafe modulation_shift.map { unsafe $0 + column },
            sum_of_squares: unsafe sum_of_squares.map { unsafe $0 + column })
    }

    /// The scale and the bias alone.
    var withoutActivation: wk_epilogue {
        unsafe wk_epilogue(
            scale: scale, bias: bias, activation: WK_IDENTITY, gain: 1, residual: nil,
            residual_ld: 0, modulation_scale: nil, modulation_shift: nil, sum_of_squares: nil)
    }

    /// Whether the steps change nothing and sum up nothing.
    var isEmpty: Bool {
        unsafe scale == nil && bias == nil && activation == WK_IDENTITY && residual == nil
            && gain == 1
            && modulation_scale == nil && sum_of_squares == nil
    }
}
