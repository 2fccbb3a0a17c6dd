import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Files of adapters, as people have them and as they are written.
@Suite("LoRA files") struct LoRAFileTests {
    private let folder: TemporaryFolder
    private var file: URL { folder.url.appendingPathComponent("lora.safetensors") }

    init() throws { folder = try TemporaryFolder() }

    private func write(_ tensors: [String: Tensor]) throws {
        try Safetensors.write(
            tensors.map { name, tensor in
                WeightElementType.float32.source(name, tensor.shape) { tensor }
            }, to: file)
    }

    /// The networks of ``LoRACase/stageC`` and ``LoRACase/stageB``, and one layer of a text
    /// encoder.
    private func layers() throws -> [CascadeLoRA.Network: [String: Shape]] {
        [
            .stageC: try LoRACase.stageC.layers(), .stageB: try LoRACase.stageB.layers(),
            .textEncoder: ["text_model.encoder.layers.0.self_attn.q_proj": [8, 8]],
        ]
    }

    private func read() throws -> CascadeLoRA { try CascadeLoRA(contentsOf: file, for: layers()) }

    /// How a file names A, B and alpha of two layers of Stage C and one of each other network.
    struct Naming: Sendable, CustomStringConvertible {
        let description: String
        let modules: [String]
        let suffixes: (down: String, up: String)
        var hasAlpha = false
        var isConvolution = false
    }

    private static let places: [(CascadeLoRA.Network, String)] = [
        (.stageC, "blocks.2.attention.to_q"), (.stageC, "blocks.2.attention.to_out.0"),
        (.stageC, "blocks.0.channelwise.0"),
        (.textEncoder, "text_model.encoder.layers.0.self_attn.q_proj"),
        (.stageB, "down_blocks.0.0.channelwise.4"),
    ]

    private static let namings = [
        Naming(
            description: "PEFT and diffusers",
            modules: [
                "prior.blocks.2.attention.to_q", "prior.blocks.2.attention.to_out.0",
                "prior.blocks.0.channelwise.0",
                "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
                "decoder.down_blocks.0.0.channelwise.4",
            ], suffixes: (".lora_A.weight", ".lora_B.weight")),
        Naming(
            description: "kohya",
            modules: [
                "lora_unet_blocks_2_attention_to_q", "lora_unet_blocks_2_attention_to_out_0",
                "lora_unet_blocks_0_channelwise_0",
                "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
                "lora_decoder_unet_down_blocks_0_0_channelwise_4",
            ], suffixes: (".lora_down.weight", ".lora_up.weight"), hasAlpha: true,
            isConvolution: true),
        Naming(
            description: "kohya, native names",
            modules: [
                "lora_prior_unet_blocks_2_attention_attn_to_q",
                "lora_prior_unet_blocks_2_attention_attn_out_proj",
                "lora_prior_unet_blocks_0_channelwise_0",
                "lora_prior_te_text_model_encoder_layers_0_self_attn_q_proj",
            ], suffixes: (".lora_down.weight", ".lora_up.weight"), hasAlpha: true),
        Naming(
            description: "save_attn_procs",
            modules: [
                "blocks.2.attention.processor.to_q_lora",
                "blocks.2.attention.processor.to_out_lora",
            ], suffixes: (".down.weight", ".up.weight")),
    ]

    @Test("files of every naming are read", arguments: namings)
    func everyNaming(naming: Naming) throws {
        let layers = try layers()
        var tensors: [String: Tensor] = [:]
        for (number, (name, (network, module))) in zip(naming.modules, Self.places).enumerated() {
            let shape = try #require(layers[network]?[module])
            let tail = naming.isConvolution ? [1, 1] : []
            tensors[name + naming.suffixes.down] = .random(
                Shape([3, shape[1]] + tail), seed: 2 * number)
            tensors[name + naming.suffixes.up] = .random(
                Shape([shape[0], 3] + tail), seed: 2 * number + 1)
            if naming.hasAlpha { tensors[name + ".alpha"] = Tensor([1.5], []) }
        }
        try write(tensors)
        let lora = try read()
        let count = lora.networks.values.map(\.layers.count).reduce(0, +)
        #expect(count == naming.modules.count)
        for (number, (network, module)) in Self.places.prefix(naming.modules.count).enumerated() {
            let layer = try #require(lora.networks[network]?.layers[module], "\(module)")
            #expect(layer.alpha == (naming.hasAlpha ? 1.5 : 3))
            #expect(layer.rank == 3)
            let down = Tensor.random(layer.down.shape, seed: 2 * number)
            let up = Tensor.random(layer.up.shape, seed: 2 * number + 1)
            #expect(layer.down.elements == down.elements && layer.up.elements == up.elements)
        }
    }

