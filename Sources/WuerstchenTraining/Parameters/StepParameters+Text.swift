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
}
