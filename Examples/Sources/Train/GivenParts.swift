import Foundation
import Wuerstchen
import WuerstchenMiniature
import WuerstchenScenes
import WuerstchenTraining

/// A text encoder to begin with.
struct TextParts {
    let configuration: CLIPTextModel.Configuration
    let tokenizer: CLIPTokenizer
    /// Where the encoder lies.
    let folder: URL
    let tokenizerFolder: URL
    private let stored: CheckpointParameters

    /// Under `text.`, as objectives take them. Read when everything is known to fit.
    func parameters() throws -> [String: Tensor] {
        TrainableParameters(try stored.values(), under: "text").values
    }

    init(_ path: String?, pipeline: String) throws {
        let pipeline =
            try path.map { URL(fileURLWithPath: $0) }
            ?? Miniature.folder().appendingPathComponent(pipeline)
        let layout = CheckpointLayout.published
        let encoder = layout.priorTextEncoder
        folder = pipeline.appendingPathComponent(encoder.folder)
        configuration = try read(folder.appendingPathComponent(layout.configuration))
        tokenizerFolder = pipeline.appendingPathComponent(layout.tokenizer)
        tokenizer = try CLIPTokenizer(contentsOf: tokenizerFolder)
        stored = try CheckpointParameters(directory: folder, stem: encoder.stem)
        _ = try CLIPTextModel(configuration: configuration, parameters: stored.withoutValues)
    }
}

func loadCompressor(
    _ path: String?, _ precision: Precision, _ space: SemanticLatentSpace
) throws -> SemanticCompressor {
    let file =
        try path.map { URL(fileURLWithPath: $0) }
        ?? Miniature.folder().appendingPathComponent(CheckpointLayout.published.compressor)
    return try SemanticCompressor(
        parameters: CheckpointParameters(contentsOf: file), precision: precision,
        latentSpace: space)
}

/// A configuration file, or what takes its place.
func loaded<Value: Decodable>(_ path: String?, _ standard: Value) throws -> Value {
    try path.map { try read(URL(fileURLWithPath: $0)) } ?? standard
}

func read<Value: Decodable>(_ file: URL) throws -> Value {
    do {
        return try JSONDecoder().decode(Value.self, from: Data(contentsOf: file))
    } catch {
        throw WuerstchenError(
            .malformedFile, "\(file.path) cannot be read as a configuration", underlying: error)
    }
}
