public import Foundation
internal import TensorCore
internal import Wuerstchen

/// Makes couplings with a teacher: follows its flow from noise to latents under many conditions
/// (Liu et al., "InstaFlow", 2023).
///
/// They are written in files of some hundred pairs. What is there already is kept, so that making
/// goes on where it was stopped, or with more.
public struct PairGenerator: Sendable {
    /// How they are made, as it is written beside them.
    public var record: CouplingRecord
    /// What the images are conditioned on.
    public var conditions: any ConditionSource
    /// Pairs that are made at a time.
    public var batchSize = 32
    /// Which of several processes this one is: each makes every so many-th file.
    public var process = ProcessRank.single
    /// The largest element of latents that are kept; larger ones are a solver gone astray.
    public var largest: Float = 20
    private let teacher: CouplingTeacher
    private var latentShape: CouplingTeacher.LatentShape { teacher.latentShape }

    /// A generator.
    ///
    /// - Parameters:
    ///   - record: How the pairs are made.
    ///   - conditions: What they are conditioned on.
    ///   - teacher: What makes them.
    public init(
        _ record: CouplingRecord, conditions: any ConditionSource, teacher: CouplingTeacher
    ) {
        self.record = record
        self.conditions = conditions
        self.teacher = teacher
    }

    /// Refuses numbers that make no sense.
    private func validate(_ count: Int) throws {
        _ = try Guidance(weight: record.guidance)
        guard (0...1).contains(record.captionDropout) else {
            throw WuerstchenError(
                .invalidRequest,
                "a share of \(record.captionDropout) of the pairs without caption; it must be from 0 "
                    + "to 1")
        }
        guard (1...1 << 40).contains(count), (1...1 << 30).contains(record.shardSize),
            (1...1 << 20).contains(batchSize), latentShape.rows > 0, latentShape.columns > 0,
            latentShape.channels > 0
        else {
            throw WuerstchenError(
                .invalidRequest,
                "\(count) couplings of \(latentShape), \(record.shardSize) to a file and "
                    + "\(batchSize) at a time; counts must be positive")
        }
    }

    /// Makes couplings until there are as many as wanted.
    ///
    /// - Parameters:
    ///   - count: How many, rounded up to whole files.
    ///   - folder: Where to; made if it is not there.
    ///   - progress: Called after each batch with the number of the pair that it came to.
    /// - Returns: How many pairs of this process's files were refused as not finite or too large.
    /// - Throws: `CancellationError` when the task is cancelled, or `WuerstchenError` when a file
    ///   is there that was made differently, or cannot be written.
    @discardableResult
    public func make(
        _ count: Int, in folder: URL, progress: (Int) -> Void = { _ in }
    ) throws -> Int {
        try validate(count)
        let lock = try FolderLock(folder, for: process)
        defer { withExtendedLifetime(lock) {} }
        var refused = 0
        let shards = (count + record.shardSize - 1) / record.shardSize
        for shard in 0..<shards where process.takes(shard) {
            let file = Couplings.file(shard, in: folder)
            let range = shard * record.shardSize..<(shard + 1) * record.shardSize
            if FileManager.default.fileExists(atPath: file.path) {
                let header = try Couplings.header(of: file).header
                guard header.record == record else {
                    throw WuerstchenError(
                        .invalidRequest,
                        "\(file.path) was made with other settings ("
                            + "\(header.record.differences(from: record))); choose another folder, or "
                            + "delete it")
                }
                refused += record.shardSize - header.numbers.count
                progress(range.upperBound)
                continue
            }
            refused += try make(range, file, progress)
        }
        return refused
    }

    private func make(
        _ range: Range<Int>, _ file: URL, _ progress: (Int) -> Void
    ) throws -> Int {
        var (numbers, captions): ([Int], [String]) = ([], [])
        var (clean, semantics): ([Tensor], [Tensor]) = ([], [])
        for first in stride(from: range.lowerBound, to: range.upperBound, by: batchSize) {
            try Task.checkCancellation()
            let part = first..<min(first + batchSize, range.upperBound)
            var found = try conditions.conditions(part)
            guard found.captions.count == part.count,
                found.semantics.map({ $0.shape[0] == part.count }) ?? true
            else {
                throw WuerstchenError(
                    .invalidRequest,
                    "there are \(found.captions.count) conditions for \(part.count) couplings")
            }
            for (row, number) in part.enumerated() where record.isUnconditional(number) {
                found.captions[row] = ""
            }
            let latents = try latents(part, found)
            for (row, number) in part.enumerated() {
                let latent = latents[row..<row + 1]
                guard latent.isFinite, latent.elements.allSatisfy({ abs($0) <= largest }) else {
                    continue
                }
                numbers.append(number)
                captions.append(found.captions[row])
                clean.append(latent)
                if let maps = found.semantics { semantics.append(maps[row..<row + 1]) }
            }
            progress(part.upperBound)
        }
        guard !clean.isEmpty else {
            throw WuerstchenError(
                .notFinite,
                "none of the couplings \(range) came out as latents of ordinary size; the teacher is "
                    + "damaged or its guidance too strong")
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let header = Couplings.Header(record: record, numbers: numbers, captions: captions)
        var sources = [Safetensors.Source(name: "clean", Tensor.concatenating(clean))]
        if !semantics.isEmpty {
            sources.append(
                Safetensors.Source(name: "semantics", Tensor.concatenating(semantics)))
        }
        try Safetensors.write(
            sources,
            metadata: ["couplings": String(decoding: try encoder.encode(header), as: UTF8.self)],
            to: file)
        return range.count - numbers.count
    }

    /// Pairs without caption go without guidance, and so in a batch of their own.
    private func latents(_ range: Range<Int>, _ conditions: CouplingConditions) throws -> Tensor {
        let shape: Shape = [1, latentShape.rows, latentShape.columns, latentShape.channels]
        var made = [Tensor?](repeating: nil, count: range.count)
        for isUnconditional in [false, true] {
            let rows = range.enumerated().filter {
                record.isUnconditional($0.element) == isUnconditional
            }
            guard !rows.isEmpty else { continue }
            let part = CouplingConditions(
                captions: rows.map { conditions.captions[$0.offset] },
                semantics: conditions.semantics.map { maps in
                    Tensor.concatenating(rows.map { maps[$0.offset..<$0.offset + 1] })
                })
            let noise = Tensor.concatenating(rows.map { record.noise($0.element, shape) })
            let latents = try solve(part, noise, guidance: isUnconditional ? 1 : record.guidance)
            for (place, row) in rows.enumerated() {
                made[row.offset] = latents[place..<place + 1]
            }
        }
        return Tensor.concatenating(made.compactMap { $0 })
    }

    /// Where the noise leads; not numbers for pairs of which the teacher makes none.
    private func solve(
        _ conditions: CouplingConditions, _ noise: Tensor, guidance: Float
    ) throws -> Tensor {
        do {
            let (field, solver) = (try teacher.field(conditions, guidance: guidance), record.solver)
            let times = try field.map.timesteps(count: solver.steps)
            return try field.solve(from: noise, timesteps: times, solver: solver.method).latent
        } catch let error as WuerstchenError where error.code == .notFinite {
            // One pair gone astray is no reason to lose the others of its batch.
            guard noise.shape[0] > 1 else { return Tensor(repeating: .nan, noise.shape) }
            return Tensor.concatenating(
                try (0..<noise.shape[0]).map { row in
                    try solve(
                        CouplingConditions(
                            captions: [conditions.captions[row]],
                            semantics: conditions.semantics.map { $0[row..<row + 1] }),
                        noise[row..<row + 1], guidance: guidance)
                })
        }
    }
}
