public import Foundation
public import TensorCore
internal import Wuerstchen
internal import WuerstchenNN

/// Pairs of noise and the clean latents that a flow leads it to, with what they are conditioned on.
public struct CouplingBatch: Sendable {
    /// ε, standard normal, `[batch, height, width, channels]`.
    public var noise: Tensor
    /// The latents at the flow's end, as the stage makes them.
    public var clean: Tensor
    /// What they are conditioned on.
    public var conditions: CouplingConditions
}

/// Couplings in a folder, which trainings can share.
public struct Couplings: Sendable {
    /// How they were made.
    public let record: CouplingRecord
    private(set) var shards: [Shard]

    struct Shard: Sendable {
        let numbers: [Int]
        let captions: [String]
        let clean: Tensor
        let semantics: Tensor?
    }

    /// What a file says about its pairs.
    struct Header: Codable {
        let record: CouplingRecord
        let numbers: [Int]
        let captions: [String]
    }

    /// What earlier versions wrote: conditions and solver in words.
    private struct ProseHeader: Decodable {
        struct Record: Decodable {
            let conditions: String
            let solver: String
        }
        let record: Record
    }

    /// All couplings of a folder.
    ///
    /// - Throws: `WuerstchenError` that names the file when there are none, or some that do not
    ///   belong together or are damaged.
    public init(contentsOf folder: URL) throws {
        let files = try Couplings.files(in: folder)
        guard let first = files.first else {
            throw WuerstchenError(
                .fileNotFound, "\(folder.path) has no couplings in it; make some first")
        }
        record = try Couplings.header(of: first).header.record
        shards = []
        for file in files {
            let (header, entries) = try Couplings.header(of: file)
            guard header.record == record else {
                throw WuerstchenError(
                    .malformedFile,
                    "\(file.path) holds couplings that were made differently from those in "
                        + "\(first.lastPathComponent) (\(header.record.differences(from: record))); keep each kind in a folder of "
                        + "its own")
            }
            let source = try CheckpointParameters(contentsOf: file)
            func tensor(_ name: String) throws -> Tensor? {
                guard let shape = entries.entries[name]?.shape else { return nil }
                guard shape.count == 4, shape.allSatisfy({ $0 > 0 }),
                    shape[0] == header.numbers.count, header.captions.count == shape[0],
                    header.numbers.allSatisfy({ $0 >= 0 }),
                    case .found(let tensor) = try source.parameter(
                        ParameterRequest(name, Shape(shape))), tensor.isFinite
                else {
                    throw WuerstchenError(
                        .malformedFile,
                        "\(file.path): \(name) is not of \(header.numbers.count) couplings; delete it"
                    )
                }
                return tensor
            }
            guard let clean = try tensor("clean") else {
                throw WuerstchenError(.malformedFile, "\(file.path) has no latents; delete it")
            }
            shards.append(
                Shard(
                    numbers: header.numbers, captions: header.captions, clean: clean,
                    semantics: try tensor("semantics")))
        }
        func inner(_ tensor: Tensor?) -> [Int]? { tensor.map { Array($0.shape.array.dropFirst()) } }
        guard
            shards.allSatisfy({
                inner($0.clean) == inner(shards[0].clean)
                    && inner($0.semantics) == inner(shards[0].semantics)
            })
        else {
            throw WuerstchenError(
                .malformedFile,
                "\(folder.path) holds couplings of different shapes; keep each kind in a folder of its "
                    + "own")
        }
    }

    /// Refuses couplings that are not of a stage, or that another teacher made.
    ///
    /// - Parameters:
    ///   - stage: The stage's name, such as `stage-c`.
    ///   - teacher: The teacher's folder.
    /// - Throws: `WuerstchenError` with code `invalidRequest`.
    public func requireTeacher(_ stage: String, in teacher: URL) throws {
        try requireStage(stage)
        let fingerprint = try weightsFingerprint(of: teacher)
        guard record.teacher == fingerprint else {
            throw WuerstchenError(
                .invalidRequest,
                "the couplings were made by another teacher (\(record.teacher)) than the stage in "
                    + "\(teacher.path) (\(fingerprint)), which is to be distilled; make couplings "
                    + "with it, or distill the stage that made them")
        }
    }

