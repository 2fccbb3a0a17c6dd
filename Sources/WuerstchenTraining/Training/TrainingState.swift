public import Foundation
public import TensorCore
internal import WuerstchenNN

/// Everything that the next step of a training run depends on.
public struct TrainingState: Sendable {
    /// The name of what is trained.
    public var objective: String
    /// What everything random depends on.
    public let seed: UInt64
    /// Images of a step.
    public let batchSize: Int
    /// The parts that they are computed in.
    public let microBatches: Int
    /// What the steps depend on besides the state; nil where an older file does not say.
    public internal(set) var settings: TrainingSettings?
    /// The highest learning rate; nil where an older file does not say.
    public internal(set) var peakRate: Float?
    /// The numbers that networks multiply; nil where an older file does not say.
    public internal(set) var precision: Precision?
    /// Steps that are done.
    public var step = 0
    /// Seconds of training.
    public var seconds = 0.0
    /// The loss of the last step; nil before the first, and where an older file does not say.
    public internal(set) var loss: Float?
    /// The parameters.
    public var parameters: TrainableParameters
    /// What the optimiser remembers: of several processes each has that of the parameters that it
    /// moves, and of the others no tensors.
    public var optimizer = OptimizerState()
    /// What was lost of the gradients that shards sent as bfloat16, by shard and parameter: of
    /// several processes each has that of its own shards.
    public internal(set) var gradientErrors: [Int: [String: Tensor]] = [:]
    /// The optimiser's name.
    public let optimizerName: String
    /// The share of a parameter that is taken off in a step, in units of the learning rate.
    public let weightDecay: Float
    /// The average of the parameters: what is worth keeping of a run.
    public var average: ExponentialAverage

    init(
        objective: String, parameters: TrainableParameters, _ options: TrainingOptions,
        _ settings: TrainingSettings
    ) {
        self.objective = objective
        self.settings = settings
        self.parameters = parameters
        (seed, batchSize) = (options.seed, options.batchSize)
        microBatches = options.microBatches
        (peakRate, precision) = (options.rate.peak, options.precision)
        (optimizerName, weightDecay) = (options.optimizer.name, options.weightDecay)
        average = ExponentialAverage(decay: options.averageDecay, parameters.values)
    }

    // MARK: Files

    /// The beginnings of the names of tensors in a file. All others are kinds of tensors that an
    /// optimiser remembers.
    enum Kind {
        static let (parameter, average) = ("parameter", "average")

        /// What a shard's gradients have lost.
        static func error(of shard: Int) -> String { "error.\(shard)" }

        /// The shard whose gradients' losses a kind is; nil for another kind.
        static func shard(ofError kind: String) -> Int? {
            Int(kind.dropFirst(6)).flatMap { kind == error(of: $0) ? $0 : nil }
        }
    }

    /// The numbers beside the tensors.
    struct Record: Codable {
        let objective: String
        let seed: UInt64
        let batchSize: Int
        let step: Int
        let seconds: Double
        let averageCount: Int
        let averageDecay: Float
        let weightDecay: Float
        // Older files lack these.
        let settings: TrainingSettings?
        let peakRate: Float?
        let precision: Precision?
        let loss: Float?
        /// Nil for one.
        let microBatches: Int?
        /// Nil for AdamW.
        let optimizer: String?
        let momentCounts: [String: Int]

        /// Whether a training can have come to these numbers.
        var isPossible: Bool {
            (0...TrainingOptions.maximumSteps).contains(step) && (0...step).contains(averageCount)
                && batchSize > 0 && (microBatches ?? 1) > 0 && seconds >= 0 && seconds.isFinite
                && momentCounts.values.allSatisfy { (1...step + 1).contains($0) }
        }
    }

    /// The state in a file.
    ///
    /// - Throws: `WuerstchenError` when the file cannot be read or is not the state of a training
    ///   run.
    public init(contentsOf file: URL) throws {
        let header = try Safetensors(contentsOf: file)
        guard let text = header.metadata["training"],
            let record = try? JSONDecoder().decode(Record.self, from: Data(text.utf8))
        else {
            throw WuerstchenError(
                .malformedFile, "\(file.path) is not the state of a training run")
        }
        let source = try CheckpointParameters(contentsOf: file)
        var tensors: [String: [String: Tensor]] = [:]
        for (name, entry) in header.entries {
            let parts = name.split(separator: "/", maxSplits: 1)
            guard parts.count == 2, entry.shape.count <= Shape.maximumRank,
                case .found(let tensor) = try source.parameter(
                    ParameterRequest(name, Shape(entry.shape)))
            else {
                throw WuerstchenError(
                    .malformedFile, "\(file.path): \(name) has no place in a training run's state")
            }
            tensors[String(parts[0]), default: [:]][String(parts[1])] = tensor
        }
        try self.init(record, tensors, from: file.path)
    }

