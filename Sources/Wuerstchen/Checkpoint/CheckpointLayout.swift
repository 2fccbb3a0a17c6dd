public import Foundation

/// Where the parts of a checkpoint lie: the names of its folders and files.
///
/// A checkpoint has two pipelines as diffusers saves them, the prior (text to semantic latents) and
/// the decoder (semantic latents to images), and each has its networks in folders of their own.
public struct CheckpointLayout: Sendable, Hashable {
    /// Where a network lies.
    public struct Network: Sendable, Hashable {
        /// The pipeline's folder in the checkpoint's.
        public let pipeline: String
        /// The network's folder in the pipeline's.
        public let folder: String
        /// What the names of its weights' files begin with.
        public let stem: String

        /// A network in a folder of a pipeline.
        public init(pipeline: String, folder: String, stem: String = "diffusion_pytorch_model") {
            self.pipeline = pipeline
            self.folder = folder
            self.stem = stem
        }

        /// The network's folder in the checkpoint's.
        public var path: String { "\(pipeline)/\(folder)" }
    }

    /// The folder of the pipeline from text to semantic latents.
    public let prior: String
    /// The folder of the pipeline from semantic latents to images.
    public let decoder: String

    /// Stage C.
    public let stageC: Network
    /// The text encoder in front of Stage C.
    public let priorTextEncoder: Network
    /// Stage B.
    public let stageB: Network
    /// Stage A.
    public let stageA: Network
    /// The text encoder in front of Stage B.
    public let decoderTextEncoder: Network

    /// The folder of a pipeline's tokenizer.
    public let tokenizer = "tokenizer"
    /// A pipeline's index.
    public let index = "model_index.json"
    /// The folder of a pipeline's scheduler.
    public let scheduler = "scheduler"
    /// The noise schedule, in the scheduler's folder.
    public let schedulerConfiguration = "scheduler_config.json"
    /// The architecture's numbers, in a network's folder.
    public let configuration = "config.json"
    /// The semantic compressor, in the checkpoint's folder.
    public let compressor = "compressor.safetensors"
    /// Names that the semantic compressor may have there; the first is ours.
    public var compressors: [String] { [compressor, "effnet_encoder.safetensors"] }
    /// Names that a preview decoder may have in the checkpoint's folder; the first is ours.
    public let previews = ["preview.safetensors", "previewer.safetensors"]

    /// The layout that was published (`warp-ai/wuerstchen-prior` and `warp-ai/wuerstchen`).
    public static let published = CheckpointLayout(
        prior: "wuerstchen-prior", decoder: "wuerstchen")

    private init(prior: String, decoder: String) {
        self.prior = prior
        self.decoder = decoder
        stageC = Network(pipeline: prior, folder: "prior")
        priorTextEncoder = Network(pipeline: prior, folder: "text_encoder", stem: "model")
        stageB = Network(pipeline: decoder, folder: "decoder")
        stageA = Network(pipeline: decoder, folder: "vqgan")
        decoderTextEncoder = Network(pipeline: decoder, folder: "text_encoder", stem: "model")
    }
}

extension CheckpointLayout {
    /// The preview decoder's file in a checkpoint's folder; nil where there is none.
    public func previewFile(in checkpoint: URL) -> URL? { first(of: previews, in: checkpoint) }

    /// The semantic compressor's file in a checkpoint's folder; nil where there is none.
    public func compressorFile(in checkpoint: URL) -> URL? {
        first(of: compressors, in: checkpoint)
    }

    private func first(of names: [String], in checkpoint: URL) -> URL? {
        names.map { checkpoint.appendingPathComponent($0) }
            .first { FileManager.default.fileExists(atPath: $0.path) }
    }
}
