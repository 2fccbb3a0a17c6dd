internal import TensorCore

/// Some of the parameters that a step moves, whose numbers processes send each other at once, one
/// tensor after the other: first their gradients, then the parameters themselves.
struct ParameterBucket {
    /// The parameters in the order of their numbers.
    let names: [String]
    private let shapes: [String: Shape]
    private let places: [String: Range<Int>]
    private let owners: ParameterParts
    private let parts: ProcessParts
    private let communicator: any Communicator

    /// A bucket of parameters.
    ///
    /// - Parameters:
    ///   - names: Their names, the same in all processes.
    ///   - shapes: The shapes of all parameters.
    ///   - owners: Which process moves them.
    ///   - communicator: The processes.
    init(
        _ names: [String], _ shapes: [String: Shape], _ owners: ParameterParts,
        _ communicator: any Communicator
    ) {
        var (owned, lengths) = (
            [[String]](repeating: [], count: owners.count), [Int](repeating: 0, count: owners.count)
        )
        for name in names {
            owned[owners[name]].append(name)
            lengths[owners[name]] += shapes[name]?.count ?? 0
        }
        parts = ProcessParts(lengths)
        self.names = parts.order.flatMap { owned[$0] }
        var (places, end) = ([String: Range<Int>](), 0)
        for name in self.names {
            let begin = end
            end += shapes[name]?.count ?? 0
            places[name] = begin..<end
        }
        self.places = places
        (self.shapes, self.owners, self.communicator) = (shapes, owners, communicator)
    }

    /// Buckets of about a sixteenth of all numbers each: few enough to send large messages, and
    /// enough to have sent most of them when the last is full.
    ///
    /// - Parameters:
    ///   - names: The parameters in the order in which buckets are filled, the same in all
    ///     processes.
    ///   - shapes: The shapes of all parameters.
    ///   - owners: Which process moves them.
    ///   - communicator: The processes.
    /// - Returns: The buckets, in the same order.
    static func buckets(
        _ names: [String], _ shapes: [String: Shape], _ owners: ParameterParts,
        _ communicator: any Communicator
    ) -> [ParameterBucket] {
        func size(_ name: String) -> Int { shapes[name]?.count ?? 0 }
        let enough = names.reduce(0) { $0 + size($1) } / 16
        var result: [ParameterBucket] = []
        var (bucket, filled) = ([String](), 0)
        for (index, name) in names.enumerated() {
            bucket.append(name)
            filled += size(name)
            guard filled >= enough || index == names.count - 1 else { continue }
            result.append(ParameterBucket(bucket, shapes, owners, communicator))
            (bucket, filled) = ([], 0)
        }
        return result
    }

    // MARK: Gradients

    /// Sums gradients over all processes.
    ///
    /// - Parameters:
    ///   - gradients: This process's sums over its shards; those that are missing count as zeros.
    ///   - reduction: In which order they are summed.
    /// - Returns: The sums of what this process moves.
    /// - Throws: What communication throws.
    func sum(
        _ gradients: [String: Tensor], by reduction: GradientReduction
    ) throws -> [String: Tensor] {
        var values = filled(names, with: gradients)
        try values.withUnsafeMutableElements {
            switch reduction {
            case .ordered: try communicator.scatteredSum($0, parts)
            case .fast: try communicator.sum($0)
            }
        }
        return own(values)
    }

    /// Sums gradients over all processes in a fixed order, and sends them as bfloat16.
    ///
    /// - Parameters:
    ///   - gradients: This process's sums over its shards. Of those that are missing here and
    ///     wherever sums come from, nothing is rounded.
    ///   - rounding: How they are rounded.
    /// - Returns: The sums of what this process moves.
    /// - Throws: What communication throws.
    func sum(
        _ gradients: [String: Tensor], by rounding: inout GradientRounding
    ) throws -> [String: Tensor] {
        var values = filled(names, with: gradients)
        var known = Set(gradients.keys)
        let rank = communicator.process.rank
        let shards = rounding.parts.count / owners.count
        for distance in communicator.distances {
            let first = rank & ~(distance - 1)
            let level = (distance * shards).trailingZeroBitCount
            let kept = parts.kept(by: rank, at: distance)
            let given = parts.kept(by: rank ^ distance, at: distance)
            let keptNames = names(of: parts.owners(keptBy: rank, at: distance))
            let givenNames = names(of: parts.owners(keptBy: rank ^ distance, at: distance))
            // After the numbers a mark for each parameter that there are gradients of.
            var sent = [UInt16](repeating: 0, count: given.count + givenNames.count)
            var received = [UInt16](repeating: 0, count: kept.count + keptNames.count)
            for (index, name) in givenNames.enumerated() where known.contains(name) {
                let place = places[name] ?? 0..<0
                let begin = place.lowerBound - given.lowerBound
                values.withUnsafeElements { values in
                    sent.withUnsafeMutableBufferPointer { sent in
                        rounding.round(
                            UnsafeBufferPointer(rebasing: values[place]), name,
                            of: rounding.sender(of: name, level: level, first: first * shards),
                            shape: shapes[name] ?? [],
                            to: UnsafeMutableBufferPointer(
                                rebasing: sent[begin..<begin + place.count]))
                    }
                }
                sent[given.count + index] = 1
            }
            try sent.withUnsafeBytes { sent in
                try received.withUnsafeMutableBytes {
                    try communicator.exchange(sent, for: $0, with: rank ^ distance)
                }
            }
            received.withUnsafeBufferPointer { received in
                values.withUnsafeMutableElements {
                    addBFloat16(
                        UnsafeBufferPointer(rebasing: received[..<kept.count]),
                        to: UnsafeMutableBufferPointer(rebasing: $0[kept]))
                }
            }
            for (name, mark) in zip(keptNames, received[kept.count...]) where mark != 0 {
                known.insert(name)
            }
        }
        return own(values)
    }

    // MARK: Parameters

    /// Brings parameters to all processes, each from the one that moved them.
    ///
    /// - Throws: What communication throws.
    func share(_ parameters: inout [String: Tensor]) throws {
        let rank = communicator.process.rank
        var values = filled(names(of: [rank]), with: parameters)
        try values.withUnsafeMutableElements { values in
            try communicator.gather(values, parts)
            if MemoryMeter.isMeasuring { return }
            for name in names where owners[name] != rank {
                let place = values[places[name] ?? 0..<0]
                parameters[name]?.withUnsafeMutableElements { _ = $0.update(from: place) }
            }
        }
    }

    // MARK: Numbers

    private func names(of ranks: [Int]) -> [String] { names.filter { ranks.contains(owners[$0]) } }

    /// Room for the bucket's numbers, with those of some tensors and zeros for what is missing.
    private func filled(_ names: [String], with tensors: [String: Tensor]) -> Tensor {
        Tensor([parts.count]) { values in
            for name in names {
                let place = UnsafeMutableBufferPointer(rebasing: values[places[name] ?? 0..<0])
                if let tensor = tensors[name] {
                    tensor.withUnsafeElements { _ = place.initialize(from: $0) }
                } else {
                    place.initialize(repeating: 0)
                }
            }
        }
    }

    /// The numbers of what this process moves.
    private func own(_ values: Tensor) -> [String: Tensor] {
        var result: [String: Tensor] = [:]
        for name in names(of: [communicator.process.rank]) {
            result[name] = Tensor(shapes[name] ?? []) { target in
                values.withUnsafeElements {
                    _ = target.update(from: $0[places[name] ?? 0..<0])
                }
            }
        }
        return result
    }
}
