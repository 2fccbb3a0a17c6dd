import Foundation
import TensorCore
import Wuerstchen
import WuerstchenTraining

/// What is fuzzed: everything that reads a file or a prompt of a stranger's. A target must end in a
/// value or a thrown error, whatever the bytes are; anything else ends the process, and libFuzzer
/// keeps the input.
enum FuzzTarget {
    static let all: [String: @Sendable ([UInt8]) -> Void] = [
        "safetensors": safetensors, "json": json, "tokenizer": tokenizer, "png": png,
        "state": state, "photo": photo, "record": record,
    ]

    /// The target of this run.
    nonisolated(unsafe) static var run: @Sendable ([UInt8]) -> Void = { _ in }

    /// A folder in memory for this process.
    private static let folder: URL = {
        let memory = "/dev/shm"
        let place =
            FileManager.default.fileExists(atPath: memory)
            ? URL(fileURLWithPath: memory) : FileManager.default.temporaryDirectory
        let folder = place.appendingPathComponent("fuzz-\(getpid())", isDirectory: true)
        for name in ["images", "photos"] {
            try? FileManager.default.createDirectory(
                at: folder.appendingPathComponent(name), withIntermediateDirectories: true)
        }
        atexit { FuzzTarget.removeFolder() }
        return folder
    }()

    private static func removeFolder() { try? FileManager.default.removeItem(at: folder) }

    /// Writes a file in the folder, under the same name each time.
    private static func write(_ bytes: some Collection<UInt8>, as name: String) -> URL {
        let url = folder.appendingPathComponent(name, isDirectory: false)
        let descriptor = open(url.path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(descriptor) }
        let bytes = Array(bytes)
        if Foundation.write(descriptor, bytes, bytes.count) != bytes.count {
            print("\(url.path) cannot be written")
            exit(3)
        }
        return url
    }

    /// What begins with a byte that says how the others are taken.
    private static func choice(_ bytes: [UInt8]) -> (Int, ArraySlice<UInt8>) {
        (Int(bytes.first ?? 0), bytes.dropFirst())
    }

    // MARK: Targets

    /// Layers that a LoRA can be of.
    private static let layers: [CascadeLoRA.Network: [String: Shape]] = [
        .stageC: ["blocks.0.attention.to_q": [4, 6], "blocks.1.channelwise.0": [2, 2]],
        .textEncoder: ["text_model.encoder.layers.0.mlp.fc1": [4, 2]],
        .stageB: ["up_blocks.0.0.attention.to_out.0": [2, 4]],
    ]

    /// A file as it is, or one of a header and some data, for which the length is put in front:
    /// weights, a LoRA or embeddings of a prompt.
    static func safetensors(_ bytes: [UInt8]) {
        let (choice, rest) = choice(bytes)
        let url = write(choice % 2 == 0 ? Array(rest) : wrapped(Array(rest)), as: "x.safetensors")
        guard let file = try? Safetensors(contentsOf: url) else { return }
        _ = try? CascadeLoRA(contentsOf: url, for: layers)
        _ = try? PromptEmbeddings(contentsOf: url)
        for entry in file.entries.values {
            guard entry.shape.count <= Shape.maximumRank, entry.byteRange.count < 1 << 20 else {
                continue
            }
            if let tensor = try? file.floats(of: entry, as: Shape(entry.shape)) {
                _ = tensor.elements
            }
            _ = try? file.integers(of: entry)
        }
    }

    /// An index of shards, a configuration, or the JSON beside a tokenizer.
    static func json(_ bytes: [UInt8]) {
        let (choice, text) = choice(bytes)
        switch choice % 6 {
        case 0:
            _ = write(text, as: "model.safetensors.index.json")
            _ = try? SafetensorsCheckpoint(directory: folder, stem: "model")
        case 1: configuration(StageC.Configuration.self, text)
        case 2: configuration(StageB.Configuration.self, text)
        case 3: configuration(StageA.Configuration.self, text)
        case 4: configuration(CLIPTextModel.Configuration.self, text)
        default:
            _ = write(text, as: "tokenizer.json")
            _ = try? CLIPTokenizer(contentsOf: folder)
        }
    }

    private static func configuration<Value: Codable & Equatable>(
        _ type: Value.Type, _ text: ArraySlice<UInt8>
    ) {
        _ = write(text, as: "config.json")
        _ = try? StudentFolder(folder).configuration(type)
    }

    private static let prompts = Result {
        try CLIPTokenizer(contentsOf: tokenizerFiles(merges: Array(Self.merges.utf8)))
    }
    private static let merges = "t h\nth e</w>\nc a\nca t</w>\n"

    /// A prompt, or the merges of a tokenizer.
    static func tokenizer(_ bytes: [UInt8]) {
        let (choice, rest) = choice(bytes)
        if choice % 8 == 0 {
            let tokenizer = try? CLIPTokenizer(contentsOf: tokenizerFiles(merges: Array(rest)))
            _ = tokenizer?.encode("the cat")
            return
        }
        guard let tokenizer = try? prompts.get() else {
            print("the tokenizer for prompts cannot be made")
            exit(3)
        }
        let once = String(decoding: rest, as: UTF8.self)
        // Long prompts are where time goes: the text again and again.
        let text = choice % 8 == 1 ? String(repeating: once, count: 1 << 8) : once
        if let weighted = try? WeightedPrompt(text) { _ = tokenizer.encode(weighted) }
        _ = try? Wildcards(folder: folder).prompt(of: text, seed: 1)
        let encoding = tokenizer.encode(text)
        precondition(
            encoding.ids.count == tokenizer.length && encoding.ids[0] == tokenizer.startToken)
    }

