public import Foundation
public import TensorCore
public import Wuerstchen
internal import WuerstchenNN

/// A text encoder that a training begins with, and its tokenizer, with the words that the training
/// adds to both; see ``NewWords``.
public struct StartingText: Sendable {
    /// The folder of the encoder, as it is without new words.
    public let folder: URL
    /// The folder of the tokenizer, with new words once there are some.
    public private(set) var tokenizerFolder: URL
    /// The tokenizer, with new words once there are some.
    public private(set) var tokenizer: CLIPTokenizer
    /// The encoder's numbers, with new words once there are some.
    public private(set) var configuration: CLIPTextModel.Configuration
    /// The words that are new, in lower case.
    public var newWords: [String] { words?.words ?? [] }

    private let base: (tokenizer: CLIPTokenizer, configuration: CLIPTextModel.Configuration)
    private let stored: CheckpointParameters
    private var words: NewWords?

    /// The text encoder of a pipeline, read but for its weights.
    ///
    /// - Parameter pipeline: A pipeline's folder, with `text_encoder` and `tokenizer` in it.
    /// - Throws: `WuerstchenError` when files cannot be read or do not belong together.
    public init(pipeline: URL) throws {
        let layout = CheckpointLayout.published
        let network = layout.priorTextEncoder
        folder = pipeline.appendingPathComponent(network.folder)
        tokenizerFolder = pipeline.appendingPathComponent(layout.tokenizer)
        tokenizer = try CLIPTokenizer(contentsOf: tokenizerFolder)
        configuration = try decodeJSON(
            CLIPTextModel.Configuration.self,
            from: folder.appendingPathComponent(layout.configuration))
        base = (tokenizer, configuration)
        let parameters = try CheckpointParameters(directory: folder, stem: network.stem)
        // Newer releases of transformers leave the prefix out.
        stored =
            parameters.names?.contains("final_layer_norm.weight") == true
            ? parameters.renamed { ["text_model.\($0)"] } : parameters
        _ = try CLIPTextModel(configuration: configuration, parameters: stored.withoutValues)
    }

    /// Takes the tokenizer of a training. If it is not there, it is made, with a token for each new
    /// word of some captions.
    ///
    /// - Parameters:
    ///   - captions: The captions.
    ///   - folder: The tokenizer's folder in the training's.
    /// - Throws: `WuerstchenError` when files cannot be read or written.
    public mutating func learn(_ captions: @autoclosure () -> [String], in folder: URL) throws {
        if !FileManager.default.fileExists(atPath: folder.path) {
            // Whole or not at all.
            let part = folder.appendingPathExtension("part")
            try NewWords(in: captions(), besides: tokenizerFolder, of: base.configuration)
                .write(addedTo: tokenizerFolder, to: part)
            try FileManager.default.moveItem(at: part, to: folder)
        }
        tokenizer = try CLIPTokenizer(contentsOf: folder)
        tokenizerFolder = folder
        let words = NewWords(of: tokenizer, besides: base.tokenizer, of: base.configuration)
        configuration = words.extended(base.configuration)
        self.words = words
    }

    /// The encoder's parameters under their published names, with those of the new words.
    ///
    /// - Throws: `WuerstchenError` when they cannot be read.
    public func parameters() throws -> [String: Tensor] {
        var values = TrainableParameters()
        try values.add(from: stored) {
            _ = try CLIPTextModel(configuration: base.configuration, parameters: $0)
        }
        return words?.extended(values.values) ?? values.values
    }
}
