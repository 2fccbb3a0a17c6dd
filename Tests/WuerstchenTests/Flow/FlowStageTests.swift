import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Stages as flows, on the tiny checkpoint.
@Suite("Flow stages") struct FlowStageTests {
    private static let grid = SemanticGrid(rows: 4, columns: 3)

    private static func latent(
        _ stage: StageC, _ options: SamplingOptions, guidance: Float = 1
    ) throws -> Tensor {
        let text = try TinyCascade.load().textEncoder().encode("a house")
        var sampler = try stage.sampler(
            text, grid: grid, noise: SeededNoise(seeds: [5]), options: options)
        while try sampler.next() != nil {}
        return sampler.latent
    }

    @Test("Euler along a network's flow is DDIM", arguments: [1, 3, 8])
    func ddim(_ count: Int) throws {
        let stage = try TinyCascade.load().stageC()
        var times = try Timesteps(count: count).times
        // DDIM stops where the schedule is cut off; a flow goes on to clean latents.
        let ddim = try Self.latent(
            stage,
            SamplingOptions(timesteps: try Timesteps(times), guidance: 2, method: .ddim))
        let euler = try Self.latent(
            stage,
            SamplingOptions(timesteps: try Timesteps(times), guidance: 2, method: .euler))
        // Undo the last bit of noise: compare before the last step instead where there is one.
        if count > 1 {
            times.removeLast()
            let options = SamplingOptions(
                timesteps: try Timesteps(times), guidance: 2, method: .ddim)
            let before = try Self.latent(stage, options)
            var flow = options
            flow.method = .euler
            // Times that do not end at 0 end in diffusion's latents.
            let moved = try Self.latent(stage, flow)
            // At time 1 the rounding of the predicted noise is multiplied by a hundred.
            #expect(difference(moved, before) < 1e-4 * before.largest)
        }
        // The last step ends at clean latents, where DDIM keeps a hundredth of the noise.
        #expect(difference(euler, ddim) < 0.03 * ddim.largest)
    }