    /// The state of numbers and tensors, these by what they are and the parameter's name.
    ///
    /// - Parameters:
    ///   - record: The numbers.
    ///   - tensors: The tensors.
    ///   - remembers: Of which parameters there is what the optimiser remembers; by default of all.
    ///   - origin: Where they come from, for messages.
    /// - Throws: `WuerstchenError` with code `malformedFile` when they do not belong together.
    init(
        _ record: Record, _ tensors: [String: [String: Tensor]],
        where remembers: (String) -> Bool = { _ in true }, from origin: String
    ) throws {
        var tensors = tensors
        parameters = TrainableParameters(tensors.removeValue(forKey: Kind.parameter) ?? [:])
        let averages = tensors.removeValue(forKey: Kind.average) ?? [:]
        let shapes = parameters.values.mapValues(\.shape)
        let others = tensors.values.flatMap(\.self) + averages
        guard record.isPossible, others.allSatisfy({ shapes[$0.key] == $0.value.shape }),
            tensors.values.allSatisfy({ $0.keys.allSatisfy { record.momentCounts[$0] != nil } })
        else {
            throw WuerstchenError(
                .malformedFile,
                "\(origin): steps, means and averages do not belong to its parameters")
        }
        for kind in tensors.keys {
            guard let shard = Kind.shard(ofError: kind) else { continue }
            gradientErrors[shard] = tensors.removeValue(forKey: kind)
        }
        for (name, count) in record.momentCounts {
            let own = tensors.compactMapValues { $0[name] }
            guard !own.isEmpty || !remembers(name) else {
                throw WuerstchenError(
                    .malformedFile, "\(origin): the optimiser's means of \(name) are missing")
            }
            optimizer.memories[name] = OptimizerState.Memory(own, count: count)
        }
        objective = record.objective
        (seed, batchSize) = (record.seed, record.batchSize)
        microBatches = record.microBatches ?? 1
        (peakRate, precision, loss) = (record.peakRate, record.precision, record.loss)
        settings = record.settings
        step = record.step
        seconds = record.seconds
        average = ExponentialAverage(
            decay: record.averageDecay, averages, count: record.averageCount)
        (optimizerName, weightDecay) = (record.optimizer ?? AdamW().name, record.weightDecay)
    }

    /// Writes the state; the file is complete or as it was before.
    ///
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    public func write(to file: URL) throws {
        try write(to: file, adding: [])
    }

    /// Writes the state and further tensors.
    func write(to file: URL, adding others: [Safetensors.Source]) throws {
        let text = String(decoding: try encodedRecord(), as: UTF8.self)
        try Safetensors.write(
            tensors.map { Safetensors.Source(name: $0, $1) } + others,
            metadata: ["training": text], to: file)
    }

    /// All tensors by their names in a file.
    var tensors: [(name: String, tensor: Tensor)] {
        var result: [(String, Tensor)] = []
        func add(_ kind: String, _ name: String, _ tensor: Tensor) {
            result.append(("\(kind)/\(name)", tensor))
        }
        for (name, tensor) in parameters.values { add(Kind.parameter, name, tensor) }
        for (name, tensor) in average.values { add(Kind.average, name, tensor) }
        for (name, memory) in optimizer.memories {
            for (kind, tensor) in memory.tensors { add(kind, name, tensor) }
        }
        for (shard, errors) in gradientErrors {
            for (name, tensor) in errors { add(Kind.error(of: shard), name, tensor) }
        }
        return result
    }

    /// The numbers beside the tensors.
    func encodedRecord() throws -> Data {
        let record = Record(
            objective: objective, seed: seed, batchSize: batchSize, step: step, seconds: seconds,
            averageCount: average.count, averageDecay: average.decay, weightDecay: weightDecay,
            settings: settings, peakRate: peakRate, precision: precision, loss: loss,
            microBatches: microBatches == 1 ? nil : microBatches,
            optimizer: optimizerName == AdamW().name ? nil : optimizerName,
            momentCounts: optimizer.memories.mapValues(\.count))
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return try encoder.encode(record)
    }
}

extension Safetensors.Source {
    /// A tensor as 32-bit floats.
    package init(name: String, _ tensor: Tensor) {
        self.init(name: name, elementType: .f32, shape: tensor.shape.array) { write in
            try tensor.withUnsafeElements { try write(UnsafeRawBufferPointer($0)) }
        }
    }
}
