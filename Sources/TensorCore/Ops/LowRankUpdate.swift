internal import Synchronization

/// How much of an update counts: a number that may change while networks that have the update are
/// in use, without anything being packed anew. 0 for none of it, 1 for all.
public final class UpdateScale: Sendable {
    private let number: Mutex<Float>

    /// A scale of some value.
    public init(_ value: Float = 1) {
        number = Mutex(value)
    }

    /// The scale, for all products that begin from now on.
    public var value: Float {
        get { number.withLock { $0 } }
        set { number.withLock { $0 = newValue } }
    }
}

/// What is added to a weight and not multiplied into it: `scale · up · down`, of low rank (Hu et
/// al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021).
///
/// The weight itself stays packed as it is. `W·x` becomes `W·x + scale · up · (down·x + shift)`,
/// whose gradients reach `up` and `down` without one of the size of W.
public struct LowRankUpdate: Sendable {
    /// `[rank, features]`
    let down: PackedWeight
    /// What a constant that the weight's input lacks comes to, `[rank]`.
    let shift: Tensor?
    /// `[outputs, rank]`
    let up: PackedWeight
    private let scales: [UpdateScale]
    private let factor: Float

    /// An update.
    ///
    /// - Parameters:
    ///   - down: `[rank, features]`.
    ///   - shift: What is added to the product with `down`, `[rank]`.
    ///   - up: `[outputs, rank]`.
    ///   - factor: What the product is multiplied with for good.
    ///   - scales: What it is multiplied with besides, read anew for each product.
    ///   - precision: That of the weight. The second product is of bfloat16 where the weight has 8
    ///     bits.
    public init(
        down: Tensor, shift: Tensor? = nil, up: Tensor, factor: Float = 1, scales: [UpdateScale],
        precision: Precision
    ) {
        precondition(
            down.shape.rank == 2 && up.shape.rank == 2 && down.shape[0] == up.shape[1],
            "an update of \(down.shape) and \(up.shape)")
        self.down = PackedWeight(down, precision: precision)
        self.shift = shift
        self.up = PackedWeight(up, precision: precision == .int8 ? .bfloat16 : precision)
        self.factor = factor
        self.scales = scales
    }

    /// What the product is multiplied with now.
    var scale: Float { scales.reduce(factor) { $0 * $1.value } }
}

extension [Tensor.Term] {
    /// The same sum where updates are products of their own. One whose scale is 0 costs nothing.
    var withUpdates: [Tensor.Term] {
        guard contains(where: { !$0.matrix.updates.isEmpty }) else { return self }
        return flatMap { term in
            var plain = term
            plain.matrix.updates = []
            return [plain]
                + term.matrix.updates.compactMap { update in
                    let scale = update.scale
                    guard scale != 0 else { return nil }
                    let low = Tensor.linear(
                        [Tensor.Term(term.input, update.down, inputScale: term.inputScale)],
                        Epilogue(bias: update.shift))
                    var result = Tensor.Term(scale == 1 ? low : low.scaled(by: scale), update.up)
                    result.isUpdate = true
                    return result
                }
        }
    }
}
