public import TensorCore

/// The weight of a linear layer as a matrix, with what adapters add to it.
///
/// Layers that compute with a weight before it is packed, such as those that multiply two into one,
/// do so through this type, and adapters follow: `(W + Σ s·B·A)` of whatever is taken of W.
public struct WeightMatrix: Sendable {
    /// The weight without what is added, `[outputs, features]`.
    public private(set) var base: Tensor
    /// The name of the parameter, with what was made of it behind: what tells the matrix from
    /// others of the network. Nil for one that no parameter was.
    private(set) var name: String?
    /// What is added.
    private var updates: [Update] = []
    /// What is behind the name of a weight that has absorbed a constant into the bias, in that of
    /// the bias.
    static let absorbed = "#absorbed"

    /// `Π scales · factor · up · (down · x + shift)`
    private struct Update {
        var down: Tensor
        var shift: Tensor?
        var up: Tensor
        var factor: Float
        var scales: [UpdateScale]
    }

    /// A weight by itself, `[outputs, features]`.
    public init(_ base: Tensor) {
        self.base = base
    }

    /// A weight and what is added to it.
    init(_ base: Tensor, _ updates: [WeightUpdate], name: String) {
        self.base = base
        self.name = name
        self.updates = updates.map {
            Update(down: $0.down, up: $0.up, factor: $0.factor, scales: [$0.scale])
        }
    }

    /// Some of the features.
    public func columns(_ range: Range<Int>) -> WeightMatrix {
        var result = self
        result.base = base.channels(range)
        result.name = name.map { "\($0)[\(range)]" }
        for index in updates.indices {
            result.updates[index].down = updates[index].down.channels(range)
        }
        return result
    }

    /// Kernels in the order of a matrix.
    ///
    /// - Parameters:
    ///   - part: What tells the matrix from others that are made of the same kernels.
    ///   - arrange: Makes the matrix, `[outputs, features]`.
    /// - Returns: The matrix.
    public func arranged(
        as part: String = "", _ arrange: (Tensor) -> Tensor
    ) -> WeightMatrix {
        var result = self
        result.base = arrange(base)
        result.name = name.map { "\($0)\(part)" }
        return result
    }

    /// The layer for inputs that lack a constant, with the bias that the constant comes to:
    /// `W·(x + c) + b = W·x + (W·c + b)`.
    ///
    /// - Parameters:
    ///   - constant: `[features]`.
    ///   - bias: `[outputs]`.
    /// - Returns: The weight, and the bias `[outputs]`.
    public func absorbing(
        _ constant: Tensor, into bias: Tensor
    ) -> (weight: WeightMatrix, bias: Tensor) {
        let row = constant.reshaped(to: [1, 1, base.shape[1]])
        var result = self
        for index in updates.indices {
            let shift = row.linear(updates[index].down, Epilogue(bias: updates[index].shift))
            result.updates[index].shift = shift.reshaped(to: [shift.count])
        }
        let sum = row.linear(base, Epilogue(bias: bias))
        return (result, sum.reshaped(to: [base.shape[0]]))
    }

    /// The product with a matrix that is applied to the input before this one. Each adapter of
    /// either stays one, and two of them make a third.
    public static func * (left: WeightMatrix, right: WeightMatrix) -> WeightMatrix {
        var result = WeightMatrix(product(left.base, right.base))
        if let first = left.name, let second = right.name { result.name = "\(first) · \(second)" }
        for update in left.updates {
            var whole = update
            whole.down = product(update.down, right.base)
            result.updates.append(whole)
        }
        for update in right.updates {
            var whole = update
            whole.up = product(left.base, update.up)
            result.updates.append(whole)
            for outer in left.updates {
                var cross = update
                cross.up = product(outer.up, product(outer.down, update.up))
                cross.factor *= outer.factor
                cross.scales += outer.scales
                result.updates.append(cross)
            }
        }
        return result
    }

    /// `[rows, inner] · [inner, columns]`
    static func product(_ left: Tensor, _ right: Tensor) -> Tensor {
        left.reshaped(to: [1, left.shape[0], left.shape[1]])
            .linear(right.matrixTransposed())
            .reshaped(to: [left.shape[0], right.shape[1]])
    }

    /// The matrix in the form in which it is multiplied; what is added stays beside it.
    func packed(_ precision: Precision) -> PackedWeight {
        var result = PackedWeight(base, precision: precision)
        result.updates = updates.map {
            LowRankUpdate(
                down: $0.down, shift: $0.shift, up: $0.up, factor: $0.factor, scales: $0.scales,
                precision: precision)
        }
        return result
    }
}

/// What a ``ParameterSource`` adds to one of its weights: `scale · factor · up · down`.
public struct WeightUpdate: Sendable {
    /// `[rank, features]`
    public let down: Tensor
    /// `[outputs, rank]`
    public let up: Tensor
    /// What the product is multiplied with for good.
    public let factor: Float
    /// How much of it counts.
    public let scale: UpdateScale

    /// An update of the given factors, `[rank, features]` and `[outputs, rank]`.
    public init(down: Tensor, up: Tensor, factor: Float, scale: UpdateScale) {
        precondition(
            down.shape.rank == 2 && up.shape.rank == 2 && down.shape[0] == up.shape[1],
            "an update of \(down.shape) and \(up.shape)")
        self.down = down
        self.up = up
        self.factor = factor
        self.scale = scale
    }

    /// A weight with this update, in the weight's shape.
    func added(to weight: Tensor) -> Tensor {
        let strength = factor * scale.value
        guard strength != 0 else { return weight }
        let product = WeightMatrix.product(up, down)
        return weight
            + (strength == 1 ? product : product.scaled(by: strength)).reshaped(to: weight.shape)
    }
}
