public import TensorCore

/// What a parameter is to the layer that has it, by which training tells what to change and how.
public enum ParameterRole: Sendable, Hashable, CaseIterable {
    /// The matrix or kernel of a layer between others.
    case weight
    /// The matrix or kernel of a layer that takes what the network takes.
    case inputWeight
    /// The matrix or kernel of a layer that makes what the network returns.
    case outputWeight
    /// The kernels of a layer that takes each channel by itself, and so is no matrix.
    case depthwiseWeight
    /// A table of vectors that are looked up.
    case embedding
    /// What a layer adds to its sums.
    case bias
    /// The scale or the shift of a norm, or the gain of a branch.
    case norm
    /// Running statistics, which no gradient reaches.
    case statistic

    /// Whether gradients change it.
    public var isTrainable: Bool { self != .statistic }

    /// Whether it is the matrix or kernel of a layer.
    public var isWeight: Bool {
        switch self {
        case .weight, .inputWeight, .outputWeight, .depthwiseWeight: true
        case .embedding, .bias, .norm, .statistic: false
        }
    }

    /// What a parameter of this role begins with unless its layer says otherwise: PyTorch's
    /// defaults, but zeros for biases.
    public var standardInitializer: Initializer {
        switch self {
        case .weight, .inputWeight, .outputWeight, .depthwiseWeight: .fanIn()
        case .embedding: .normal(deviation: 1)
        case .bias, .statistic: .zeros
        case .norm: .ones
        }
    }
}

/// What a layer asks a ``ParameterSource`` for.
public struct ParameterRequest: Sendable, Hashable {
    /// The whole name, such as `blocks.0.depthwise.weight`.
    public var name: String
    /// The shape that the network expects, in PyTorch's layout.
    public var shape: Shape
    /// What the parameter is to its layer.
    public var role: ParameterRole
    /// What training begins with.
    public var initializer: Initializer

    /// A request for a parameter.
    ///
    /// - Parameters:
    ///   - name: The whole name.
    ///   - shape: The shape that is expected.
    ///   - role: What the parameter is to its layer.
    ///   - initializer: What training begins with, or nil for the role's.
    public init(
        _ name: String, _ shape: Shape, role: ParameterRole = .weight,
        initializer: Initializer? = nil
    ) {
        self.name = name
        self.shape = shape
        self.role = role
        self.initializer = initializer ?? role.standardInitializer
    }
}

extension ParameterRequest {
    /// What a network asks for, found out by building it with nothing in it.
    ///
    /// - Parameter build: Builds the network.
    /// - Returns: The requests, each name once.
    /// - Throws: What building throws.
    package static func all(
        of build: (any ParameterSource) throws -> Void
    ) throws -> [ParameterRequest] {
        let recorder = RequestRecorder()
        try build(recorder)
        return Array(recorder.found.values)
    }
}

/// Notes which parameters a network asks for, and gives it zeros, all of them parts of one tensor.
private final class RequestRecorder: ParameterSource {
    let origin = "requests"
    let names: Set<String>? = nil
    let hasValues = false
    private(set) var found: [String: ParameterRequest] = [:]
    private var zeros = Tensor(repeating: 0, [1 << 20])

    func parameter(_ request: ParameterRequest) -> FoundParameter {
        let shape = request.shape
        found[request.name] = request
        if zeros.count < shape.count { zeros = Tensor(repeating: 0, [shape.count]) }
        return .found(zeros[0..<shape.count].reshaped(to: shape))
    }
}
