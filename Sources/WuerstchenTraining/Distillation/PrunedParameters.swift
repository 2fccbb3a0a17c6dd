public import TensorCore
public import Wuerstchen

// Students with fewer blocks than their teachers (Kim et al., "BK-SDM: A Lightweight, Fast, and
// Cheap Version of Stable Diffusion", 2023): some groups of blocks are left out, the others begin
// as the teacher's, and distillation mends what is missing.

extension StageC.Configuration {
    /// Of a deeper stage's groups of blocks the first, and others at equal distances.
    public func parameters(
        pruning parameters: [String: Tensor], of deeper: StageC.Configuration
    ) -> [String: Tensor] {
        renamed(parameters) { path in
            guard path.count > 1, path[0] == "blocks" else { return nil }
            // Residual, timestep and attention block.
            return (1, GroupChoice(count: depth, of: deeper.depth, types: "CTA", of: "CTA"))
        }
    }
}

extension StageB.Configuration {
    /// Of each level's groups of blocks the first, and others at equal distances. Types of blocks
    /// that this stage lacks, such as attention, are left out of each.
    public func parameters(
        pruning parameters: [String: Tensor], of deeper: StageB.Configuration
    ) -> [String: Tensor] {
        renamed(parameters) { path in
            guard path.count > 2, let index = Int(path[1]), blocks.indices.contains(index),
                deeper.blocks.count == blocks.count
            else { return nil }
            let isDown = path[0] == "down_blocks"
            guard isDown || path[0] == "up_blocks" else { return nil }
            // Levels are numbered from the coarsest on the way up, and begin with a layer that
            // leads into them on the way down.
            let level = isDown ? index : blocks.count - 1 - index
            return (
                2,
                GroupChoice(
                    count: blocks[level], of: deeper.blocks[level], types: blockTypes[level],
                    of: deeper.blockTypes[level], first: isDown && level > 0 ? 1 : 0)
            )
        }
    }
}

extension StageA.Configuration {
    /// Of the decoder's bottleneck blocks the first, and others at equal distances.
    public func parameters(
        pruning parameters: [String: Tensor], of deeper: StageA.Configuration
    ) -> [String: Tensor] {
        renamed(parameters) { path in
            guard path.count > 1, path[0] == "up_blocks" else { return nil }
            // Number 0 leads into the decoder; each block is by itself.
            return (
                1,
                GroupChoice(
                    count: bottleneckBlocks, of: deeper.bottleneckBlocks, types: "M", of: "M",
                    first: 1)
            )
        }
    }
}

/// Which groups of a numbered list of blocks are kept, and which blocks of each.
private struct GroupChoice {
    private let count: Int
    private let deeperCount: Int
    private let size: Int
    private let first: Int
    /// For each block of a deeper group its place in a group here, if it has one.
    private let places: [Int?]

    init(
        count: Int, of deeperCount: Int, types: String, of deeperTypes: String, first: Int = 0
    ) {
        (self.count, self.deeperCount, self.first) = (count, deeperCount, first)
        size = types.count
        var rest = Substring(types)
        places = deeperTypes.map { type in
            guard type == rest.first else { return nil }
            defer { rest.removeFirst() }
            return types.count - rest.count
        }
    }

    /// The number that a block of the deeper list has in the shorter; nil for one that is left out.
    func number(of block: Int) -> Int? {
        guard block >= first, !places.isEmpty else { return block }
        let (group, place) = (block - first).quotientAndRemainder(dividingBy: places.count)
        // What follows the groups moves up.
        guard group < deeperCount else { return block - deeperCount * places.count + count * size }
        guard let own = (0..<count).first(where: { $0 * deeperCount / count == group }),
            let place = places[place]
        else { return nil }
        return first + own * size + place
    }
}

/// Parameters under the names that they have when some groups are left out.
///
/// - Parameters:
///   - parameters: The parameters by name.
///   - choice: For the components of a name, which of them is a block's number, and in which list;
///     nil for a parameter that is in none.
/// - Returns: Those that are kept.
private func renamed(
    _ parameters: [String: Tensor],
    _ choice: ([String]) -> (component: Int, choice: GroupChoice)?
) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for (name, value) in parameters {
        var path = name.split(separator: ".").map(String.init)
        if let (component, choice) = choice(path), let block = Int(path[component]) {
            guard let number = choice.number(of: block) else { continue }
            path[component] = "\(number)"
        }
        result[path.joined(separator: ".")] = value
    }
    return result
}