    private static func tokenizerFiles(merges: [UInt8]) throws -> URL {
        let files = folder.appendingPathComponent("tokenizer", isDirectory: true)
        if !FileManager.default.fileExists(atPath: files.path) {
            try FileManager.default.createDirectory(at: files, withIntermediateDirectories: true)
            try vocabulary().write(to: files.appendingPathComponent("vocab.json"))
        }
        _ = write(merges, as: "tokenizer/merges.txt")
        return files
    }

    private static func vocabulary() throws -> Data {
        var symbols: [String] = []
        var substitute: UInt32 = 0x100
        for byte in UInt32(0)...255 {
            let isVisible = [33...126, 161...172, 174...255].contains { $0.contains(byte) }
            let scalar = Unicode.Scalar(isVisible ? byte : substitute)
            symbols.append(scalar.map { String($0) } ?? "")
            if !isVisible { substitute += 1 }
        }
        symbols += symbols.map { $0 + "</w>" }
        symbols += ["th", "the</w>", "ca", "cat</w>", "<|startoftext|>", "<|endoftext|>"]
        return try JSONEncoder().encode(
            Dictionary(zip(symbols, 0...), uniquingKeysWith: { first, _ in first }))
    }

    /// An image as it is, or one whose checksums are put right.
    static func png(_ bytes: [UInt8]) {
        let (choice, rest) = choice(bytes)
        let file = choice % 4 == 0 ? Array(rest) : withChecksums(Array(rest))
        let url = write(file, as: "images/0.png")
        _ = choice % 4 == 3 ? nil : try? Image.read(contentsOf: url)
        if choice % 4 == 3 { _ = try? ImageFolder(url.deletingLastPathComponent()) }
    }

    /// A JPEG or WebP file, by itself or in a folder.
    static func photo(_ bytes: [UInt8]) {
        let (choice, rest) = choice(bytes)
        let url = write(rest, as: "photos/0.jpg")
        _ = choice % 4 == 3 ? nil : try? Image.read(contentsOf: url)
        if choice % 4 == 3 { _ = try? ImageFolder(url.deletingLastPathComponent()) }
    }

    /// The record in an image of how it was made.
    static func record(_ bytes: [UInt8]) {
        let file = write(bytes, as: "record.json")
        guard let record = try? decodeJSON(GenerationRecord.self, from: file),
            let request = try? record.request()
        else { return }
        try? request.validate()
    }

    /// The state of a training run: a file as it is, or one made of a record, a line feed and the
    /// entries of a header.
    static func state(_ bytes: [UInt8]) {
        let (choice, rest) = choice(bytes)
        let file: [UInt8]
        if choice % 2 == 0 {
            file = Array(rest)
        } else {
            let parts = rest.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
            let record = String(decoding: parts.first ?? [], as: UTF8.self)
            let quoted = (try? JSONEncoder().encode(record)) ?? Data("\"\"".utf8)
            let entries = parts.count > 1 ? Array(parts[1]) : []
            file = wrapped(
                Array("{\"__metadata__\":{\"training\":".utf8) + quoted + Array("},".utf8) + entries
            )
        }
        guard let state = try? TrainingState(contentsOf: write(file, as: "state.safetensors"))
        else {
            return
        }
        try? state.write(to: folder.appendingPathComponent("again.safetensors"))
    }

    // MARK: Repairs

    /// A safetensors file with this header, and as much data as its entries may ask for.
    private static func wrapped(_ header: [UInt8]) -> [UInt8] {
        let parts = header.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
        let text = parts.first.map(Array.init) ?? []
        // After a zero, the amount of data.
        let count = parts.count > 1 ? parts[1].prefix(2).reduce(0) { $0 << 8 | Int($1) } : 64
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
        return length + text + (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    }

    private static let checksums: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { sum, _ in sum >> 1 ^ (sum & 1 == 1 ? 0xEDB8_8320 : 0) }
    }

    /// A PNG file whose chunks have the checksums that their contents ask for.
    private static func withChecksums(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        var place = 8
        while bytes.count - place >= 12 {
            let length = bytes[place..<place + 4].reduce(0) { $0 << 8 | Int($1) }
            guard length <= bytes.count - place - 12 else { break }
            let end = place + 8 + length
            let sum = ~bytes[place + 4..<end].reduce(UInt32.max) {
                $0 >> 8 ^ checksums[Int(UInt8(truncatingIfNeeded: $0) ^ $1)]
            }
            for index in 0..<4 {
                bytes[end + index] = UInt8(truncatingIfNeeded: sum >> (24 - 8 * UInt32(index)))
            }
            place = end + 4
        }
        return bytes
    }
}
