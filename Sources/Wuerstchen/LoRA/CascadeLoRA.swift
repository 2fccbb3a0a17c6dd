public import Foundation
public import TensorCore
public import WuerstchenNN

/// A LoRA of a cascade as files hold it: low-rank adapters of Stage C, of its text encoder and of
/// Stage B, or of some of them.
public struct CascadeLoRA: Sendable {
    /// The networks that files have adapters of, by what names in files begin with.
    public enum Network: String, Sendable, Hashable, CaseIterable {
        /// Stage C, which files call the prior.
        case stageC = "prior"
        /// The text encoder in front of Stage C.
        case textEncoder = "text_encoder"
        /// Stage B, which files call the decoder.
        case stageB = "decoder"
    }

    /// The adapters of the networks that have one.
    public var networks: [Network: LoRA]
    /// The fingerprints of the weights that the adapters were trained beside, where they are known;
    /// see ``weightsFingerprint(of:)``.
    public var bases: [Network: String]

    /// A LoRA of the given networks.
    public init(_ networks: [Network: LoRA] = [:], bases: [Network: String] = [:]) {
        self.networks = networks
        self.bases = bases
    }

    /// The name of the file that a training writes.
    public static let fileName = "lora.safetensors"

    /// Writes the file in the naming of PEFT and diffusers, such as
    /// `prior.blocks.2.attention.to_q.lora_A.weight`. That naming has no place for alpha, so that
    /// B is stored times alpha / rank. Rank, alpha and the fingerprints of the base's weights are
    /// in the file's metadata.
    ///
    /// - Parameters:
    ///   - file: The file.
    ///   - elementType: The numbers that the factors are stored as.
    /// - Throws: ``WuerstchenError`` with code `unwritableFile`, or `notFinite` for an element that
    ///   the element type cannot hold, which names the tensor.
    public func write(to file: URL, elementType: WeightElementType = .float32) throws {
        var sources: [Safetensors.Source] = []
        var ranks: Set<Int> = []
        for (network, lora) in networks {
            for (module, layer) in lora.layers {
                ranks.insert(layer.rank)
                let name = "\(network.rawValue).\(module)"
                let scale = layer.alpha / Float(layer.rank)
                sources += [
                    elementType.source("\(name).lora_A.weight", layer.down.shape) { layer.down },
                    elementType.source("\(name).lora_B.weight", layer.up.shape) {
                        scale == 1 ? layer.up : layer.up.scaled(by: scale)
                    },
                ]
            }
        }
        let rank = ranks.max().map { "\($0)" } ?? "0"
        var metadata = ["format": "pt", "rank": rank, "alpha": rank]
        for (network, base) in bases { metadata["\(network.rawValue).base"] = base }
        try Safetensors.write(sources, metadata: metadata, to: file)
    }
}

/// Adapters for a cascade that is being loaded, from a file, and how much of them counts.
public struct LoRAFile: Sendable {
    /// The file.
    public let file: URL
    /// How much of the adapters counts: 0 for none, 1 for as much as was trained. Of adapters that
    /// are not merged it may be changed at any time, also between the steps of an image.
    public let scale: UpdateScale
    /// Whether the adapters are added to the weights when they are loaded, which then cost what
    /// they cost without. Otherwise they stay beside them.
    public let isMerged: Bool

    /// The adapters of a file.
    public init(_ file: URL, scale: Float = 1, isMerged: Bool = true) {
        self.file = file
        self.scale = UpdateScale(scale)
        self.isMerged = isMerged
    }

    /// The file's name and its scale, for the record.
    var name: String {
        let value = scale.value
        return value == 1 ? file.lastPathComponent : "\(file.lastPathComponent):\(value)"
    }
}

/// Adapters of one network, in the order in which they were named.
struct NetworkAdapters: Sendable {
    var merged: [AdaptedParameters.Adapter] = []
    var beside: [AdaptedParameters.Adapter] = []

    /// Parameters with the adapters in or beside them.
    func applied(to parameters: CheckpointParameters) -> any ParameterSource {
        var result: any ParameterSource = parameters
        if !merged.isEmpty { result = MergedParameters(AdaptedParameters(result, merged)) }
        if !beside.isEmpty { result = AdaptedParameters(result, beside) }
        return result
    }
}
