internal import Foundation
internal import TensorCore

/// Which process has what of a training's state. All have the parameters and their averages.
struct StateOwners {
    /// Who moves which parameters, and has what the optimiser remembers of them.
    let parameters: ParameterParts
    /// The shards of a step, of which each process has as many. It has what was lost of their
    /// gradients.
    let shards: Int

    /// The process that alone has a tensor; nil for one that all have.
    fileprivate func owner(of kind: String, _ parameter: String) -> Int? {
        if [TrainingState.Kind.parameter, TrainingState.Kind.average].contains(kind) { return nil }
        return TrainingState.Kind.shard(ofError: kind).map {
            min($0 / max(1, shards / parameters.count), parameters.count - 1)
        } ?? parameters[parameter]
    }
}

/// A state that several processes have. The file that the first writes has all of it.
extension TrainingState {
    /// What a state is sent as, before its numbers.
    private struct Message: Codable {
        let record: Record
        let shapes: [String: [Int]]
    }

    /// What a tensor is and whose, by its name in a file.
    private static func parts(of name: String) -> (kind: String, parameter: String) {
        let parts = name.split(separator: "/", maxSplits: 1)
        return (String(parts[0]), String(parts[1]))
    }

    /// Takes the first process's state in place of this one, in all processes.
    ///
    /// - Parameters:
    ///   - communicator: The processes.
    ///   - owners: Which of them has what.
    /// - Throws: What communication throws.
    mutating func take(from communicator: any Communicator, owners: StateOwners) throws {
        let process = communicator.process
        guard process.count > 1 else { return }
        let own = process.isFirst ? Dictionary(uniqueKeysWithValues: tensors.map { ($0, $1) }) : [:]
        let sent =
            try process.isFirst
            ? JSONEncoder().encode(
                Message(
                    record: JSONDecoder().decode(Record.self, from: encodedRecord()),
                    shapes: own.mapValues(\.shape.array)))
            : Data()
        let message = try JSONDecoder().decode(
            Message.self, from: Data(communicator.shared(Array(sent), from: 0)))
        var tensors: [String: [String: Tensor]] = [:]
        for (name, shape) in message.shapes.sorted(by: { $0.key < $1.key }) {
            let (kind, parameter) = Self.parts(of: name)
            let owner = owners.owner(of: kind, parameter)
            if process.isFirst, let owner {
                guard owner != 0 else { continue }
                try own[name]?.withUnsafeElements {
                    try communicator.send(UnsafeRawBufferPointer($0), to: owner)
                }
                if let shard = Kind.shard(ofError: kind) {
                    gradientErrors[shard]?[parameter] = nil
                } else {
                    optimizer.memories[parameter]?.tensors[kind] = nil
                }
                continue
            }
            guard owner == nil || owner == process.rank else { continue }
            var tensor = own[name] ?? Tensor(repeating: 0, Shape(shape))
            try tensor.withUnsafeMutableElements {
                let bytes = UnsafeMutableRawBufferPointer($0)
                if owner == nil {
                    try communicator.broadcast(bytes, from: 0)
                } else {
                    try communicator.receive(bytes, from: 0)
                }
            }
            tensors[kind, default: [:]][parameter] = tensor
        }
        guard !process.isFirst else { return }
        let roles = parameters.roles
        self = try TrainingState(
            message.record, tensors, where: { owners.parameters[$0] == process.rank },
            from: "the first process")
        parameters.roles = roles
    }

    /// Writes the state in the first process, which gets what the others have of it while it
    /// writes, tensor by tensor. All call it.
    ///
    /// - Parameters:
    ///   - file: The file, in the first process.
    ///   - communicator: The processes.
    ///   - owners: Which of them has what.
    ///   - kinds: What there is of a parameter that has moved besides itself and its average.
    /// - Throws: In the first process `WuerstchenError` with code `unwritableFile`; what was there
    ///   before stays.
    func write(
        to file: URL?, communicator: any Communicator, owners: StateOwners,
        kinds: (_ parameter: String) -> [String]
    ) throws {
        guard communicator.process.isFirst, let file else {
            for (name, tensor) in tensors.sorted(by: { $0.name < $1.name }) {
                let (kind, parameter) = Self.parts(of: name)
                guard owners.owner(of: kind, parameter) != nil else { continue }
                try tensor.withUnsafeElements {
                    try communicator.send(UnsafeRawBufferPointer($0), to: 0)
                }
            }
            return
        }
        var remote: [(name: String, shape: Shape, owner: Int)] = []
        for name in optimizer.memories.keys {
            for kind in kinds(name) {
                guard let owner = owners.owner(of: kind, name), owner != 0 else { continue }
                remote.append(("\(kind)/\(name)", parameters.values[name]?.shape ?? [], owner))
            }
        }
        let arrivals = Arrivals(remote.sorted { $0.name < $1.name }, communicator)
        do {
            try write(
                to: file,
                adding: remote.map { name, shape, _ in
                    Safetensors.Source(name: name, elementType: .f32, shape: shape.array) {
                        try arrivals.next($0)
                    }
                })
        } catch {
            // They are sent even so.
            while !arrivals.areAll { try arrivals.next { _ in } }
            throw error
        }
    }

    /// Tensors that others send to the first process, in the order in which a file has them.
    private final class Arrivals {
        private var rest: ArraySlice<(name: String, shape: Shape, owner: Int)>
        private let communicator: any Communicator

        init(
            _ tensors: [(name: String, shape: Shape, owner: Int)], _ communicator: any Communicator
        ) {
            (rest, self.communicator) = (tensors[...], communicator)
        }

        var areAll: Bool { rest.isEmpty }

        /// Hands on the next one.
        func next(_ take: (UnsafeRawBufferPointer) throws -> Void) throws {
            guard let tensor = rest.popFirst() else { return }
            let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: tensor.shape.count)
            defer { values.deallocate() }
            let bytes = UnsafeMutableRawBufferPointer(values)
            try communicator.receive(bytes, from: tensor.owner)
            try take(UnsafeRawBufferPointer(bytes))
        }
    }
}
