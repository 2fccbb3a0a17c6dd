public import TensorCore

/// A moving average of parameters, which is what is published (Polyak and Juditsky, 1992).
public struct ExponentialAverage: Sendable {
    /// How much of the average stays in a step.
    public var decay: Float
    /// The averages by parameter name.
    public var values: [String: Tensor]
    /// Updates so far.
    public var count: Int

    /// An average that begins with the given parameters.
    public init(decay: Float, _ values: [String: Tensor], count: Int = 0) {
        self.decay = decay
        self.values = values
        self.count = count
    }

    /// Takes up the parameters of a step. Early steps forget faster: with `n` updates before, the
    /// decay is at most `(1 + n) / (10 + n)`.
    public mutating func update(_ parameters: [String: Tensor]) {
        let decay = min(decay, (1 + Float(count)) / (10 + Float(count)))
        count &+= 1
        for (name, value) in parameters {
            guard var average = values.removeValue(forKey: name) else {
                values[name] = value
                continue
            }
            average.move(towards: value, by: 1 - decay)
            values[name] = average
        }
    }
}
