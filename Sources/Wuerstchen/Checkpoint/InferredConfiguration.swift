internal import TensorCore
internal import WuerstchenNN

/// An architecture that the shapes of its parameters show: the original files say nothing about it
/// otherwise. What no shape shows has its published value, which for attention is 64 channels to a
/// head.
protocol InferredConfiguration {
    /// What networks of this kind have and others do not.
    static var telling: [String] { get }

    /// Reads the numbers from shapes under published names.
    ///
    /// - Throws: ``WuerstchenError`` with code `incompatibleParameters` where a parameter is
    ///   missing that would show one.
    init(shapesOf parameters: CheckpointParameters) throws
}

private let channelsOfHead = 64

/// The shapes of parameters by name.
private struct Shapes {
    let parameters: CheckpointParameters
    /// Beyond the widest layer or the largest vocabulary of any network.
    private static let limit = 1 << 24

    /// One axis of a parameter.
    func callAsFunction(_ name: String, _ axis: Int) throws -> Int {
        guard let shape = parameters.shape(of: name), axis < shape.rank else {
            throw WuerstchenError(
                .incompatibleParameters,
                "\(parameters.origin) has no \(name), whose shape would show the architecture; put "
                    + "its configuration beside it, as config.json in a folder of its own")
        }
        guard (1...Self.limit).contains(shape[axis]) else {
            throw WuerstchenError(
                .incompatibleParameters,
                "\(parameters.origin): \(name) is \(shape), which is no network's; the file is "
                    + "damaged or holds something else")
        }
        return shape[axis]
    }

    func has(_ name: String) -> Bool { parameters.names?.contains(name) ?? false }

    /// How many follow each other from number 0 on.
    func count(_ name: (Int) -> String) -> Int {
        var count = 0
        while has(name(count)) { count += 1 }
        return count
    }
}

extension StageC.Configuration: InferredConfiguration {
    static var telling: [String] { ["cond_mapper.0.weight", "projection.weight"] }

    init(shapesOf parameters: CheckpointParameters) throws {
        let shapes = Shapes(parameters: parameters)
        self.init()
        channels = try shapes("projection.weight", 0)
        latentChannels = try shapes("projection.weight", 1)
        textChannels = try shapes("cond_mapper.0.weight", 1)
        timestepChannels = try shapes("blocks.1.mapper.weight", 1)
        depth = shapes.count { "blocks.\(3 * $0).depthwise.weight" }
        heads = max(1, channels / channelsOfHead)
    }
}

extension StageB.Configuration: InferredConfiguration {
    static var telling: [String] { ["embedding.1.weight", "clf.1.weight", "clip_mapper.weight"] }

    init(shapesOf parameters: CheckpointParameters) throws {
        let shapes = Shapes(parameters: parameters)
        self.init()
        let patch = patchSize * patchSize
        latentChannels = try shapes("embedding.1.weight", 1) / patch
        outputChannels = latentChannels
        conditioningChannels = try shapes("clip_mapper.weight", 0)
        textChannels = try shapes("clip_mapper.weight", 1)
        timestepChannels = try shapes("down_blocks.0.1.mapper.weight", 1)
        kernelSize = try shapes("down_blocks.0.0.depthwise.weight", 2)
        (channels, heads, blocks, blockTypes, injectsSemantics) = ([], [], [], [], [])
        var semantics: Int?
        while true {
            let level = channels.count
            // A level but the first begins with the layer that leads into it.
            let first = level > 0 ? 1 : 0
            func kind(_ place: Int) -> Character? {
                let block = "down_blocks.\(level).\(first + place)"
                return shapes.has("\(block).depthwise.weight")
                    ? "C"
                    : shapes.has("\(block).kv_mapper.1.weight")
                        ? "A" : shapes.has("\(block).mapper.weight") ? "T" : nil
            }
            var kinds = ""
            while let next = kind(kinds.count) { kinds.append(next) }
            guard !kinds.isEmpty else { break }
            // A group begins with its residual block.
            let groups = max(1, kinds.count { $0 == "C" })
            let width = try shapes("down_blocks.\(level).\(first).depthwise.weight", 0)
            channels.append(width)
            heads.append(kinds.contains("A") ? max(1, width / channelsOfHead) : -1)
            blocks.append(groups)
            blockTypes.append(String(kinds.prefix(kinds.count / groups)))
            injectsSemantics.append(shapes.has("effnet_mappers.\(level).weight"))
            if injectsSemantics[level] {
                semantics = try shapes("effnet_mappers.\(level).weight", 1)
            }
        }
        if let semantics { semanticChannels = semantics }
    }
}

extension StageA.Configuration: InferredConfiguration {
    static var telling: [String] { ["in_block.1.weight", "vquantizer.embedding.weight"] }

    init(shapesOf parameters: CheckpointParameters) throws {
        let shapes = Shapes(parameters: parameters)
        self.init()
        channels = try shapes("up_blocks.0.0.weight", 0)
        latentChannels = try shapes("up_blocks.0.0.weight", 1)
        codes = try shapes("vquantizer.embedding.weight", 0)
        let finest = try shapes("in_block.1.weight", 0)
        let folded = try shapes("in_block.1.weight", 1) / imageChannels
        patchSize = max(1, Int(Double(folded).squareRoot().rounded()))
        levels = 1
        while finest << (levels - 1) < channels { levels += 1 }
        bottleneckBlocks = shapes.count { "up_blocks.\($0 + 1).gammas" }
    }
}
