import ExampleSupport
import Foundation
import Wuerstchen
import WuerstchenMiniature
import WuerstchenScenes
import WuerstchenTraining

extension StartingText {
    /// The text encoder of a pipeline's folder; the miniature's where none is named.
    init(_ path: String?, pipeline: String) throws {
        try self.init(
            pipeline: path.map { URL(fileURLWithPath: $0) }
                ?? Miniature.folder().appendingPathComponent(pipeline))
    }

    /// Adds the words of some images' captions that the encoder does not know, in a training that
    /// begins; one that goes on has those that it was begun with.
    mutating func learn(_ images: TrainingImages, in training: URL, isBegun: Bool) throws {
        let folder = training.appendingPathComponent("tokenizer")
        let isThere = FileManager.default.fileExists(atPath: folder.path)
        guard let captions = images.captions, isThere || !isBegun else { return }
        try FileManager.default.createDirectory(at: training, withIntermediateDirectories: true)
        try learn(captions, in: folder)
        guard !newWords.isEmpty else { return }
        StatusLine().note(
            "\(newWords.count) new words, such as \(newWords.prefix(8).joined(separator: ", "))")
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
    try path.map { try decodeJSON(Value.self, from: URL(fileURLWithPath: $0)) } ?? standard
}
