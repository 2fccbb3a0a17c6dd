import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining

@Suite("Pruned stages") struct PrunedStageTests {
    /// The parameters that a network asks for, each filled with a number of its own.
    private func values(
        _ add: (inout TrainableParameters) throws -> Void, _ scope: String
    ) throws -> [String: Tensor] {
        var parameters = TrainableParameters()
        try add(&parameters)
        var result = parameters.scope(scope)
        for (number, name) in result.keys.sorted().enumerated() {
            result[name] = result[name].map { Tensor(repeating: Float(number), $0.shape) }
        }
        return result
    }

    @Test("a shallower Stage C takes every other group")
    func stageC() throws {
        var deep = StageC.Configuration()
        (deep.channels, deep.depth, deep.heads) = (16, 4, 2)
        (deep.textChannels, deep.latentChannels) = (8, 4)
        let weights = try values(
            { try $0.add(StageBlueprint<StageC>(configuration: deep), seed: 1) }, "stage_c")
        var shallow = deep
        shallow.depth = 2
        let kept = shallow.parameters(pruning: weights, of: deep)
        _ = try StageC(configuration: shallow, parameters: ParameterValues(kept))
        for (group, source) in [0, 2].enumerated() {
            for block in 0..<3 {
                let own = kept.filter { $0.key.hasPrefix("blocks.\(3 * group + block).") }
                #expect(!own.isEmpty)
                for (name, value) in own {
                    let rest = name.split(separator: ".").dropFirst(2).joined(separator: ".")
                    let expected = weights["blocks.\(3 * source + block).\(rest)"]
                    #expect(expected?.elements == value.elements, "\(name)")
                }
            }
        }
        #expect(kept["out.1.weight"]?.elements == weights["out.1.weight"]?.elements)
        let same = deep.parameters(pruning: weights, of: deep)
        #expect(same.mapValues(\.elements) == weights.mapValues(\.elements))
    }

    @Test(
        "a shallower Stage B keeps what leads between levels, and its first groups with their skips"
    )
    func stageB() throws {
        var deep = StageB.Configuration()
        (deep.channels, deep.blocks) = ([8, 16, 24], [2, 2, 3])
        (deep.blockTypes, deep.heads) = (["CT", "CTA", "CTA"], [-1, 2, 2])
        (deep.injectsSemantics, deep.conditioningChannels) = ([false, true, true], 8)
        (deep.textChannels, deep.semanticChannels) = (8, 4)
        let weights = try values(
            { try $0.add(StageBlueprint<StageB>(configuration: deep), seed: 1) }, "stage_b")
        var shallow = deep
        shallow.blocks = [1, 2, 2]
        let kept = shallow.parameters(pruning: weights, of: deep)
        _ = try StageB(configuration: shallow, parameters: ParameterValues(kept))
        func expectSame(_ name: String, _ source: String) {
            #expect(
                kept[name] != nil && kept[name]?.elements == weights[source]?.elements, "\(name)")
        }
        // The layer into the last level, its second group, which was its second too, and the layer
        // out of it behind two groups instead of three.
        expectSame("down_blocks.2.0.1.weight", "down_blocks.2.0.1.weight")
        expectSame("down_blocks.2.4.depthwise.weight", "down_blocks.2.4.depthwise.weight")
        expectSame("up_blocks.0.6.1.weight", "up_blocks.0.9.1.weight")
        expectSame("up_blocks.2.0.channelwise.0.weight", "up_blocks.2.0.channelwise.0.weight")

        shallow.blockTypes = deep.blockTypes.map { $0.filter { $0 != "A" } }
        #expect(deep.hasAttention && !shallow.hasAttention)
        let blind = shallow.parameters(pruning: weights, of: deep)
        _ = try StageB(configuration: shallow, parameters: ParameterValues(blind))
        #expect(
            blind["down_blocks.2.3.depthwise.weight"]?.elements
                == weights["down_blocks.2.4.depthwise.weight"]?.elements)
    }

    @Test("a Stage A of fewer bottleneck blocks keeps its encoder")
    func stageA() throws {
        var deep = StageA.Configuration()
        (deep.channels, deep.bottleneckBlocks, deep.codes) = (16, 4, 8)
        let weights = try values({ try $0.addStageA(deep, seed: 1) }, "stage_a")
        var shallow = deep
        shallow.bottleneckBlocks = 2
        let kept = shallow.parameters(pruning: weights, of: deep)
        _ = try StageA(configuration: shallow, parameters: ParameterValues(kept))
        for (own, source) in [(0, 0), (1, 1), (2, 3), (3, 5), (4, 6)] {
            let part = kept.filter { $0.key.hasPrefix("up_blocks.\(own).") }
            #expect(!part.isEmpty, "\(own)")
            for (name, value) in part {
                let rest = name.split(separator: ".").dropFirst(2).joined(separator: ".")
                #expect(weights["up_blocks.\(source).\(rest)"]?.elements == value.elements)
            }
        }
        for (name, value) in weights where name.hasPrefix("down_blocks") {
            #expect(kept[name]?.elements == value.elements)
        }
    }
}