    private static func students() throws -> (copy: CheckpointCopy, c: URL, b: URL) {
        let copy = try TinyCascade.copy()
        for (part, layer) in [("wuerstchen-prior/prior", "out.1"), ("wuerstchen/decoder", "clf.1")]
        {
            let file = copy.file("\(part)/config.json")
            var fields = try #require(
                JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
            fields["flow"] = [
                "steps": 1, "baked_guidance": 4, "latent_mean": 0, "latent_deviation": 1,
            ]
            try JSONSerialization.data(withJSONObject: fields).write(to: file)
            let directory = copy.file(part)
            let weights = try #require(
                FileManager.default.contentsOfDirectory(
                    at: directory, includingPropertiesForKeys: nil
                ).first { $0.pathExtension == "safetensors" })
            let values = try CheckpointParameters(contentsOf: weights).values()
            let halves = values.map { name, value -> Safetensors.Source in
                let kept =
                    name.hasPrefix(layer) ? value[0..<value.shape[0] / 2] : value
                return Safetensors.Source(
                    name: name, elementType: .f32, shape: kept.shape.array
                ) { write in
                    try kept.elements.withUnsafeBytes { try write($0) }
                }
            }
            try Safetensors.write(halves, to: weights)
        }
        return (copy, copy.file("wuerstchen-prior/prior"), copy.file("wuerstchen/decoder"))
    }

    @Test("a checkpoint's flow picks its sampler, and a caller cannot misuse it")
    func picks() throws {
        let (copy, c, b) = try Self.students()
        _ = copy
        let cascade = try Cascade(
            contentsOf: TinyCascade.directory, replacing: StageFolders(stageC: c, stageB: b))
        var request = GenerationRequest("a house", size: ImageSize(width: 128, height: 128))
        let record = try cascade.completed(request)
        #expect(record.stageC?.timesteps.count == 1 && record.stageC?.method == .euler)
        #expect(record.stageB?.timesteps.count == 1 && record.stageB?.guidance == 0)
        #expect(
            try cascade.metadata(of: record).contains { $0 == ("stage C sampling", "euler") })
        let image = try cascade.makeImages(for: request)[0]
        #expect(image.size == request.size)
        #expect(try cascade.makeImages(for: record)[0] == image)
        let steps = try TinyCascade.load().completed(request)
        for (stageC, stageB) in [(steps.stageC, nil), (nil, steps.stageB)] {
            request.stageC = stageC
            request.stageB = stageB
            expectError(.invalidRequest, "flow's velocity", "leave its sampling options out") {
                try cascade.validate(request)
            }
            expectError(.invalidRequest, "flow's velocity", "leave its sampling options out") {
                _ = try cascade.makeImages(for: request)
            }
        }
        request.stageB = nil
        request.stageC = SamplingOptions(
            timesteps: try Timesteps(count: 1), guidance: 4, method: .euler)
        expectError(.invalidRequest, "one step") { _ = try cascade.makeImages(for: request) }
    }

    @Test("one step is the noise plus the velocity, and noise follows from velocity")
    func oneStep() throws {
        let (copy, c, _) = try Self.students()
        _ = copy
        let stage = try Cascade(
            contentsOf: TinyCascade.directory, replacing: StageFolders(stageC: c)
        ).stageC()
        let text = try TinyCascade.load().textEncoder().encode("a house")
        let conditioning = try stage.prepare(text: text.prompts)
        var noise: any NoiseSource = SeededNoise(seeds: [5])
        let start = noise.next(batch: 1, height: 4, width: 3, channels: 10)
        let velocity = try stage.predict(start, times: [1], conditioning: conditioning)
        let made = try Self.latent(stage, stage.defaultSampling)
        #expect(difference(made, start + velocity) < 1e-5)
        // At time 1 a flow is nothing but noise, whatever the velocity; before, what is left of it.
        let seen = try stage.predictNoise(start, times: [1], conditioning: conditioning)
        #expect(difference(seen, start) < 1e-6)
        let half = stage.flowMap.point(time: 0.5)
        let there = try stage.predict(start, times: [0.5], conditioning: conditioning)
        let left = try stage.predictNoise(start, times: [0.5], conditioning: conditioning)
        let expected =
            stage.flowMap.flowState(start, at: half) - there.scaled(by: Float(half.flowTime))
        #expect(difference(left, expected) < 1e-5)
    }

    @Test("a stage that takes another's place brings its sampling along")
    func exchanged() throws {
        let (copy, c, b) = try Self.students()
        _ = copy
        var cascade = try TinyCascade.load()
        let student = try Cascade(
            contentsOf: TinyCascade.directory, replacing: StageFolders(stageC: c, stageB: b))
        cascade.stageC = student.stageC
        let request = GenerationRequest("a house", size: ImageSize(width: 128, height: 128))
        let completed = try cascade.completed(request)
        #expect(completed.stageC?.timesteps.count == 1 && completed.stageB?.timesteps.count == 12)
        var small = request
        small.stageB = SamplingOptions(timesteps: try Timesteps(count: 1), guidance: 0)
        #expect(try cascade.makeImages(for: small).count == 1)
        let sequential = try Cascade(
            contentsOf: TinyCascade.directory, memory: .sequential,
            replacing: StageFolders(stageC: c))
        #expect(try sequential.completed(request).stageC?.method == .euler)
        #expect(try sequential.makeImages(for: small) == cascade.makeImages(for: small))
    }

    @Test("a Stage B without attention reads no text, and then none is encoded")
    func noText() throws {
        var cascade = try TinyCascade.load()
        var decoder = try #require(cascade.decoder as? DiffusionDecoder)
        let stage = try decoder.stageB()
        #expect(stage.readsText)
        let latent = SemanticLatent(
            values: .random([1, 3, 3, stage.configuration.semanticChannels], seed: 1))
        expectError(.invalidRequest, "reads text") {
            _ = try stage.sample(latent, text: nil, seed: 1)
        }
        decoder.textEncoder = Part(loadingEachTime: {
            throw WuerstchenError(.fileNotFound, "no text encoder")
        })
        var request = GenerationRequest("a house", size: ImageSize(width: 128, height: 128))
        request.stageC = SamplingOptions(timesteps: try Timesteps(count: 1), guidance: 0)
        request.stageB = SamplingOptions(timesteps: try Timesteps(count: 1), guidance: 2)
        cascade.decoder = decoder
        expectError(.fileNotFound, "no text encoder") { _ = try cascade.makeImages(for: request) }
        var c = stage.configuration
        c.blockTypes = c.blockTypes.map { $0.filter { $0 != "A" } }
        let blind = try StageB(
            configuration: c, parameters: RandomParameters(seed: 4),
            latentSpace: stage.latentSpace)
        #expect(!blind.readsText)
        decoder.stageB = Part(blind)
        cascade.decoder = decoder
        #expect(try cascade.makeImages(for: request).count == 1)
    }

    @Test("differences over the checkpoint they are from give what the whole weights do")
    func differences() throws {
        let (copy, c, _) = try Self.students()
        let whole = try CheckpointParameters(directory: c, stem: "diffusion_pytorch_model")
        let base = TinyCascade.directory.appendingPathComponent("wuerstchen-prior/prior")
        func source(_ name: String, _ value: Tensor) -> Safetensors.Source {
            Safetensors.Source(name: name, elementType: .f32, shape: value.shape.array) { write in
                try value.elements.withUnsafeBytes { try write($0) }
            }
        }
        let parts = copy.file("parts")
        try FileManager.default.createDirectory(at: parts, withIntermediateDirectories: false)
        try FileManager.default.copyItem(
            at: c.appendingPathComponent("config.json"),
            to: parts.appendingPathComponent("config.json"))
        let file = parts.appendingPathComponent("differences.safetensors")
        let some = try whole.values().filter { $0.key.hasPrefix("out.") }
        func write(_ digest: String) throws {
            try Safetensors.write(
                some.map { source($0.key, $0.value) }, metadata: ["base": digest], to: file)
        }
        try write(weightsFingerprint(of: base))
        let request = GenerationRequest("a house", size: ImageSize(width: 128, height: 128))
        var images: [[Image]] = []
        for folder in [c, parts] {
            var cascade = try Cascade(
                contentsOf: TinyCascade.directory, replacing: StageFolders(stageC: folder))
            cascade.decoder = cascade.previewDecoder
            images.append(try cascade.makeImages(for: request))
        }
        #expect(images[0] == images[1])
        try write("0123456789abcdef")
        expectError(.incompatibleParameters, "differences", "checkpoint that it was made from") {
            _ = try Cascade(
                contentsOf: TinyCascade.directory, replacing: StageFolders(stageC: parts))
        }
    }

    @Test("weights are told apart")
    func fingerprint() throws {
        let copy = try TinyCascade.copy()
        let folder = copy.file("digest")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        expectError(.fileNotFound, "no weights") { _ = try weightsFingerprint(of: folder) }
        let file = folder.appendingPathComponent("a.safetensors")
        var bytes = [UInt8](repeating: 7, count: 19)
        var seen: Set<String> = []
        for place in [nil, 7, 15, 18] as [Int?] {
            if let place { bytes[place] ^= 0x80 }
            try Data(bytes).write(to: file)
            let fingerprint = try weightsFingerprint(of: folder)
            #expect(fingerprint.count == 16)
            seen.insert(fingerprint)
        }
        #expect(seen.count == 4)
    }

    @Test("a flow that makes no sense is refused by name")
    func configuration() throws {
        let copy = try TinyCascade.copy()
        let file = copy.file("wuerstchen-prior/prior/config.json")
        let text = try String(contentsOf: file, encoding: .utf8)
        let damaged = text.replacing(
            "{",
            with:
                "{\"flow\": {\"baked_guidance\": 1, \"latent_mean\": 0, \"latent_deviation\": 0},",
            maxReplacements: 1)
        try copy.write(damaged, to: "wuerstchen-prior/prior/config.json")
        expectError(.invalidConfiguration, "config.json", "latent_deviation") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    private func difference(_ a: Tensor, _ b: Tensor) -> Float {
        zip(a.elements, b.elements).reduce(0) { max($0, abs($1.0 - $1.1)) }
    }
}

extension Tensor {
    fileprivate var largest: Float { elements.reduce(0) { max($0, Swift.abs($1)) } }
}