    /// Refuses couplings that are not of a stage.
    ///
    /// - Parameter stage: The stage's name, such as `stage-c`.
    /// - Throws: `WuerstchenError` with code `invalidRequest`.
    public func requireStage(_ stage: String) throws {
        guard record.stage == stage else {
            throw WuerstchenError(
                .invalidRequest, "these are couplings of \(record.stage), not \(stage)")
        }
    }

    /// The number of pairs.
    public var count: Int { shards.reduce(0) { $0 + $1.numbers.count } }

    /// Rows, columns and channels of the latents.
    var latentShape: (rows: Int, columns: Int, channels: Int) {
        // There is a first file, and its latents have four axes.
        let shape = shards[0].clean.shape
        return (shape[1], shape[2], shape[3])
    }

    /// The last file's pairs, and all others; the same twice if there is only one file.
    public var heldOutLast: (training: Couplings, validation: Couplings) {
        guard shards.count > 1, let last = shards.last, !last.numbers.isEmpty else {
            return (self, self)
        }
        var (training, validation) = (self, self)
        training.shards.removeLast()
        validation.shards = [last]
        return (training, validation)
    }

    /// The mean and the standard deviation of all elements of the latents, over at most a thousand
    /// pairs.
    public var moments: (mean: Double, deviation: Double) {
        let clean = first(1000).clean
        let mean = Double(clean.mean().elements[0])
        let square = Double(clean.meanSquare().elements[0])
        return (mean, max(1e-6, square - mean * mean).squareRoot())
    }

    /// Pairs drawn at random, the same for the same number and count.
    ///
    /// - Precondition: The count is positive.
    public func batch(_ number: Int, count: Int) -> CouplingBatch {
        var random = RandomStream(record.seed, 13, UInt64(number))
        let total = self.count
        return rows((0..<count).map { _ in random.integer(below: total) })
    }

    /// The first pairs, all if there are not as many.
    ///
    /// - Precondition: The count is positive.
    public func first(_ count: Int) -> CouplingBatch {
        rows(Array(0..<min(count, self.count)))
    }

    private func rows(_ places: [Int]) -> CouplingBatch {
        var (noise, clean, semantics): ([Tensor], [Tensor], [Tensor]) = ([], [], [])
        var captions: [String] = []
        for place in places {
            var row = place
            for shard in shards {
                guard row >= shard.numbers.count else {
                    let shape = [1] + shard.clean.shape.array.dropFirst()
                    noise.append(record.noise(shard.numbers[row], Shape(shape)))
                    clean.append(shard.clean[row..<row + 1])
                    if let maps = shard.semantics { semantics.append(maps[row..<row + 1]) }
                    captions.append(shard.captions[row])
                    break
                }
                row -= shard.numbers.count
            }
        }
        return CouplingBatch(
            noise: Tensor.concatenating(noise), clean: Tensor.concatenating(clean),
            conditions: CouplingConditions(
                captions: captions,
                semantics: semantics.isEmpty ? nil : Tensor.concatenating(semantics)))
    }

    // MARK: Files

    static func file(_ number: Int, in folder: URL) -> URL {
        folder.appendingPathComponent(String(format: "couplings-%05ld.safetensors", number))
    }

    private static func files(in folder: URL) throws -> [URL] {
        do {
            return try FileManager.default.contentsOfDirectory(
                at: folder, includingPropertiesForKeys: nil
            ).filter {
                $0.lastPathComponent.hasPrefix("couplings-") && $0.pathExtension == "safetensors"
            }.sorted { $0.lastPathComponent < $1.lastPathComponent }
        } catch {
            throw WuerstchenError(
                .fileNotFound,
                "\(folder.path) is not there or no folder that can be read; check the path, or make "
                    + "couplings first", underlying: error)
        }
    }

    static func header(of file: URL) throws -> (header: Header, entries: Safetensors) {
        let entries = try Safetensors(contentsOf: file)
        guard let text = entries.metadata["couplings"] else {
            throw WuerstchenError(.malformedFile, "\(file.path) does not hold couplings")
        }
        let data = Data(text.utf8)
        guard let header = try? JSONDecoder().decode(Header.self, from: data) else {
            if (try? JSONDecoder().decode(ProseHeader.self, from: data)) != nil {
                throw WuerstchenError(
                    .malformedFile,
                    "\(file.path) was written by an earlier version, which noted in prose how couplings "
                        + "were made; that cannot be compared, so make them anew in another folder")
            }
            throw WuerstchenError(.malformedFile, "\(file.path) does not hold couplings")
        }
        return (header, entries)
    }
}