    @Test("what is written is read back, alpha within B")
    func roundTrip() throws {
        let lora = try LoRACase.stageC.lora(seed: 3)
        try CascadeLoRA([.stageC: lora], bases: [.stageC: "0123"]).write(to: file)
        let header = try Safetensors(contentsOf: file)
        #expect(header.entries["prior.blocks.2.attention.to_q.lora_A.weight"] != nil)
        #expect(header.metadata["rank"] == "3" && header.metadata["alpha"] == "3")
        let read = try read()
        #expect(read.bases == [.stageC: "0123"])
        let layers = try #require(read.networks[.stageC]).layers
        #expect(Set(layers.keys) == Set(lora.layers.keys))
        for (module, layer) in lora.layers {
            let got = try #require(layers[module])
            #expect(got.down.elements == layer.down.elements)
            #expect(got.alpha == Float(got.rank))
            let scale = layer.alpha / Float(layer.rank)
            #expect(
                got.up.elements == layer.up.elements.map { scale == 1 ? $0 : $0 * scale },
                "\(module)")
        }
    }

    @Test("what does not fit is refused, all of it in one error")
    func misfits() throws {
        let (down, up) = (Tensor.random([2, 24], seed: 1), Tensor.random([24, 2], seed: 2))
        try write([
            "prior.blocks.2.attention.to_q.lora_A.weight": down,
            "prior.blocks.2.attention.to_q.lora_B.weight": up,
            "prior.blocks.2.attention.to_k.lora_A.weight": .random([2, 23], seed: 3),
            "prior.blocks.2.attention.to_k.lora_B.weight": .random([23, 2], seed: 3),
            "prior.blocks.2.attention.to_v.lora_A.weight": down,
            "prior.blocks.99.attention.to_q.lora_A.weight": down,
            "lora_unet_blocks_2_attention_to_out_0.dora_scale": up,
            "weights.0.lora_down": down,
        ])
        let error = #expect(throws: WuerstchenError.self) { try read() }
        let message = error?.message ?? ""
        #expect(error?.code == .incompatibleParameters)
        for words in [
            "2 of no layer", "prior.blocks.99.attention.to_q.lora_A.weight", "weights.0.lora_down",
            "to_k.lora_A.weight is [2, 23], expected [rank, 24]",
            "to_k.lora_B.weight is [23, 2], expected [24, rank]",
            "without the other half, or twice: prior.blocks.2.attention.to_v.lora_A.weight",
            "DoRA", "to_out_0.dora_scale",
        ] {
            #expect(message.contains(words), "\(words) in \(message)")
        }
        try write(["prior.blocks.2.attention.to_q.lora_A.weight": .random([2, 24, 3, 3], seed: 1)])
        #expect(throws: WuerstchenError.self) { try read() }
        try write([:])
        #expect(throws: WuerstchenError.self) { try read() }
    }

    // MARK: With a checkpoint

    /// A LoRA for every layer of the tiny checkpoint.
    private func writeTiny(base: String? = nil) throws {
        let directory = TinyCascade.directory
        func layers<Stage: TrainableStage>(_ path: String, _: Stage.Type) throws -> [String: Shape]
        where Stage.Configuration: Decodable {
            let config = directory.appendingPathComponent("\(path)/config.json")
            let configuration = try JSONDecoder().decode(
                Stage.Configuration.self, from: Data(contentsOf: config))
            return try StageBlueprint<Stage>(configuration: configuration).adaptableLayers()
        }
        func lora(_ layers: [String: Shape]) -> LoRA {
            LoRA(
                layers.mapValues {
                    LoRA.Layer(
                        down: .random([2, $0[1]], seed: 1, spread: 0.2),
                        up: .random([$0[0], 2], seed: 2, spread: 0.5))
                })
        }
        let q = "text_model.encoder.layers.0.self_attn.q_proj"
        let text = try JSONDecoder().decode(
            CLIPTextModel.Configuration.self,
            from: Data(
                contentsOf: directory.appendingPathComponent(
                    "wuerstchen-prior/text_encoder/config.json")))
        try CascadeLoRA(
            [
                .stageC: lora(layers("wuerstchen-prior/prior", StageC.self)),
                .stageB: lora(layers("wuerstchen/decoder", StageB.self)),
                .textEncoder: lora([q: [text.channels, text.channels]]),
            ], bases: base.map { [.stageC: $0] } ?? [:]
        ).write(to: file)
    }

    private func load(
        _ loras: [LoRAFile], _ memory: MemoryPolicy = .resident
    ) throws -> Cascade {
        try Cascade(contentsOf: TinyCascade.directory, memory: memory, loras: loras)
    }

    @Test("a cascade takes adapters, merged and beside, and is itself without them")
    func cascade() throws {
        try writeTiny(base: "feed")
        let request = try TinyCascade.request()
        let base = try TinyCascade.load().makeImages(for: request)[0]
        let merged = try load([LoRAFile(file, scale: 0.5)], .sequential)
        #expect(merged.name == "checkpoint with lora.safetensors:0.5")
        #expect(merged.notes.count == 1 && merged.notes[0].contains("other weights"))
        let adapted = try merged.makeImages(for: request)[0]
        #expect(adapted != base)
        func difference(_ a: Image, _ b: Image) -> Int {
            zip(a.pixels, b.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 0
        }
        let beside = LoRAFile(file, scale: 0.5, isMerged: false)
        let cascade = try load([beside])
        #expect(try difference(cascade.makeImages(for: request)[0], adapted) <= 2)
        // Half of it twice is the whole of it.
        let twice = try load([beside, LoRAFile(file, scale: 0.5)])
        let whole = try load([LoRAFile(file)])
        #expect(whole.name == "checkpoint with lora.safetensors")
        #expect(
            try difference(
                twice.makeImages(for: request)[0], whole.makeImages(for: request)[0]) <= 2)
        // Taken back at run time, and never there.
        beside.scale.value = 0
        #expect(try cascade.makeImages(for: request)[0] == base)
        #expect(try load([LoRAFile(file, scale: 0)]).makeImages(for: request)[0] == base)
    }

    @Test("the base's own fingerprint says nothing, and what is wrong is said before work begins")
    func bases() throws {
        try writeTiny(
            base: weightsFingerprint(
                of: TinyCascade.directory.appendingPathComponent("wuerstchen-prior/prior")))
        #expect(try load([LoRAFile(file)]).notes.isEmpty)
        let missing = LoRAFile(folder.url.appendingPathComponent("none.safetensors"))
        let infinite = LoRAFile(file, scale: .infinity)
        let error = #expect(throws: WuerstchenError.self) { try load([missing, infinite]) }
        #expect(error?.message.contains("none.safetensors") == true)
        #expect(error?.message.contains("inf") == true)
    }
}
