internal import WuerstchenNN

/// The names that the original repository's code (`dome272/Wuerstchen`, the second version) gives
/// the parameters that diffusers names otherwise.
enum OriginalNames {
    /// PyTorch's attention has queries, keys and values in one tensor, in this order.
    private static let projections = ["to_q", "to_k", "to_v"]

    /// The published names of an original parameter; the name itself where it is no other.
    static func published(_ name: String) -> [String] {
        for kind in ["weight", "bias"] {
            if let block = name.prefix(before: ".attn.in_proj_\(kind)") {
                return projections.map { "\(block).\($0).\(kind)" }
            }
            if let block = name.prefix(before: ".attn.out_proj.\(kind)") {
                return ["\(block).to_out.0.\(kind)"]
            }
        }
        return [name == "vquantizer.codebook.weight" ? "vquantizer.embedding.weight" : name]
    }

    /// The original name of a published one, and which part of the original it is.
    static func original(_ name: String) -> (name: String, part: Int?) {
        for kind in ["weight", "bias"] {
            for (part, projection) in projections.enumerated() {
                if let block = name.prefix(before: ".attention.\(projection).\(kind)") {
                    return ("\(block).attention.attn.in_proj_\(kind)", part)
                }
            }
            if let block = name.prefix(before: ".attention.to_out.0.\(kind)") {
                return ("\(block).attention.attn.out_proj.\(kind)", nil)
            }
        }
        return (name == "vquantizer.embedding.weight" ? "vquantizer.codebook.weight" : name, nil)
    }

    /// What the original files keep their parameters under, the best first: a moving average is
    /// what images are made with. Whoever saved such a file as safetensors may have left it in
    /// front.
    static let wrappers = ["ema_state_dict.", "state_dict."]
    /// What Stage B's file keeps the semantic compressor's parameters under.
    static let compressorWrapper = "effnet_state_dict."
}

extension CheckpointParameters {
    /// The same under the published names, if they have the original ones.
    var withPublishedNames: CheckpointParameters {
        let names = names ?? []
        let wrapper = OriginalNames.wrappers.first { wrapper in
            names.contains { $0.hasPrefix(wrapper) }
        }
        return renamed { name in
            guard let wrapper else { return OriginalNames.published(name) }
            guard name.hasPrefix(wrapper) else { return [] }
            return OriginalNames.published(String(name.dropFirst(wrapper.count)))
        }
    }

    /// The semantic compressor's parameters in the file of an original Stage B; nil where it has
    /// none.
    var compressor: CheckpointParameters? {
        let wrapper = OriginalNames.compressorWrapper
        guard (names ?? []).contains(where: { $0.hasPrefix(wrapper) }) else { return nil }
        return renamed { $0.hasPrefix(wrapper) ? [String($0.dropFirst(wrapper.count))] : [] }
    }
}

extension String {
    /// What is in front of an ending; nil if the string has another.
    fileprivate func prefix(before ending: String) -> Substring? {
        hasSuffix(ending) ? dropLast(ending.count) : nil
    }
}
