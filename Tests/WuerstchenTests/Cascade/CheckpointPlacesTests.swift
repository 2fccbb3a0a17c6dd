import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import _WuerstchenTestSupport

/// The layouts that people have checkpoints in. Each is made of the fixtures' checkpoint and must
/// give its very images.
@Suite("Layouts of a checkpoint") struct CheckpointPlacesTests {
    private static func request() throws -> GenerationRequest {
        try TinyCascade.request(stageCSteps: 1, stageCGuidance: 0, stageBSteps: 1)
    }

    private static func images(_ url: URL) throws -> [Image] {
        try Cascade(contentsOf: url, memory: .sequential).makeImages(for: request())
    }

    private static func expectSameImages(
        _ url: URL, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let expected = try TinyCascade.load().makeImages(for: request())
        #expect(try images(url) == expected, sourceLocation: sourceLocation)
    }

    // MARK: - One folder

    /// Moves a pipeline's parts to the checkpoint's folder.
    private static func flatten(_ copy: CheckpointCopy) throws {
        var index: [String: Any] = [:]
        for (pipeline, prefix) in [("wuerstchen-prior", "prior_"), ("wuerstchen", "")] {
            let data = try Data(contentsOf: copy.file("\(pipeline)/model_index.json"))
            let fields = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
            index.merge(fields) { $1 }
            try copy.remove("\(pipeline)/model_index.json")
            let names = try FileManager.default.contentsOfDirectory(
                atPath: copy.file(pipeline).path)
            for name in names { try copy.rename("\(pipeline)/\(name)", to: prefix + name) }
            try copy.remove(pipeline)
        }
        index["_class_name"] = "WuerstchenCombinedPipeline"
        try Array(JSONSerialization.data(withJSONObject: index)).withUnsafeBytes {
            try copy.write(Array($0), to: "model_index.json")
        }
    }

    @Test("the combined pipeline")
    func combined() throws {
        let copy = try TinyCascade.copy()
        try Self.flatten(copy)
        try Self.expectSameImages(copy.url)
        try copy.remove("prior_tokenizer")
        expectError(.fileNotFound, "prior_tokenizer") { _ = try Cascade(contentsOf: copy.url) }
    }

    // MARK: - The original repository's files

    /// Renames a network's tensors as the original code has them: PyTorch's attention keeps
    /// queries, keys and values in one tensor.
    private static func makeOriginal(
        _ records: inout [String: CheckpointCopy.Record], wrapper: String = ""
    ) throws {
        for name in records.keys where name.contains(".attention.to_q.") {
            var whole = try #require(records[name])
            for part in ["to_k", "to_v"] {
                let other = name.replacing("to_q", with: part)
                whole.bytes += try #require(records[other]).bytes
                records[other] = nil
            }
            whole.shape[0] *= 3
            records[name] = nil
            records[name.replacing(".to_q.", with: ".attn.in_proj_")] = whole
        }
        for name in records.keys {
            let original = name.replacing(".attention.to_out.0.", with: ".attention.attn.out_proj.")
                .replacing("vquantizer.embedding.", with: "vquantizer.codebook.")
            records[wrapper + original] = records.removeValue(forKey: name)
        }
    }

    /// Puts original files in place of the networks' folders, by the names of the folders.
    private static func makeOriginal(
        _ copy: CheckpointCopy, keepsConfigurations: Bool = true,
        files: [String: (file: String, wrapper: String)] = [
            "prior_prior": ("model_v3_stage_c", "ema_state_dict."),
            "decoder": ("model_v2_stage_b", ""),
            "vqgan": ("vqgan_f4_v1_500k", "state_dict."),
        ]
    ) throws {
        for (folder, (name, wrapper)) in files {
            try copy.rename(
                "\(folder)/diffusion_pytorch_model.safetensors", to: "\(name).safetensors")
            try copy.changeTensors(of: "\(name).safetensors") {
                try makeOriginal(&$0, wrapper: wrapper)
            }
            if keepsConfigurations {
                try copy.rename("\(folder)/config.json", to: "\(name).json")
            }
            try copy.remove(folder)
        }
    }

    @Test("original files beside text encoders, with configurations of their names")
    func original() throws {
        let copy = try TinyCascade.copy()
        try Self.flatten(copy)
        try Self.makeOriginal(copy)
        try Self.expectSameImages(copy.url)
        try FileManager.default.copyItem(
            at: copy.file("model_v3_stage_c.safetensors"), to: copy.file("other.safetensors"))
        expectError(.invalidRequest, "model_v3_stage_c.safetensors", "other.safetensors") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    @Test("an original file in a checkpoint of two pipelines, and in place of a stage")
    func mixed() throws {
        let copy = try TinyCascade.copy()
        try Self.makeOriginal(
            copy, files: ["wuerstchen-prior/prior": ("model_v2_stage_c_finetune", "")])
        try Self.expectSameImages(copy.url)
        let file = copy.file("model_v2_stage_c_finetune.safetensors")
        let cascade = try Cascade(
            contentsOf: TinyCascade.directory, replacing: StageFolders(stageC: file))
        #expect(
            try cascade.makeImages(for: Self.request())
                == TinyCascade.load().makeImages(for: Self.request()))
    }

