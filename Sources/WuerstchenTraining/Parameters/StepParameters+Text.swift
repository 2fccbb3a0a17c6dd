package import TensorCore
package import Wuerstchen

extension StepParameters {
    /// The text encoder under `text`.
    package func textModel(
        _ configuration: CLIPTextModel.Configuration, precision: Precision
    ) throws -> CLIPTextModel {
        try CLIPTextModel(
            configuration: configuration, parameters: source("text"), precision: precision)
    }

    /// The hidden states of captions.
    ///
    /// - Returns: `[captions, tokens, channels]`.
    package func encode(
        _ captions: [String], _ tokenizer: CLIPTokenizer,
        _ configuration: CLIPTextModel.Configuration, precision: Precision
    ) throws -> Tensor {
        let encodings = captions.map(tokenizer.encode)
        return try textModel(configuration, precision: precision)(
            ids: encodings.map(\.ids), mask: encodings.map(\.mask))
    }
}
