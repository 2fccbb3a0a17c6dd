public import TensorCore

/// Where the parameters of a network come from: a checkpoint, or a random initialiser.
public protocol ParameterSource {
    /// A name for messages, such as the file's path.
    var origin: String { get }

    /// The names of all parameters that the source holds, or nil if it makes up whatever it is
    /// asked for.
    var names: Set<String>? { get }

    /// Whether the values of the parameters mean something. For a source that only knows or notes
    /// names and shapes, nothing is packed or computed, which would take memory and time; a network
    /// that is built from it is not there to be run.
    var hasValues: Bool { get }

    /// Whether the source holds no elements under a name.
    func isEmpty(_ name: String) -> Bool

    /// In training, where batch norms record the statistics of the batch, which they then normalise
    /// with; nil where they use their running statistics.
    var batchStatistics: BatchStatistics? { get }

    /// The parameter that a layer asks for.
    ///
    /// - Parameter request: Its name and shape, and what it is to its layer.
    /// - Returns: The parameter, or that it is missing or has another shape.
    /// - Throws: When the parameter is there but cannot be read.
    func parameter(_ request: ParameterRequest) throws -> FoundParameter

    /// What is added to the weight that a layer asks for, as adapters do.
    ///
    /// - Parameter request: As for ``parameter(_:)``.
    /// - Returns: Updates that fit the shape of the request as a matrix; none by default.
    /// - Throws: When an update is there but cannot be read.
    func updates(of request: ParameterRequest) throws -> [WeightUpdate]
}

extension ParameterSource {
    /// By default a source has values.
    public var hasValues: Bool { true }

    /// By default what is there has elements.
    public func isEmpty(_ name: String) -> Bool { false }

    /// By default weights are as they are.
    public func updates(of request: ParameterRequest) throws -> [WeightUpdate] { [] }

    /// By default batch norms use their running statistics.
    public var batchStatistics: BatchStatistics? { nil }
}

/// What a ``ParameterSource`` has under a name.
public enum FoundParameter: Sendable {
    /// A parameter of the expected shape.
    case found(Tensor)
    /// A parameter of another shape.
    case misshapen(String)
    /// Nothing.
    case missing
}

/// A view of a ``ParameterSource`` from which a network's layers take their parameters by name.
///
/// What does not fit is collected, and ``load(from:precision:ignoring:_:)`` reports all of it
/// together when the network is complete.
public struct Parameters {
    /// The precision of the network's large matrices.
    public let precision: Precision
    private let reader: ParameterReader
    private let prefix: String

