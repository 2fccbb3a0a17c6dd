public import Foundation
public import TensorCore
internal import WuerstchenNN

extension CascadeLoRA {
    /// The adapters in a file, for networks that are known.
    ///
    /// Names may be those of PEFT and diffusers (`prior.blocks.2.attention.to_q.lora_A.weight`), of
    /// diffusers' earlier `save_attn_procs` (`blocks.2.attention.processor.to_q_lora.down.weight`),
    /// or of kohya's scripts (`lora_unet_blocks_2_attention_to_q.lora_down.weight`, with `.alpha`).
    ///
    /// - Parameters:
    ///   - file: A `.safetensors` file.
    ///   - layers: The layers of each network that can have an adapter, and the shapes of their
    ///     weights: see ``StageBlueprint/adaptableLayers()``.
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` that lists what in the file
    ///   has no place in the networks, or another shape, and what is DoRA; and what reading the
    ///   file throws.
    public init(contentsOf file: URL, for layers: [Network: [String: Shape]]) throws {
        let safetensors = try Safetensors(contentsOf: file)
        let names = Network.allCases.compactMap { network in
            layers[network].map { LoRANames(network, $0) }
        }
        var misfits = LoRAMisfits()
        var found: [LoRANames.Place: FoundLayer] = [:]
        for key in safetensors.entries.keys.sorted() {
            guard let entry = safetensors.entries[key] else { continue }
            guard let (stem, part) = LoRAPart.split(key) else {
                misfits.unknown.append(key)
                continue
            }
            if part == .magnitude {
                misfits.magnitudes.append(key)
            } else if let place = names.lazy.compactMap({ $0.place(of: stem) }).first {
                found[place, default: FoundLayer()].entries[part, default: []].append(entry)
            } else {
                misfits.unknown.append(key)
            }
        }
        self.init()
        for (place, layer) in found {
            guard let shape = layers[place.network]?[place.module] else { continue }
            networks[place.network, default: LoRA()].layers[place.module] = try layer.layer(
                of: shape, in: safetensors, &misfits)
        }
        try misfits.report(file, isEmpty: networks.isEmpty)
        for network in Network.allCases {
            bases[network] = safetensors.metadata["\(network.rawValue).base"]
        }
    }
}

extension StageBlueprint {
    /// The layers of the stage that can have an adapter: the shapes of their weights, by the names
    /// of their modules.
    ///
    /// - Throws: What building the network throws.
    public func adaptableLayers() throws -> [String: Shape] {
        try LoRA.layers { _ = try stage($0) }
    }
}

/// What a tensor of a file is to its layer.
private enum LoRAPart: Hashable {
    case down, up, alpha
    /// Of DoRA: the lengths of the adapted weight's rows or columns.
    case magnitude

    private static let suffixes: [(String, LoRAPart)] = [
        (".lora_A.weight", .down), (".lora_B.weight", .up), (".lora_down.weight", .down),
        (".lora_up.weight", .up), (".lora.down.weight", .down), (".lora.up.weight", .up),
        // After `to_q_lora`.
        (".down.weight", .down), (".up.weight", .up), (".alpha", .alpha),
        (".dora_scale", .magnitude), (".lora_magnitude_vector", .magnitude),
        (".lora_magnitude_vector.weight", .magnitude),
    ]

    /// The name of the layer that a key belongs to, and what it is to it.
    static func split(_ key: String) -> (stem: String, part: LoRAPart)? {
        suffixes.first { key.hasSuffix($0.0) }.map { (String(key.dropLast($0.0.count)), $0.1) }
    }
}

/// What the layers of a network are called in files.
private struct LoRANames {
    struct Place: Hashable {
        let network: CascadeLoRA.Network
        let module: String
    }

    private let network: CascadeLoRA.Network
    private let prefixes: [String]
    /// The modules by all that they are called after the prefix.
    private var modules: [String: String] = [:]

    init(_ network: CascadeLoRA.Network, _ layers: [String: Shape]) {
        self.network = network
        prefixes =
            switch network {
            case .stageC:
                [
                    "prior.", "unet.", "diffusion_model.", "base_model.model.", "lora_unet_",
                    "lora_prior_unet_", "",
                ]
            case .textEncoder: ["text_encoder.", "lora_te_", "lora_prior_te_"]
            case .stageB: ["decoder.", "lora_decoder_unet_"]
            }
        for module in layers.keys {
            for name in LoRANames.spellings(of: module) { modules[name] = module }
        }
    }

    func place(of stem: String) -> Place? {
        for prefix in prefixes where stem.hasPrefix(prefix) {
            if let module = modules[String(stem.dropFirst(prefix.count))] {
                return Place(network: network, module: module)
            }
        }
        return nil
    }

    /// diffusers' name, that of its attention processors, that of the networks' own code, which has
    /// queries, keys and values in one, and those with underscores for dots.
    private static func spellings(of module: String) -> [String] {
        let native = module.replacing("attention.to_out.0", with: "attention.attn.out_proj")
            .replacing("attention.to_", with: "attention.attn.to_")
        let processor =
            module.replacing("attention.to_out.0", with: "attention.to_out")
            .replacing("attention.to_", with: "attention.processor.to_") + "_lora"
        return [module, native, processor] + [module, native].map { $0.replacing(".", with: "_") }
    }
}

/// The tensors of one layer.
private struct FoundLayer {
    var entries: [LoRAPart: [Safetensors.Entry]] = [:]

    /// The layer, or nil where something is wrong, which is noted.
    func layer(
        of shape: Shape, in file: Safetensors, _ misfits: inout LoRAMisfits
    ) throws -> LoRA.Layer? {
        let all = entries.values.flatMap(\.self)
        guard let down = single(.down), let up = single(.up),
            entries[.alpha]?.count ?? 1 == 1
        else {
            misfits.incomplete += all.map(\.name)
            return nil
        }
        var isFitting = true
        func matrix(_ entry: Safetensors.Entry, _ rows: Int?, _ columns: Int?) -> Shape? {
            let shape = entry.shape
            let isMatrix = shape.count == 2 || (shape.count == 4 && shape[2...] == [1, 1])
            if isMatrix, !shape.contains(0), rows ?? shape[0] == shape[0],
                columns ?? shape[1] == shape[1]
            {
                return [shape[0], shape[1]]
            }
            isFitting = false
            func text(_ count: Int?) -> String { count.map { "\($0)" } ?? "rank" }
            misfits.misshapen.append(
                "\(entry.name) is \(shape), expected [\(text(rows)), \(text(columns))]")
            return nil
        }
        let downShape = matrix(down, nil, shape[1])
        let upShape = matrix(up, shape[0], downShape?[0])
        let alpha = entries[.alpha]?.first
        if let alpha, alpha.shape.reduce(1, *) != 1 {
            isFitting = false
            misfits.misshapen.append("\(alpha.name) is \(alpha.shape), expected a number")
        }
        guard isFitting, let downShape, let upShape else { return nil }
        let number = try alpha.map { try file.floats(of: $0, as: [1]).elements[0] } ?? 0
        return LoRA.Layer(
            down: try file.floats(of: down, as: downShape),
            up: try file.floats(of: up, as: upShape),
            // As kohya's scripts read it: none is the rank.
            alpha: number == 0 ? nil : number)
    }

    private func single(_ part: LoRAPart) -> Safetensors.Entry? {
        guard let entries = entries[part], entries.count == 1 else { return nil }
        return entries[0]
    }
}

/// What of a file does not fit.
private struct LoRAMisfits {
    var unknown: [String] = []
    var misshapen: [String] = []
    var incomplete: [String] = []
    var magnitudes: [String] = []

    func report(_ file: URL, isEmpty: Bool) throws {
        let lists = [
            ("of no layer that can be adapted", unknown), ("misshapen", misshapen),
            ("without the other half, or twice", incomplete),
            ("of DoRA, which is not supported: train or export the file without it", magnitudes),
        ].filter { !$0.1.isEmpty }
        guard !lists.isEmpty || isEmpty else { return }
        func text(_ keys: [String]) -> String {
            keys.count <= 40
                ? keys.sorted().joined(separator: ", ")
                : keys.sorted().prefix(20).joined(separator: ", ") + ", …"
        }
        throw WuerstchenError(
            .incompatibleParameters,
            lists.isEmpty
                ? "\(file.path) has no LoRA in it"
                : "\(file.path) is no LoRA of these networks; "
                    + lists.map { "\($0.1.count) \($0.0): \(text($0.1))" }.joined(separator: "; "))
    }
}
