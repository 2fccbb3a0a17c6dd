import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

extension Fixtures {
    func folder(_ path: String) -> URL { directory.appendingPathComponent(path) }

    /// The two pipelines' folders of the checkpoint.
    func prior() throws -> CheckpointFolder {
        try CheckpointFolder(folder("checkpoint/wuerstchen-prior"))
    }

    func main() throws -> CheckpointFolder {
        try CheckpointFolder(folder("checkpoint/wuerstchen"))
    }

    /// How semantic latents are scaled in the case of a pipeline, or as published.
    func space(_ scalars: JSON?) -> SemanticLatentSpace {
        SemanticLatentSpace(
            pixelsPerPosition: scalars?["resolution_multiple"]?.double ?? 42.67,
            scale: Float(scalars?["latent_mean"]?.double ?? 42),
            offset: Float(scalars?["latent_std"]?.double ?? 1))
    }
}

/// Rows of tokens or of a mask.
func rows<Element>(_ values: [Element], of length: Int) -> [[Element]] {
    stride(from: 0, to: values.count, by: length).map { Array(values[$0..<$0 + length]) }
}

func checkText(
    _ test: Fixtures.Case, _ tensors: CaseTensors, _ fixtures: Fixtures,
    _ comparison: inout Comparison
) throws {
    let path = try #require(test.scalars?["weights"]?.string)
    let configuration: CLIPTextModel.Configuration = try decodeJSON(
        CLIPTextModel.Configuration.self, from: fixtures.folder(path + "/config.json"))
    let model = try CLIPTextModel(
        configuration: configuration,
        parameters: CheckpointParameters(directory: fixtures.folder(path), stem: "model"))
    let length = try tensors.shape("in.input_ids")[1]
    let ids = rows(try tensors.integers("in.input_ids").map(Int.init), of: length)
    let mask = rows(try tensors.integers("in.attention_mask").map { $0 != 0 }, of: length)
    let tokens = fixtures.folder(path).deletingLastPathComponent().appendingPathComponent(
        "tokenizer")
    if let prompts = test.scalars?["prompts"]?.array,
        FileManager.default.fileExists(atPath: tokens.path)
    {
        let tokenizer = try CLIPTokenizer(contentsOf: tokens)
        let encodings = prompts.compactMap { $0.string.map(tokenizer.encode) }
        #expect(encodings.map(\.ids) == ids)
        #expect(encodings.map(\.mask) == mask)
    }
    var intermediates: [String: Tensor] = [:]
    let hidden = try model(ids: ids, mask: mask) { intermediates[$0] = $1 }
    for (name, value) in intermediates where comparison.expects(name) {
        try comparison.check(name, value)
    }
    try comparison.check("last_hidden_state", hidden)
    // What other models condition on: the state at the end of the text.
    let end = test.scalars?["eos_token_id"]?.int ?? 2
    let pooled = ids.enumerated().map { row, ids in
        let largest = ids.firstIndex(of: ids.max() ?? 0) ?? 0
        let place = end == 2 ? largest : ids.firstIndex(of: end) ?? largest
        return hidden[row..<row + 1].reshaped(to: [length, hidden.shape[2]])[place..<place + 1]
    }
    try comparison.check("pooled", Tensor.concatenating(pooled))
}

func checkStageC(
    _ test: Fixtures.Case, _ tensors: CaseTensors, _ fixtures: Fixtures,
    _ comparison: inout Comparison
) throws {
    let path = try #require(test.scalars?["weights"]?.string)
    let stage = try StageC(
        configuration: decodeJSON(
            StageC.Configuration.self, from: fixtures.folder(path + "/config.json")),
        parameters: CheckpointParameters(
            directory: fixtures.folder(path), stem: "diffusion_pytorch_model"))
    var intermediates: [String: Tensor] = [:]
    let conditioning = stage.prepare(text: try tensors("in.text")) { intermediates[$0] = $1 }
    let y = try stage.predict(
        tensors.map("in.x"), times: tensors("in.r").elements, conditioning: conditioning
    ) { intermediates[$0] = $1 }
    for (name, value) in intermediates where comparison.expects(name) {
        switch name {
        case "r_embed": try comparison.check(name, value)
        case "cond_mapper":
            try comparison.check(
                name, firstTokens(value, tensors.shape("out.cond_mapper")[1]))
        default: try comparison.check(map: name, value)
        }
    }
    // A residual block's last layer does the work of the timestep block behind it, so the map
    // between the two never exists.
    for block in 0..<stage.configuration.depth { comparison.leaveOut("block_\(3 * block)") }
    try comparison.check(map: "y", y)
}