    @Test("attention under original names in the published layout")
    func names() throws {
        let copy = try TinyCascade.copy()
        for folder in ["wuerstchen-prior/prior", "wuerstchen/decoder", "wuerstchen/vqgan"] {
            try copy.changeTensors(of: "\(folder)/diffusion_pytorch_model.safetensors") {
                try Self.makeOriginal(&$0)
            }
        }
        try Self.expectSameImages(copy.url)
        let file = "wuerstchen-prior/prior/diffusion_pytorch_model.safetensors"
        try copy.changeTensors(of: file) { records in
            let name = try #require(records.keys.sorted().first { $0.hasSuffix("in_proj_bias") })
            records[name] = CheckpointCopy.Record(
                elementType: .f32, shape: [1], bytes: [0, 0, 0, 0])
        }
        expectError(.incompatibleParameters, "in_proj_bias", "to_q.bias") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    /// Networks whose heads have 64 channels, as published ones have, so that shapes tell all.
    private static func writeLegible(_ copy: CheckpointCopy) throws {
        var (c, b, a) = (StageC.Configuration(), StageB.Configuration(), StageA.Configuration())
        (c.latentChannels, c.channels, c.textChannels) = (10, 128, 18)
        (c.timestepChannels, c.depth, c.heads) = (32, 2, 2)
        (b.timestepChannels, b.conditioningChannels) = (28, 14)
        (b.channels, b.heads, b.blocks) = ([16, 64, 128], [-1, 1, 2], [2, 3, 1])
        (b.blockTypes, b.injectsSemantics) = (["CT", "CTA", "CTAA"], [false, true, true])
        (b.semanticChannels, b.textChannels, b.kernelSize) = (10, 12, 5)
        (a.levels, a.bottleneckBlocks, a.channels, a.codes) = (2, 3, 14, 40)
        a.latentScale = 0.3764
        func write(
            _ configuration: some Encodable, _ path: String,
            _ build: (any ParameterSource) throws -> Void
        ) throws {
            var numbers = RandomNumbers(seed: 3)
            let sources = try ParameterRequest.all(of: build).sorted { $0.name < $1.name }.map {
                let centre: Float = $0.name.hasSuffix("running_var") ? 1 : 0
                let values = Tensor(
                    numbers.floats($0.shape.count, spread: 0.1, centre: centre), $0.shape)
                return WeightElementType.float32.source($0.name, $0.shape) { values }
            }
            try NetworkFolder(copy.file(path))
                .write(sources, configuration, stem: "diffusion_pytorch_model")
        }
        try write(c, "wuerstchen-prior/prior") {
            _ = try StageC(configuration: c, parameters: $0)
        }
        try write(b, "wuerstchen/decoder") { _ = try StageB(configuration: b, parameters: $0) }
        try write(a, "wuerstchen/vqgan") { _ = try StageA(configuration: a, parameters: $0) }
    }

    @Test("shapes that no network has are refused", arguments: [0, 1 << 40])
    func impossibleShapes(_ side: Int) throws {
        let copy = try TinyCascade.copy()
        try Self.flatten(copy)
        try Self.makeOriginal(copy, keepsConfigurations: false)
        try copy.changeTensors(of: "vqgan_f4_v1_500k.safetensors") { records in
            let name = try #require(records.keys.first { $0.hasSuffix("in_block.1.weight") })
            records[name]?.shape = [side, 0, 1, 1]
            records[name]?.bytes = []
        }
        expectError(.incompatibleParameters, "vqgan_f4_v1_500k", "in_block.1.weight") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    @Test("the shapes in original files tell the architecture")
    func shapes() throws {
        let copy = try TinyCascade.copy()
        try Self.writeLegible(copy)
        let expected = try Self.images(copy.url)
        try Self.flatten(copy)
        try Self.makeOriginal(copy, keepsConfigurations: false)
        #expect(try Self.images(copy.url) == expected)
        // Without an index every number is the published one.
        try copy.remove("model_index.json")
        #expect(try Cascade(contentsOf: copy.url).latentSpace == SemanticLatentSpace())
    }

    // MARK: - The hub's cache

    /// Moves a pipeline's folder into a cache: files under the names of their contents, and a
    /// snapshot of links to them.
    private static func cache(_ copy: CheckpointCopy, _ folder: String, as name: String) throws {
        let manager = FileManager.default
        let model = copy.file("models--\(name)")
        let snapshot = model.appendingPathComponent("snapshots/0123abcd")
        let blobs = model.appendingPathComponent("blobs")
        try manager.createDirectory(at: blobs, withIntermediateDirectories: true)
        let files = try manager.subpathsOfDirectory(atPath: copy.file(folder).path)
        for (number, path) in files.sorted().enumerated() {
            let file = copy.file(folder).appendingPathComponent(path)
            var isDirectory: ObjCBool = false
            _ = manager.fileExists(atPath: file.path, isDirectory: &isDirectory)
            if isDirectory.boolValue { continue }
            let link = snapshot.appendingPathComponent(path)
            try manager.createDirectory(
                at: link.deletingLastPathComponent(), withIntermediateDirectories: true)
            try manager.moveItem(at: file, to: blobs.appendingPathComponent("blob\(number)"))
            let up = String(repeating: "../", count: 1 + path.split(separator: "/").count)
            try manager.createSymbolicLink(
                atPath: link.path, withDestinationPath: "\(up)blobs/blob\(number)")
        }
        let refs = model.appendingPathComponent("refs")
        try manager.createDirectory(at: refs, withIntermediateDirectories: true)
        try Data("0123abcd\n".utf8).write(to: refs.appendingPathComponent("main"))
        try manager.removeItem(at: copy.file(folder))
    }

    private static func cached() throws -> CheckpointCopy {
        let copy = try TinyCascade.copy()
        try cache(copy, "wuerstchen-prior", as: "warp-ai--wuerstchen-prior")
        try cache(copy, "wuerstchen", as: "warp-ai--wuerstchen")
        return copy
    }

    @Test(
        "a cache, a model's folder in it, and a snapshot",
        arguments: [
            "", "models--warp-ai--wuerstchen", "models--warp-ai--wuerstchen-prior",
            "models--warp-ai--wuerstchen-prior/snapshots/0123abcd",
        ])
    func cache(place: String) throws {
        let copy = try Self.cached()
        // Other models, complete or not, and other revisions are no matter.
        for folder in ["models--other--model/snapshots", "models--other--half/snapshots/1"] {
            try FileManager.default.createDirectory(
                at: copy.file(folder), withIntermediateDirectories: true)
        }
        try FileManager.default.createDirectory(
            at: copy.file("models--warp-ai--wuerstchen/snapshots/ffff"),
            withIntermediateDirectories: true)
        try Self.expectSameImages(copy.file(place))
        let name = try Cascade(contentsOf: copy.file(place)).name
        #expect(place.isEmpty || name == Self.name(place))
    }

    private static func name(_ place: String) -> String {
        place.contains("prior") ? "warp-ai/wuerstchen-prior" : "warp-ai/wuerstchen"
    }

    @Test("models' folders of a cache in place of the pipelines' folders")
    func linked() throws {
        let copy = try Self.cached()
        try copy.rename("models--warp-ai--wuerstchen", to: "models--warp-ai--decoder")
        for (link, model) in [("wuerstchen-prior", "wuerstchen-prior"), ("wuerstchen", "decoder")] {
            let folder = copy.file("checkpoint")
            try FileManager.default.createDirectory(
                at: folder, withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: folder.appendingPathComponent(link).path,
                withDestinationPath: "../models--warp-ai--\(model)")
        }
        try Self.expectSameImages(copy.file("checkpoint"))
    }

    @Test("a model with everything in a cache")
    func whole() throws {
        let copy = try TinyCascade.copy()
        try Self.flatten(copy)
        try Self.makeOriginal(copy)
        try FileManager.default.createDirectory(
            at: copy.file("x"), withIntermediateDirectories: true)
        for name in try FileManager.default.contentsOfDirectory(atPath: copy.url.path)
        where name != "x" {
            try copy.rename(name, to: "x/\(name)")
        }
        try Self.cache(copy, "x", as: "somebody--everything")
        try Self.expectSameImages(copy.url)
        try Self.expectSameImages(copy.file("models--somebody--everything"))
    }

    @Test("what is wrong with a cache is said")
    func incomplete() throws {
        let copy = try Self.cached()
        let prior = copy.file("models--warp-ai--wuerstchen-prior")
        try copy.write("gone", to: "models--warp-ai--wuerstchen-prior/refs/main")
        expectError(.fileNotFound, "no snapshot gone", "refs/main") {
            _ = try Cascade(contentsOf: prior)
        }
        try copy.remove("models--warp-ai--wuerstchen-prior/refs/main")
        try Self.expectSameImages(prior)
        try FileManager.default.createDirectory(
            at: prior.appendingPathComponent("snapshots/1"), withIntermediateDirectories: true)
        expectError(.fileNotFound, "several snapshots", "snapshots/0123abcd") {
            _ = try Cascade(contentsOf: prior)
        }
        try copy.remove("models--warp-ai--wuerstchen-prior/snapshots/1")
        let blobs = copy.file("models--warp-ai--wuerstchen-prior/blobs")
        try FileManager.default.moveItem(at: blobs, to: copy.file("elsewhere"))
        expectError(.fileNotFound, "which is gone") {
            _ = try Cascade(contentsOf: prior.appendingPathComponent("snapshots/0123abcd"))
        }
        try copy.remove("models--warp-ai--wuerstchen-prior")
        expectError(.fileNotFound, "decoder alone", "warp-ai/wuerstchen-prior") {
            _ = try Cascade(contentsOf: copy.file("models--warp-ai--wuerstchen"))
        }
        try copy.remove("models--warp-ai--wuerstchen")
        try FileManager.default.createDirectory(
            at: copy.file("models--a--b/snapshots/1"), withIntermediateDirectories: true)
        expectError(.fileNotFound, "without Würstchen", "models--a--b") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }
}
