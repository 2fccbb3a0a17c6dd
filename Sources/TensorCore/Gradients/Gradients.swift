internal import CWuerstchenKernels

/// The derivatives of a number with respect to what it was computed from.
public struct Gradients: Sendable {
    private var values: [ObjectIdentifier: Tensor] = [:]

    init() {}

    /// The gradient with respect to a tensor that ``Tensor/tracked()`` returned, in its shape; nil
    /// where the number does not depend on it.
    public subscript(leaf: Tensor) -> Tensor? {
        leaf.edge.flatMap { values[ObjectIdentifier($0.node)] }
    }

    fileprivate mutating func keep(_ gradient: Tensor, for node: GradientNode) {
        values[ObjectIdentifier(node)] = gradient
    }
}

extension Tensor {
    /// Whether operations on this tensor are recorded.
    public var isTracked: Bool { edge != nil }

    /// The same elements as the beginning of what is recorded: gradients can be asked for with
    /// respect to the tensor that this returns.
    public func tracked() -> Tensor {
        var result = self
        result.edge = GradientEdge(GradientNode())
        return result
    }

    /// The same elements, from which nothing is recorded.
    public func detached() -> Tensor {
        var result = self
        result.edge = nil
        return result
    }

    /// The derivatives of this number with respect to all tracked tensors behind it.
    ///
    /// What was recorded is kept, and can be asked again.
    ///
    /// Weights that are not tracked let gradients through to what they are multiplied with.
    ///
    /// - Returns: The gradients; ``Gradients/subscript(_:)`` gives that of a leaf.
    /// - Throws: ``WuerstchenError`` of the code ``WuerstchenError/Code/invalidRequest`` if the
    ///   tensor has other than one element, or if something behind it cannot be differentiated: a
    ///   product with 8-bit weights, say. `CancellationError` when the task is cancelled.
    public func gradients() throws -> Gradients {
        var result = Gradients()
        try eachGradient { result.keep($1, for: $0) }
        return result
    }

    /// Hands over the derivatives of this number with respect to named tensors, each as soon as it
    /// is whole, while those of what was used earlier are still to be computed.
    ///
    /// - Parameters:
    ///   - leaves: Tensors that ``tracked()`` returned, by name.
    ///   - take: Gets a name and the gradient of its tensor, in the order in which they become
    ///     known. Names that the number does not depend on do not come.
    /// - Throws: What ``gradients()`` throws, and what `take` throws.
    public func gradients(
        of leaves: [String: Tensor], _ take: (_ name: String, _ gradient: Tensor) throws -> Void
    ) throws {
        var names: [ObjectIdentifier: String] = [:]
        for (name, leaf) in leaves {
            if let edge = leaf.edge { names[ObjectIdentifier(edge.node)] = name }
        }
        try eachGradient { node, gradient in
            if let name = names[ObjectIdentifier(node)] { try take(name, gradient) }
        }
    }

    /// Hands over the gradient of every leaf.
    private func eachGradient(_ take: (GradientNode, Tensor) throws -> Void) throws {
        guard count == 1 else {
            throw WuerstchenError(
                .invalidRequest,
                "gradients of a tensor \(shape); take those of one number, such as its sum")
        }
        guard let edge else { return }
        let seed = Tensor(repeating: 1, shape)
        try Backpropagation.run(from: [(edge, seed)], after: 0) { try take($0.node, $1) }
    }

    /// `body(self)`, of which only input and result are kept; for the gradients, everything between
    /// is computed once more (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016).
    ///
    /// - Parameters:
    ///   - isWanted: Whether to do so; otherwise `body` is recorded as usual.
    ///   - body: What is computed. It must give the same when called again.
    /// - Returns: What `body` returns.
    public func checkpointed(
        if isWanted: Bool, _ body: @escaping (Tensor) -> Tensor
    ) -> Tensor {
        // Parameters in `body` may be tracked where the input is not, so this asks for neither.
        guard isWanted, !Recording.isPaused else { return body(self) }
        let input = self
        var result = withoutGradients { body(input.detached()) }
        result.edge = GradientEdge(
            GradientNode([edge]) { gradients in
                guard let gradient = gradients[0] else { return [] }
                let first = GradientNode.nextNumber
                let leaf = input.detached().tracked()
                let output = Recording.$isPaused.withValue(false) { body(leaf) }
                guard let edge = output.edge else { return [] }
                // What `body` saw from outside gets its share from the outer pass.
                var shares: [(GradientEdge, Tensor)] = []
                try Backpropagation.run(from: [(edge, gradient)], after: first - 1) {
                    let isInput = $0.node === leaf.edge?.node
                    if let outer = isInput ? input.edge : $0 { shares.append((outer, $1)) }
                }
                return shares
            })
        return result
    }
}

