internal import TensorCore

/// The gradients of a step that a process moves parameters against: all of them where it is alone.
struct StepGradients {
    /// The gradients by parameter name.
    var own: [String: Tensor]
    /// What it talks to the other processes through; nil where there are none.
    var buffer: StepBuffer?

    /// How long the gradients of all processes are.
    ///
    /// - Throws: What communication throws.
    func sizes() throws -> GradientSizes {
        let sizes = GradientSizes(own)
        return try buffer?.sizes(sizes) ?? sizes
    }
}

/// The numbers of all parameters that a step moves, one tensor after the other, as processes send
/// them to each other: first their gradients, then the parameters themselves.
final class StepBuffer {
    /// The parameters, in one order in all processes.
    private let names: [String]
    private let shapes: [String: Shape]
    private let places: [String: Range<Int>]
    private let owners: ParameterParts
    private let parts: [Range<Int>]
    private let values: UnsafeMutableBufferPointer<Float>
    private let communicator: any Communicator

    /// Room for numbers.
    ///
    /// - Parameters:
    ///   - names: The names of all that any process has gradients of.
    ///   - shapes: The shapes of all parameters.
    ///   - owners: Which process moves them.
    ///   - communicator: The processes.
    init(
        _ names: Set<String>, _ shapes: [String: Shape], _ owners: ParameterParts,
        _ communicator: any Communicator
    ) {
        self.names = names.sorted()
        (self.shapes, self.owners, self.communicator) = (shapes, owners, communicator)
        var (places, parts, end) = ([String: Range<Int>](), [Range<Int>](), 0)
        for part in 0..<owners.count {
            let begin = end
            for name in self.names where owners[name] == part {
                places[name] = end..<end + (shapes[name]?.count ?? 0)
                end = places[name]?.upperBound ?? end
            }
            parts.append(begin..<end)
        }
        (self.places, self.parts) = (places, parts)
        values = .allocate(capacity: end)
    }

    deinit { values.deallocate() }

    /// The parameters that another process moves.
    var others: [String] { names.filter { owners[$0] != communicator.process.rank } }

    /// Those that a process moves, in one order in all processes.
    func names(of rank: Int) -> [String] { names.filter { owners[$0] == rank } }

    /// Sums gradients over all processes.
    ///
    /// - Parameters:
    ///   - gradients: This process's sums over its shards. Nothing is left of them.
    ///   - reduction: In which order they are summed.
    /// - Returns: The sums of what this process moves.
    /// - Throws: What communication throws.
    func sum(
        _ gradients: inout [String: Tensor], by reduction: GradientReduction
    ) throws -> [String: Tensor] {
        for name in names { put(gradients.removeValue(forKey: name), name) }
        switch reduction {
        case .ordered: try communicator.scatteredSum(values, parts)
        case .fast: try communicator.sum(values)
        }
        return own
    }

    /// Sums gradients over all processes in a fixed order, and sends them as bfloat16.
    ///
    /// - Parameters:
    ///   - gradients: This process's sums over its shards. Nothing is left of them.
    ///   - rounding: How they are rounded.
    ///   - known: Of which parameters each process has gradients.
    /// - Returns: The sums of what this process moves.
    /// - Throws: What communication throws.
    func sum(
        _ gradients: inout [String: Tensor], by rounding: inout GradientRounding,
        where known: [Set<String>]
    ) throws -> [String: Tensor] {
        for name in names { put(gradients.removeValue(forKey: name), name) }
        let rank = communicator.process.rank
        let shards = rounding.parts.count / owners.count
        let capacity = parts.map(\.count).max() ?? 0
        let sent = UnsafeMutableBufferPointer<UInt16>.allocate(capacity: capacity)
        let received = UnsafeMutableBufferPointer<UInt16>.allocate(capacity: capacity)
        defer {
            sent.deallocate()
            received.deallocate()
        }
        for distance in communicator.distances {
            // The processes whose sums this one sends.
            let first = rank & ~(distance - 1)
            let summed = known[first..<first + distance].reduce(into: Set()) { $0.formUnion($1) }
            let level = (distance * shards).trailingZeroBitCount
            for part in communicator.kept(at: distance) {
                let (kept, given) = (parts[part], parts[part ^ distance])
                for name in names(of: part ^ distance) {
                    let place = places[name] ?? 0..<0
                    let target = UnsafeMutableBufferPointer(
                        rebasing: sent[
                            place.lowerBound - given.lowerBound..<place.upperBound
                                - given.lowerBound])
                    guard summed.contains(name) else {
                        target.update(repeating: 0)
                        continue
                    }
                    rounding.round(
                        UnsafeBufferPointer(rebasing: values[place]), name,
                        of: rounding.sender(of: name, level: level, first: first * shards),
                        shape: shapes[name] ?? [], to: target)
                }
                try communicator.exchange(
                    UnsafeRawBufferPointer(
                        UnsafeMutableBufferPointer(rebasing: sent[..<given.count])),
                    for: UnsafeMutableRawBufferPointer(
                        UnsafeMutableBufferPointer(rebasing: received[..<kept.count])),
                    with: rank ^ distance)
                addBFloat16(
                    UnsafeBufferPointer(
                        UnsafeMutableBufferPointer(rebasing: received[..<kept.count])),
                    to: UnsafeMutableBufferPointer(rebasing: values[kept]))
            }
        }
        return own
    }

    /// The numbers of what this process moves.
    private var own: [String: Tensor] {
        Dictionary(
            uniqueKeysWithValues: names(of: communicator.process.rank).map { name in
                let place = values[places[name] ?? 0..<0]
                return (name, Tensor(shapes[name] ?? []) { _ = $0.update(from: place) })
            })
    }

    /// Brings parameters to all processes, each from the one that moved them.
    ///
    /// - Throws: What communication throws.
    func share(_ parameters: inout [String: Tensor]) throws {
        for name in names(of: communicator.process.rank) { put(parameters[name], name) }
        try communicator.gather(values, parts)
        for name in others {
            let place = values[places[name] ?? 0..<0]
            parameters[name]?.withUnsafeMutableElements { _ = $0.update(from: place) }
        }
    }

    /// How long all gradients are.
    ///
    /// - Parameter own: Those of this process's parameters.
    /// - Returns: Those of all.
    /// - Throws: What communication throws.
    func sizes(_ own: GradientSizes) throws -> GradientSizes {
        var result = own
        for rank in 0..<owners.count {
            let names = names(of: rank)
            let sent = names.map { own.squares[$0] ?? 0 }.withUnsafeBytes { Array($0) }
            let received = try communicator.shared(sent, from: rank)
            received.withUnsafeBytes {
                for (index, name) in names.enumerated() {
                    result.squares[name] = $0.loadUnaligned(
                        fromByteOffset: 8 * index, as: Double.self)
                }
            }
        }
        return result
    }

    private func put(_ tensor: Tensor?, _ name: String) {
        let place = UnsafeMutableBufferPointer(rebasing: values[places[name] ?? 0..<0])
        if let tensor {
            tensor.withUnsafeElements { _ = place.initialize(from: $0) }
        } else {
            place.initialize(repeating: 0)
        }
    }
}
