private import Foundation
public import TensorCore
public import Wuerstchen
public import WuerstchenNN

/// The parameters that the training of a network begins with: each value depends on the seed and the
/// parameter's name alone.
public struct InitialParameters: ParameterSource {
    /// How a parameter is drawn.
    enum Draw: Sendable {
        case constant(Float)
        /// A standard deviation.
        case normal(Float)
        /// Uniform between ± a bound.
        case uniform(Float)
    }

    /// A name for messages.
    public let origin = "initial parameters"
    /// None: whatever is asked for is made up.
    public let names: Set<String>? = nil
    private let seed: UInt64
    private let rule: @Sendable (_ name: String, _ shape: Shape) -> Draw

    init(seed: UInt64, _ rule: @escaping @Sendable (_ name: String, _ shape: Shape) -> Draw) {
        self.seed = seed
        self.rule = rule
    }

    /// A parameter of the expected shape.
    public func parameter(named name: String, expecting shape: Shape) -> FoundParameter {
        var random = RandomStream(seed: seed, name: name)
        switch rule(name, shape) {
        case .constant(let value): return .found(Tensor(repeating: value, shape))
        case .normal(let deviation): return .found(random.normal(shape).scaled(by: deviation))
        case .uniform(let bound): return .found(random.uniform(shape, spread: bound))
        }
    }
}

// The networks' own rules, as their authors published them.
extension InitialParameters {
    /// Stage C's (`modules.py` of the published code): Xavier's bounds, and a last layer of zeros, so
    /// that the network begins by taking its input for the noise.
    public static func stageC(_ configuration: StageC.Configuration, seed: UInt64) -> Self {
        let shrink = (1 / Float(configuration.depth)).squareRoot()
        return InitialParameters(seed: seed) { name, shape in
            if let draw = residualRule(name, shape, shrink: shrink) { return draw }
            if name == "out.1.weight" { return .constant(0) }
            if name.hasPrefix("projection.") || name.hasPrefix("cond_mapper.") {
                return .normal(0.02)
            }
            return xavier(name, shape)
        }
    }

    /// Stage B's: as Stage C's, with a small first layer.
    public static func stageB(_ configuration: StageB.Configuration, seed: UInt64) -> Self {
        let shrink = (1 / configuration.blocks.reduce(0) { $0 + Float($1) }).squareRoot()
        let upsamplers = configuration.channels.indices.map { "up_blocks.\($0)." }
        return InitialParameters(seed: seed) { name, shape in
            if let draw = residualRule(name, shape, shrink: shrink) { return draw }
            if name == "clf.1.weight" { return .constant(0) }
            if name.hasPrefix("effnet_mappers.") || name == "clip_mapper.weight" {
                return .normal(0.02)
            }
            // Transposed convolutions keep PyTorch's default.
            if shape.rank == 4, shape[2] == 2, upsamplers.contains(where: name.hasPrefix) {
                return pytorch(shape)
            }
            if name == "embedding.1.weight", case .uniform(let bound) = xavier(name, shape) {
                return .uniform(0.02 * bound)
            }
            return xavier(name, shape)
        }
    }

    /// Stage A's: blocks that begin as the identity.
    public static func stageA(_ configuration: StageA.Configuration, seed: UInt64) -> Self {
        InitialParameters(seed: seed) { name, shape in
            if name.hasSuffix("gammas") { return .constant(0) }
            if name.contains("vquantizer") { return .uniform(1 / Float(configuration.codes)) }
            if let draw = batchNormRule(name, prefix: "down_blocks") { return draw }
            if name.contains("depthwise") || name.contains("channelwise") {
                return name.hasSuffix("bias") ? .constant(0) : xavier(name, shape)
            }
            return pytorch(shape)
        }
    }

    /// PyTorch's defaults, for the compressor, the preview decoder and classifiers.
    public static func convolutional(seed: UInt64) -> Self {
        InitialParameters(seed: seed) { name, shape in
            if name.hasSuffix("gamma") || name.hasSuffix("beta") { return .constant(0) }
            if name.hasSuffix("running_mean") { return .constant(0) }
            if name.hasSuffix("running_var") { return .constant(1) }
            if shape.rank == 1, name.hasSuffix("weight") { return .constant(1) }
            return pytorch(shape)
        }
    }

    /// CLIP's (`modeling_clip.py` of transformers).
    public static func text(_ configuration: CLIPTextModel.Configuration, seed: UInt64) -> Self {
        let width = Float(configuration.channels)
        let depth = (2 * Float(configuration.layers)).squareRoot()
        return InitialParameters(seed: seed) { name, shape in
            if name.hasSuffix("bias") { return .constant(0) }
            if name.contains("norm") { return .constant(1) }
            if name.contains("embedding") { return .normal(0.02) }
            if name.contains("out_proj") { return .normal(1 / width.squareRoot()) }
            if name.contains("fc1") { return .normal(1 / (2 * width).squareRoot()) }
            return .normal(1 / width.squareRoot() / depth)
        }
    }

    /// What residual, timestep and attention blocks of Stages B and C share; nil for other parameters.
    private static func residualRule(_ name: String, _ shape: Shape, shrink: Float) -> Draw? {
        if name.hasSuffix("gamma") || name.hasSuffix("beta") { return .constant(0) }
        if name.hasSuffix("mapper.weight"), !name.hasPrefix("clip") { return .constant(0) }
        // Biases of transposed convolutions start at zero here, which differs by nothing that lasts.
        if name.hasSuffix("bias") { return .constant(0) }
        if name.hasSuffix("channelwise.4.weight"), case .uniform(let bound) = xavier(name, shape) {
            return .uniform(bound * shrink)
        }
        return nil
    }

    private static func batchNormRule(_ name: String, prefix: String) -> Draw? {
        if name.hasSuffix("running_mean") { return .constant(0) }
        if name.hasSuffix("running_var") { return .constant(1) }
        guard name.hasPrefix(prefix), name.split(separator: ".").dropFirst(2).first == "1" else {
            return nil
        }
        // `down_blocks.N.1.weight` and `.bias`, unlike `down_blocks.N.weight`.
        return name.split(separator: ".").count == 4
            ? .constant(name.hasSuffix("weight") ? 1 : 0) : nil
    }

    /// Uniform with the variance that keeps features and gradients at their scale (Glorot and Bengio,
    /// 2010). Queries, keys and values count as one matrix, as in the published code.
    private static func xavier(_ name: String, _ shape: Shape) -> Draw {
        guard shape.rank >= 2 else { return .constant(0) }
        let window = shape.count(of: 2..<shape.rank)
        let isPartOfThree = ["to_q", "to_k", "to_v"].contains { name.contains($0) }
        let outputs = shape[0] * window * (isPartOfThree ? 3 : 1)
        return .uniform((6 / Float(shape[1] * window + outputs)).squareRoot())
    }

    /// PyTorch's default for convolutions and linear layers. A bias does not know its layer's
    /// inputs; it starts at zero.
    private static func pytorch(_ shape: Shape) -> Draw {
        guard shape.rank >= 2 else { return .constant(0) }
        return .uniform(1 / Float(shape.count(of: 1..<shape.rank)).squareRoot())
    }
}
