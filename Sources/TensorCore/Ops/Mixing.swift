/// The three learnt numbers of a residual branch `x + gain · f(t)` with
/// `t = layer norm of x · scale + shift`.
public struct Mixing: Sendable {
    /// Scale − 1, shift and gain.
    let numbers: Tensor

    /// - Parameter numbers: Scale − 1, shift and gain, as they are learnt.
    /// - Precondition: There are three.
    public init(_ numbers: Tensor) {
        precondition(numbers.count == 3, "\(numbers.shape) for scale, shift and gain")
        self.numbers = numbers
    }

    var scale: Float { 1 + numbers.element(0) }
    var shift: Float { numbers.element(1) }
    var gain: Float { numbers.element(2) }

    /// The branch, operation by operation, each of which is recorded.
    func adding(to x: Tensor, _ body: (Tensor) -> Tensor) -> Tensor {
        let channels: Shape = [x.shape.channels]
        let weight = numbers.repeatingElement(0, channels).scaled(by: 1, shift: 1)
        let bias = numbers.repeatingElement(1, channels)
        let gain = numbers.repeatingElement(2, channels)
        let normed = x.layerNormalized(affine: (weight, bias))
        return x + body(normed).scaledChannels(by: gain, shift: Tensor(repeating: 0, channels))
    }
}