    /// Builds a network from all parameters of a source.
    ///
    /// - Parameters:
    ///   - source: Where the parameters come from.
    ///   - precision: The precision of the network's large matrices.
    ///   - isIgnored: Whether a surplus parameter of the given name is of no consequence.
    ///   - build: Makes the network.
    /// - Returns: The network.
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` that counts and
    ///   lists the missing, surplus and misshapen parameters (of more than twelve of a kind the
    ///   first ones, and no more than were found before what is missing exceeded 256 MB), or what
    ///   the source threw.
    public static func load<Network>(
        from source: any ParameterSource, precision: Precision = .float32,
        ignoring isIgnored: (String) -> Bool = { _ in false },
        _ build: (Parameters) throws -> Network
    ) throws -> Network {
        let reader = ParameterReader(source)
        let network = try build(Parameters(precision: precision, reader: reader, prefix: ""))
        try reader.finish(ignoring: isIgnored)
        return network
    }

    /// The parameters whose names begin with `name` and a dot.
    public subscript(name: String) -> Parameters {
        Parameters(precision: precision, reader: reader, prefix: prefix + name + ".")
    }

    /// The same parameters for a network whose matrices stay 32-bit floats: first and last layers,
    /// which are small and set the error of everything between them.
    public var float32: Parameters {
        Parameters(precision: .float32, reader: reader, prefix: prefix)
    }

    /// In training, a function that records what a batch norm with these parameters saw; else nil.
    var recordStatistics: (@Sendable (_ mean: Tensor, _ variance: Tensor) -> Void)? {
        guard let statistics = reader.batchStatistics else { return nil }
        let prefix = prefix
        return { statistics.record(prefix, mean: $0, variance: $1) }
    }

    /// The parameters of a numbered part.
    public subscript(index: Int) -> Parameters { self["\(index)"] }

    /// Whether the source has a parameter of this name; false for a source that makes them up.
    public func contains(_ name: String) -> Bool {
        reader.names?.contains(prefix + name) ?? false
    }

    /// The parameter of a name in PyTorch's layout; zeros when there is none of the expected shape,
    /// which ``load(from:precision:ignoring:_:)`` reports with all others. What adapters add to a
    /// weight is in it, as much of it as counts now; see
    /// ``weightMatrix(_:_:_:storedAs:role:initializer:)``.
    ///
    /// - Parameters:
    ///   - name: The parameter's name in this part of the network.
    ///   - shape: The shape that the layer expects.
    ///   - role: What the parameter is to the layer.
    ///   - initializer: What training begins with, or nil for the role's.
    /// - Returns: The parameter.
    /// - Throws: What the source throws, or ``WuerstchenError`` when too much is missing to go on.
    public func callAsFunction(
        _ name: String, _ shape: Shape, role: ParameterRole, initializer: Initializer? = nil
    ) throws -> Tensor {
        let request = ParameterRequest(prefix + name, shape, role: role, initializer: initializer)
        let parameter = try reader.parameter(request)
        guard reader.hasValues else { return parameter }
        return try reader.updates(request).reduce(parameter) { $1.added(to: $0) }
    }

    /// The weight of a linear layer as a matrix that can be computed with before it is packed. What
    /// adapters add to it stays beside it, so that how much of it counts may change later.
    ///
    /// - Parameters:
    ///   - name: The parameter's name.
    ///   - outputs: Rows of the matrix.
    ///   - features: Columns of the matrix.
    ///   - shape: The shape that the parameter is stored in, if it is not that of the matrix.
    ///   - role: What the weight is to the network.
    ///   - initializer: What training begins with, or nil for the role's.
    /// - Returns: The weight.
    /// - Throws: As ``callAsFunction(_:_:role:initializer:)``.
    public func weightMatrix(
        _ name: String, _ outputs: Int, _ features: Int, storedAs shape: Shape? = nil,
        role: ParameterRole = .weight, initializer: Initializer? = nil
    ) throws -> WeightMatrix {
        let request = ParameterRequest(
            prefix + name, shape ?? [outputs, features], role: role, initializer: initializer)
        let parameter = try reader.weight(request).reshaped(to: [outputs, features])
        return WeightMatrix(
            parameter, reader.hasValues ? try reader.updates(request) : [], name: request.name)
    }

    /// A weight that has to be rearranged to be a matrix, such as a convolution's kernels. What
    /// adapters add to it is in it.
    ///
    /// - Parameters:
    ///   - name: The parameter's name.
    ///   - shape: The shape that the parameter is stored in.
    ///   - role: What the weight is to the network.
    ///   - initializer: What training begins with, or nil for the role's.
    /// - Returns: The weight in the shape that it is stored in; see
    ///   ``WeightMatrix/arranged(as:_:)``.
    /// - Throws: As ``callAsFunction(_:_:role:initializer:)``.
    public func kernels(
        _ name: String, _ shape: Shape, role: ParameterRole = .weight,
        initializer: Initializer? = nil
    ) throws -> WeightMatrix {
        let request = ParameterRequest(prefix + name, shape, role: role, initializer: initializer)
        var kernels = try reader.weight(request)
        if reader.hasValues {
            kernels = try reader.updates(request).reduce(kernels) { $1.added(to: $0) }
        }
        return WeightMatrix(kernels, [], name: request.name)
    }

    /// The weight of a linear layer, packed for products in ``precision``.
    ///
    /// - Parameters:
    ///   - name: The parameter's name.
    ///   - outputs: Rows of the matrix.
    ///   - features: Columns of the matrix.
    ///   - shape: The shape that the parameter is stored in, if it is not that of the matrix.
    ///   - role: What the weight is to the network.
    ///   - initializer: What training begins with, or nil for the role's.
    /// - Returns: The matrix. A mapped file's pages that were copied into it are given back.
    /// - Throws: As ``callAsFunction(_:_:role:initializer:)``.
    public func matrix(
        _ name: String, _ outputs: Int, _ features: Int, storedAs shape: Shape? = nil,
        role: ParameterRole = .weight, initializer: Initializer? = nil
    ) throws -> PackedWeight {
        let request = ParameterRequest(
            prefix + name, shape ?? [outputs, features], role: role, initializer: initializer)
        if let stored = try reader.stored(request, precision) { return stored }
        let weight = try weightMatrix(
            name, outputs, features, storedAs: shape, role: role, initializer: initializer)
        return matrix(weight)
    }

    /// Says that a parameter was copied or multiplied into others and is not needed as it is. What
    /// of it lies in a mapped file no longer takes memory.
    public func release(_ parameter: Tensor) { parameter.releasePages() }

    /// The same of a weight.
    public func release(_ weight: WeightMatrix) { release(weight.base) }

    /// A matrix that is computed from parameters, or is part of one, in ``precision``. Of
    /// parameters without values it is not computed.
    public func matrix(_ weight: @autoclosure () -> Tensor) -> PackedWeight {
        matrix(WeightMatrix(weight()))
    }

    /// The same with what adapters add.
    public func matrix(_ weight: @autoclosure () -> WeightMatrix) -> PackedWeight {
        reader.matrix(precision, weight)
    }

    /// A layer for inputs that lack a constant: ``WeightMatrix/absorbing(_:into:)``, computed once
    /// for all uses of the layer. Of parameters without values it is not computed.
    public func absorbing(
        _ constant: Tensor, _ weight: @autoclosure () -> WeightMatrix, into bias: Tensor
    ) -> (weight: WeightMatrix, bias: Tensor) {
        reader.absorbing(constant, weight, into: bias)
    }
}
