import Foundation
import Wuerstchen

/// Writes the parts of one of a checkpoint's two folders.
struct CheckpointWriter {
    private let folder: URL
    private let seed: UInt64

    init(_ folder: URL, seed: UInt64) {
        self.folder = folder
        self.seed = seed
    }

    /// Writes a network's configuration, `config.json`, and random parameters, `stem.safetensors`,
    /// into the folder of a part. The names and shapes of the parameters are what `build` asks for
    /// when it builds the network.
    func write(
        _ part: String, _ stem: String, _ configuration: some Encodable,
        _ build: (any ParameterSource) throws -> Void
    ) throws {
        let directory = folder.appendingPathComponent(part)
        try makeFolder(directory)
        try encode(configuration, to: directory.appendingPathComponent("config.json"))
        let recorder = Recorder()
        try build(recorder)
        let random = RandomParameters(seed: seed)
        let sources = recorder.requests.values.sorted { $0.name < $1.name }.map { request in
            Safetensors.Source(
                name: request.name, elementType: .f32, shape: request.shape.array
            ) { write in
                guard case .found(let tensor) = random.parameter(request) else { return }
                try tensor.withUnsafeElements { try write(UnsafeRawBufferPointer($0)) }
            }
        }
        let file = directory.appendingPathComponent("\(stem).safetensors")
        try Safetensors.write(sources, metadata: ["format": "pt"], to: file)
        let bytes = recorder.requests.values.reduce(0) { $0 + 4 * $1.shape.count }
        print("\(file.path): \(sources.count) tensors, \(bytes / 1_000_000) MB")
    }

    /// Writes a vocabulary of bytes alone, with the special tokens at the end of the published one.
    func writeTokenizer(vocabularySize: Int) throws {
        let directory = folder.appendingPathComponent("tokenizer")
        try makeFolder(directory)
        // Printable bytes stand for themselves, the others for characters from U+0100 on.
        let printable = Set(Array(33...126) + Array(161...172) + Array(174...255))
        var next: UInt32 = 256
        var vocabulary: [String: Int] = [:]
        for byte in 0..<256 {
            var scalar = UInt32(byte)
            if !printable.contains(byte) {
                scalar = next
                next += 1
            }
            guard let character = Unicode.Scalar(scalar) else { continue }
            vocabulary["\(character)"] = byte
            vocabulary["\(character)</w>"] = 256 + byte
        }
        vocabulary["<|startoftext|>"] = vocabularySize - 2
        vocabulary["<|endoftext|>"] = vocabularySize - 1
        try encode(vocabulary, to: directory.appendingPathComponent("vocab.json"))
        try Data("#version: 0.2\n".utf8).write(to: directory.appendingPathComponent("merges.txt"))
    }

    /// Writes `model_index.json` and the scheduler's configuration.
    func writeIndex(_ index: [String: Double]) throws {
        let scheduler = folder.appendingPathComponent("scheduler")
        try makeFolder(scheduler)
        try encode(index, to: folder.appendingPathComponent("model_index.json"))
        try encode(
            ["s": 0.008, "scaler": 1], to: scheduler.appendingPathComponent("scheduler_config.json")
        )
    }

    private func makeFolder(_ folder: URL) throws {
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw WuerstchenError(
                .unwritableFile, "\(folder.path) cannot be made", underlying: error)
        }
    }

    private func encode(_ value: some Encodable, to file: URL) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(value).write(to: file, options: .atomic)
    }
}

/// Notes which parameters a network asks for, and gives it zeros, all of them parts of one tensor.
private final class Recorder: ParameterSource {
    let origin = "recorder"
    let names: Set<String>? = nil
    let hasValues = false
    private(set) var requests: [String: ParameterRequest] = [:]
    private var zeros = Tensor(repeating: 0, [1 << 20])

    func parameter(_ request: ParameterRequest) -> FoundParameter {
        let shape = request.shape
        requests[request.name] = request
        if zeros.count < shape.count { zeros = Tensor(repeating: 0, [shape.count]) }
        return .found(zeros[0..<shape.count].reshaped(to: shape))
    }
}
