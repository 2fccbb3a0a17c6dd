public import TensorCore
public import WuerstchenNN
internal import WuerstchenTraining

/// Linear classifiers of what a drawn scene shows, on features that should carry it.
///
/// They stand in for what published networks bring along from ImageNet and from captioned images,
/// and are thrown away after training.
public struct AttributeHeads: Sendable {
    private let weight: Tensor
    private let bias: Tensor

    /// Heads on a number of features.
    ///
    /// - Parameters:
    ///   - source: `weight` `[classes, features]` and `bias` `[classes]` of all attributes
    ///     together.
    ///   - features: The number of features.
    /// - Throws: What reading the parameters throws.
    public init(_ source: any ParameterSource, features: Int) throws {
        self = try Parameters.load(from: source) { try AttributeHeads($0, features: features) }
    }

    init(_ parameters: Parameters, features: Int) throws {
        weight = try parameters(
            "weight", [AttributeHeads.classCount, features], role: .outputWeight)
        bias = try parameters("bias", [AttributeHeads.classCount], role: .bias)
    }

    /// Classes of all attributes.
    static let classCount = SceneAttribute.allCases.reduce(0) { $0 + $1.classCount }

    /// The logits of each attribute.
    ///
    /// - Parameter features: `[batch, features]`.
    /// - Returns: `[batch, classes]` for each attribute.
    public func callAsFunction(_ features: Tensor) -> [Tensor] {
        let logits = features.linear(weight, Epilogue(bias: bias))
        var first = 0
        return SceneAttribute.allCases.map { attribute in
            defer { first += attribute.classCount }
            return logits.channels(first..<first + attribute.classCount)
        }
    }

    /// The sum over the attributes of the mean cross-entropies, and the share of right answers.
    ///
    /// - Parameters:
    ///   - features: `[batch, features]`.
    ///   - classes: For each image and attribute the right answer, or nil where there is none.
    /// - Returns: The loss without axes, and the share among all answers that count.
    public func loss(_ features: Tensor, _ classes: [[Int?]]) -> (loss: Tensor, accuracy: Float) {
        let logits = self(features)
        var sum = Tensor([0], [])
        for attribute in SceneAttribute.allCases {
            sum =
                sum
                + logits[attribute.rawValue].crossEntropy(classes.map { $0[attribute.rawValue] })
        }
        let answers = AttributeHeads.answers(logits, classes).values
        let (right, counted) = answers.reduce(into: (0, 0)) {
            $0 = ($0.0 + $1.right, $0.1 + $1.all)
        }
        return (sum, Float(right) / Float(max(1, counted)))
    }

    /// The share of right answers about each attribute.
    ///
    /// - Parameters:
    ///   - features: `[batch, features]`.
    ///   - classes: For each image and attribute the right answer, or nil where there is none.
    /// - Returns: The shares of those attributes that any answer counts of.
    public func accuracy(
        _ features: Tensor, _ classes: [[Int?]]
    ) -> [SceneAttribute: Float] {
        AttributeHeads.answers(self(features), classes).filter { $0.value.all > 0 }
            .mapValues { Float($0.right) / Float($0.all) }
    }

    private static func answers(
        _ logits: [Tensor], _ classes: [[Int?]]
    ) -> [SceneAttribute: (right: Int, all: Int)] {
        var result: [SceneAttribute: (right: Int, all: Int)] = [:]
        for attribute in SceneAttribute.allCases {
            let found = logits[attribute.rawValue].largestChannels()
            for (found, expected) in zip(found, classes.map { $0[attribute.rawValue] }) {
                guard let expected else { continue }
                result[attribute, default: (0, 0)].all += 1
                if found == expected { result[attribute, default: (0, 0)].right += 1 }
            }
        }
        return result
    }
}
