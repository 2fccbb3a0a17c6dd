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
    /// The optimiser's running means.
    public var optimizer: AdamW
    /// The average of the parameters: what is worth keeping of a run.
    public var average: ExponentialAverage

    init(objective: String, parameters: TrainableParameters, _ options: TrainingOptions) {
        self.objective = objective
        self.parameters = parameters
        (seed, batchSize) = (options.seed, options.batchSize)
        microBatches = options.microBatches
        (peakRate, precision) = (options.rate.peak, options.precision)
        optimizer = AdamW(weightDecay: options.weightDecay)
        average = ExponentialAverage(decay: options.averageDecay, parameters.values)
    }

    /// Moves the parameters against their gradients.
    mutating func update(
        _ gradients: [String: Tensor], scale: Float, rate: (_ name: String) -> Float
    ) {
        optimizer.update(&parameters.values, gradients, scale: scale, rate: rate)
    }

    /// The settings under which going on would be another training, each with both values. More
    /// steps are none of them.
    func differences(from options: TrainingOptions) -> [String] {
        var result: [String] = []
        func compare<Value: Equatable>(_ name: String, _ begun: Value?, _ asked: Value) {
            if let begun, begun != asked { result.append("\(name) \(begun) (not \(asked))") }
        }
        compare("seed", seed, options.seed)
        compare("batches of", batchSize, options.batchSize)
        compare("micro-batches", microBatches, options.microBatches)
        compare("peak rate", peakRate, options.rate.peak)
        compare("weight decay", optimizer.weightDecay, options.weightDecay)
        compare("average decay", average.decay, options.averageDecay)
        compare("precision", precision?.rawValue, options.precision.rawValue)
        return result
    }

    // MARK: Files

    /// The kinds of tensors in a file, by the beginning of their names.
    private enum Kind: String, CaseIterable {
        case parameter, first, second, average
    }

    /// The numbers beside the tensors.
    private struct Record: Codable {
        let objective: String
        let seed: UInt64
        let batchSize: Int
        let step: Int
        let seconds: Double
        let averageCount: Int
        let averageDecay: Float
        let weightDecay: Float
        // Older files lack these.
        let peakRate: Float?
        let precision: Precision?
        let loss: Float?
        /// Nil for one.
        let microBatches: Int?
        let momentCounts: [String: Int]
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
        var tensors: [Kind: [String: Tensor]] = [:]
        for (name, entry) in header.entries {
            let parts = name.split(separator: "/", maxSplits: 1)
            guard parts.count == 2, let kind = Kind(rawValue: String(parts[0])),
                entry.shape.count <= Shape.maximumRank,
                case .found(let tensor) = try source.parameter(
                    ParameterRequest(name, Shape(entry.shape)))
            else {
                throw WuerstchenError(
                    .malformedFile, "\(file.path): \(name) has no place in a training run's state")
            }
            tensors[kind, default: [:]][String(parts[1])] = tensor
        }
        let shapes = (tensors[.parameter] ?? [:]).mapValues(\.shape)
        let others = [Kind.first, .second, .average].flatMap { tensors[$0] ?? [:] }
        guard record.step >= 0, record.averageCount >= 0,
            record.momentCounts.values.allSatisfy({ (1...record.step + 1).contains($0) }),
            others.allSatisfy({ shapes[$0.key] == $0.value.shape })
        else {
            throw WuerstchenError(
                .malformedFile,
                "\(file.path): steps, means and averages do not belong to its parameters")
        }
        objective = record.objective
        (seed, batchSize) = (record.seed, record.batchSize)
        microBatches = record.microBatches ?? 1
        (peakRate, precision, loss) = (record.peakRate, record.precision, record.loss)
        step = record.step
        seconds = record.seconds
        parameters = TrainableParameters(tensors[.parameter] ?? [:])
        average = ExponentialAverage(
            decay: record.averageDecay, tensors[.average] ?? [:], count: record.averageCount)
        optimizer = AdamW(weightDecay: record.weightDecay)
        for (name, count) in record.momentCounts {
            guard let first = tensors[.first]?[name], let second = tensors[.second]?[name] else {
                throw WuerstchenError(
                    .malformedFile, "\(file.path): the optimiser's means of \(name) are missing")
            }
            optimizer.moments[name] = AdamW.Moments(first: first, second: second, count: count)
        }
    }

    /// Writes the state; the file is complete or as it was before.
    ///
    /// - Throws: `WuerstchenError` with code `unwritableFile`.
    public func write(to file: URL) throws {
        var sources: [Safetensors.Source] = []
        func add(_ kind: Kind, _ name: String, _ tensor: Tensor) {
            sources.append(Safetensors.Source(name: "\(kind.rawValue)/\(name)", tensor))
        }
        for (name, tensor) in parameters.values { add(.parameter, name, tensor) }
        for (name, tensor) in average.values { add(.average, name, tensor) }
        for (name, moments) in optimizer.moments {
            add(.first, name, moments.first)
            add(.second, name, moments.second)
        }
        let record = Record(
            objective: objective, seed: seed, batchSize: batchSize, step: step, seconds: seconds,
            averageCount: average.count,
            averageDecay: average.decay, weightDecay: optimizer.weightDecay,
            peakRate: peakRate, precision: precision, loss: loss,
            microBatches: microBatches == 1 ? nil : microBatches,
            momentCounts: optimizer.moments.mapValues(\.count))
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let text = String(decoding: try encoder.encode(record), as: UTF8.self)
        try Safetensors.write(sources, metadata: ["training": text], to: file)
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