/// Going backwards through what was recorded.
enum Backpropagation {
    /// Hands over gradients with respect to the leaves behind some values, and to all nodes that
    /// are no newer than a number, each when it is whole.
    static func run(
        from seeds: [(GradientEdge, Tensor)], after oldest: UInt64,
        _ take: (GradientEdge, Tensor) throws -> Void
    ) throws {
        var pending: [UInt64: (node: GradientNode, gradients: [Tensor?])] = [:]
        // What was recorded last comes first.
        var order = BinaryHeap<UInt64>(by: >)
        func add(_ edge: GradientEdge, _ gradient: Tensor) {
            let number = edge.node.number
            precondition(number > 0, "an operation on a tracked tensor was not noted")
            if pending[number] == nil {
                pending[number] = (edge.node, [])
                order.insert(number)
            }
            pending[number]?.gradients.accumulate(gradient, at: edge.output)
        }
        for (edge, seed) in seeds {
            edge.node.noteUse()
            add(edge, seed.detached())
        }
        try withoutGradients {
            while let number = order.removeFirst(),
                let (node, gradients) = pending.removeValue(forKey: number)
            {
                try Task.checkCancellation()
                guard let pullback = node.pullback, number > oldest else {
                    for (output, gradient) in gradients.enumerated() {
                        if let gradient { try take(GradientEdge(node, output), gradient) }
                    }
                    continue
                }
                for (edge, gradient) in try pullback(gradients) { add(edge, gradient) }
            }
        }
    }
}

extension [Tensor?] {
    /// Adds a gradient to what has come for an output so far; in place where nobody else looks.
    fileprivate mutating func accumulate(_ gradient: Tensor, at output: Int) {
        while count <= output { append(nil) }
        guard var sum = self[output] else {
            self[output] = gradient
            return
        }
        self[output] = nil
        sum.add(gradient)
        self[output] = sum
    }
}

extension Tensor {
    /// Adds another tensor in place.
    package mutating func add(_ other: Tensor) {
        precondition(shape == other.shape, "shapes differ: \(shape) and \(other.shape)")
        let target = unsafe mutablePointer()
        let source = unsafe other.pointer
        forEachChunk(of: count) { range in
            let place = unsafe target + range.lowerBound
            unsafe kernels.combine(place, 1, place, 1, source + range.lowerBound, range.count)
        }
        withExtendedLifetime(other) {}
    }

    /// This result of an operation, recorded: the pullback gets the result's gradient and returns
    /// one for each input, nil for those that are not tracked. Call only where recording is on.
    func recorded(
        from inputs: GradientEdge?..., pullback: @escaping (Tensor) throws -> [Tensor?]
    ) -> Tensor {
        recorded(fromAll: inputs, pullback: pullback)
    }

    func recorded(
        fromAll inputs: [GradientEdge?], pullback: @escaping (Tensor) throws -> [Tensor?]
    ) -> Tensor {
        var result = self
        result.edge = GradientEdge(fromAll: inputs, pullback: pullback)
        return result
    }
}

extension GradientEdge {
    /// The only result of an operation on values with the given edges.
    init(fromAll inputs: [GradientEdge?], pullback: @escaping (Tensor) throws -> [Tensor?]) {
        self.init(
            GradientNode(inputs) { gradients in
                guard let gradient = gradients[0] else { return [] }
                return try zip(inputs, pullback(gradient)).compactMap { edge, gradient in
                    if let edge, let gradient { (edge, gradient) } else { nil }
                }
            })
    }
}