/// The first tokens of each text.
private func firstTokens(_ text: Tensor, _ count: Int) -> Tensor {
    let (texts, tokens, channels) = (text.shape[0], text.shape[1], text.shape[2])
    return Tensor.concatenating(
        (0..<texts).map {
            text[$0..<$0 + 1].reshaped(to: [tokens, channels])[0..<count]
        })
}

func checkStageB(
    _ test: Fixtures.Case, _ tensors: CaseTensors, _ fixtures: Fixtures,
    _ comparison: inout Comparison
) throws {
    let stage: StageB
    if let path = test.scalars?["weights"]?.string {
        stage = try StageB(
            configuration: decodeJSON(
                StageB.Configuration.self, from: fixtures.folder(path + "/config.json")),
            parameters: CheckpointParameters(
                directory: fixtures.folder(path), stem: "diffusion_pytorch_model"))
    } else {
        let fields = try JSONSerialization.data(
            withJSONObject: #require(test.scalars?["config"]).any)
        stage = try StageB(
            configuration: JSONDecoder().decode(StageB.Configuration.self, from: fields),
            parameters: tensors)
    }
    let x = try tensors.map("in.x")
    let times = try tensors("in.r").elements
    let semantic = try tensors.map("in.effnet")
    let text = try tensors.optional("in.clip")
    func predict(_ semantic: Tensor, _ text: Tensor?, _ trace: Trace?) throws -> Tensor {
        let conditioning = stage.prepare(
            semantic: semantic, text: text, height: x.shape[1], width: x.shape[2], trace: trace)
        return try stage.predict(x, times: times, conditioning: conditioning, trace: trace)
    }
    var intermediates: [String: Tensor] = [:]
    try comparison.check(map: "y", predict(semantic, text) { intermediates[$0] = $1 })
    if let value = intermediates.removeValue(forKey: "text"), comparison.expects("text_4_tokens") {
        try comparison.check("text_4_tokens", firstTokens(value, 4))
    }
    for (name, value) in intermediates where comparison.expects(name) {
        try comparison.check(map: name, value)
    }
    if comparison.expects("y_zero_clip"), let text {
        try comparison.check(
            map: "y_zero_clip", predict(semantic, Tensor(repeating: 0, text.shape), nil))
    }
    if comparison.expects("y_zero_effnet") {
        try comparison.check(
            map: "y_zero_effnet", predict(Tensor(repeating: 0, semantic.shape), text, nil))
    }
}

func checkStageA(
    _ test: Fixtures.Case, _ tensors: CaseTensors, _ fixtures: Fixtures,
    _ comparison: inout Comparison
) throws {
    let path = try #require(test.scalars?["weights"]?.string)
    let stage = try StageA(
        configuration: decodeJSON(
            StageA.Configuration.self, from: fixtures.folder(path + "/config.json")),
        parameters: CheckpointParameters(
            directory: fixtures.folder(path), stem: "diffusion_pytorch_model"))
    let latent: Tensor
    if try tensors.optional("in.image") != nil {
        var intermediates: [String: Tensor] = [:]
        latent = try stage.encode(tensors.map("in.image")) { intermediates[$0] = $1 }
        try comparison.check(map: "latent", latent)
        for (name, value) in intermediates where comparison.expects(name) {
            try comparison.check(map: name, value)
        }
    } else {
        latent = try tensors.map("in.latent")
    }
    if comparison.expects("decoded") {
        try comparison.check(map: "decoded", stage.decode(unscaled: latent))
    }
    if comparison.expects("indices") {
        let (indices, quantized) = stage.quantize(latent)
        try comparison.check("indices", indices.map(Float.init))
        try comparison.check(map: "quantised", quantized)
        try comparison.check(map: "decoded_quantised", stage.decode(unscaled: quantized))
    }
}

func checkCompressor(
    _ tensors: CaseTensors, _ fixtures: Fixtures, _ comparison: inout Comparison
) throws {
    let image = try tensors.map("in.image")
    var intermediates: [String: Tensor] = [:]
    let compressor = try SemanticCompressor(parameters: RuleParameters(fixtures.manifest))
    let embedding = try compressor.embed(image) { intermediates[$0] = $1 }
    try comparison.check(map: "latent", embedding)
    for (name, value) in intermediates where comparison.expects(name) {
        try comparison.check(map: name, value)
    }
    if comparison.expects("training_target") {
        try comparison.check(
            map: "training_target", SemanticLatent(embedding: embedding).values)
    }
    if comparison.expects("latent_no_affine") {
        let plain = try SemanticCompressor(
            parameters: RuleParameters(
                fixtures.manifest, excluding: ["mapper.1.weight", "mapper.1.bias"]))
        try comparison.check(map: "latent_no_affine", plain.embed(image))
    }
}
