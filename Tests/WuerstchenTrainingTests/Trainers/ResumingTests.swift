import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import WuerstchenScenes
import _WuerstchenTestSupport

@testable import WuerstchenTraining

/// A training is resumed as it was begun, or refused with both values.
@Suite("Resuming") struct ResumingTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private var options: TrainingOptions {
        var options = TrainingOptions(steps: 4, batchSize: 2, peakRate: 3e-3)
        options.precision = .float32
        return options
    }

    /// Begins a training, and expects it to be resumed as it was begun and not as another.
    private func expectRefused<Objective: TrainingObjective>(
        _ begun: Objective, as other: Objective, start: [String: Tensor] = [:],
        otherStart: [String: Tensor]? = nil, _ words: String...,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let file = folder.url.appendingPathComponent("\(UUID().uuidString).safetensors")
        try Trainer(begun, options, file: file, start: start).save()
        let before = try Data(contentsOf: file)
        let same = try Trainer(begun, options, file: file, resumes: true, start: start)
        #expect(same.isFullyCompared, sourceLocation: sourceLocation)
        do {
            _ = try Trainer(
                other, options, file: file, resumes: true, start: otherStart ?? start)
            Issue.record("it was resumed", sourceLocation: sourceLocation)
        } catch let error as WuerstchenError {
            #expect(error.code == .invalidRequest, "\(error)", sourceLocation: sourceLocation)
            for word in words + [file.path] {
                #expect(error.message.contains(word), "\(error)", sourceLocation: sourceLocation)
            }
        }
        #expect(try Data(contentsOf: file) == before, sourceLocation: sourceLocation)
    }

    // MARK: Objectives

    private func compressor(_ seed: UInt64) throws -> SemanticCompressor {
        try SemanticCompressor(architecture: .residual, parameters: RandomParameters(seed: seed))
    }

    private func stageC(compressor seed: UInt64 = 4) throws -> StageCObjective {
        let tokenizer = folder.url.appendingPathComponent("tokenizer")
        try SceneTokenizer.write(to: tokenizer)
        var text = CLIPTextModel.Configuration(
            channels: 8, hiddenChannels: 16, layers: 1, heads: 2)
        (text.positions, text.vocabularySize) = (32, 810)
        var c = TinyStageC.configuration
        c.latentChannels = 16
        return StageCObjective(
            NoisePrediction(StageBlueprint(configuration: c)),
            captions: CaptionEncoding(
                text, tokenizer: try CLIPTokenizer(contentsOf: tokenizer), trainsEncoder: false),
            semantics: CompressedImages(NoiseImages(side: 128), compressor: try compressor(seed)))
    }

    private func changed<Value>(_ value: Value, _ change: (inout Value) -> Void) -> Value {
        var value = value
        change(&value)
        return value
    }

    /// A folder of noise with captions.
    private func images(_ name: String, count: Int = 3, side: Int = 16) throws -> URL {
        let images = folder.url.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: images, withIntermediateDirectories: false)
        for number in 0..<count {
            let pixels = (0..<3 * side * side).map { UInt8(truncatingIfNeeded: $0 * (number + 3)) }
            try Image(width: side, height: side, pixels: pixels)
                .write(to: images.appendingPathComponent("\(number).png"))
            try Data("noise \(number)".utf8)
                .write(to: images.appendingPathComponent("\(number).txt"))
        }
        return images
    }

    // MARK: What is refused

    @Test("with the compressor forgotten, or another one")
    func networks() throws {
        let images = NoiseImages()
        let digests = try [4, 5].map { SettingsDigest(of: try compressor($0)).description }
        try expectRefused(
            PreviewObjective(images: images, compressor: compressor(4)),
            as: PreviewObjective(images: images, compressor: compressor(5)),
            "compressor \(digests[0]) (not \(digests[1]))")
        try expectRefused(
            stageC(), as: stageC(compressor: 5),
            "semantics, compressor \(digests[0]) (not \(digests[1]))")
        let a = tinyStageA(images: images).configuration
        let teachers = try [1, 2].map {
            try StageA(configuration: a, parameters: RandomParameters(seed: $0))
        }
        try expectRefused(
            DecoderObjective(configuration: a, teacher: teachers[0], images: images),
            as: DecoderObjective(configuration: a, teacher: teachers[1], images: images),
            "teacher \(SettingsDigest(of: teachers[0]))", "(not \(SettingsDigest(of: teachers[1])))"
        )
    }

    @Test("with the images forgotten, others, or captions gone")
    func data() throws {
        let options = ImageFolderOptions.crops(side: 16)
        let url = try images("images")
        let begun = tinyStageA(images: try ImageFolder(url, options: options))
        try expectRefused(
            begun, as: tinyStageA(images: NoiseImages(side: 16)), "images, images 3 (not nothing)")
        try expectRefused(
            begun, as: tinyStageA(images: try ImageFolder(url, options: .crops(side: 32))),
            "images, sizes, crops, side 16 (not 32)")
        try expectRefused(
            begun, as: tinyStageA(images: try ImageFolder(url, options: .crops(side: 16, seed: 2))),
            "images, seed 0 (not 2)")
        try expectRefused(
            begun,
            as: tinyStageA(images: try ImageFolder(images("more", count: 4), options: options)),
            "images, images 3 (not 4)")
        try expectRefused(
            begun,
            as: tinyStageA(images: try ImageFolder(images("larger", side: 20), options: options)),
            "images, names sizes and captions")
        let other = try images("same")
        // Where the folder lies does not matter.
        let moved = try ImageFolder(other, options: options)
        #expect(TrainingSettings(of: moved) == TrainingSettings(of: begun.images))
        try Data("another".utf8).write(to: other.appendingPathComponent("1.txt"))
        try expectRefused(
            begun, as: tinyStageA(images: try ImageFolder(other, options: options)),
            "images, names sizes and captions")
        for number in 0..<3 {
            try FileManager.default.removeItem(at: other.appendingPathComponent("\(number).txt"))
        }
        try expectRefused(
            begun, as: tinyStageA(images: try ImageFolder(other, options: options)),
            "images, names sizes and captions")
        try expectRefused(
            tinyStageA(images: SceneImages(seed: 1, crop: 64)),
            as: tinyStageA(images: SceneImages(seed: 1, crop: 128)),
            "images, crop 64 (not 128)")
    }

    @Test("with other settings of the objective")
    func settings() throws {
        let c = try stageC()
        try expectRefused(
            c, as: changed(c) { $0.noise.weighting = .clean }, "weighting p2 (not clean)")
        try expectRefused(
            c, as: changed(c) { $0.captions.trainsEncoder = true },
            "captions, trains encoder no (not yes)")
        try expectRefused(
            c, as: changed(c) { $0.captions.dropout = 0.5 }, "captions, dropout 0.1 (not 0.5)")
        try expectRefused(
            c, as: changed(c) { $0.noise.times.highNoiseShare = 0.5 },
            "high noise share 0 (not 0.5)")
        try expectRefused(
            c, as: changed(c) { $0.noise.blueprint.schedule = NoiseSchedule(offset: 0.01) },
            "schedule, offset 0.008 (not 0.01)")
        try expectRefused(
            c, as: changed(c) { $0.noise.blueprint.configuration.depth = 3 },
            "configuration, depth 2 (not 3)")
        let a = tinyStageA(images: NoiseImages())
        let judged = changed(a) { $0.auxiliary = [AdversarialLoss.patches(weight: 0.05)] }
        try expectRefused(
            a, as: judged, "auxiliary none (not nothing)", "weight nothing (not 0.05)")
        try expectRefused(judged, as: a, "weight 0.05 (not nothing)")
        try expectRefused(
            judged,
            as: changed(a) { $0.auxiliary = [AdversarialLoss.patches(weight: 0.1, start: 0.5)] },
            "auxiliary, 1, weight 0.05 (not 0.1)", "auxiliary, 1, start 0.25 (not 0.5)")
    }

    @Test("with couplings of another guidance, or more of them")
    func couplings() throws {
        let teacher = try TinyTeacher()
        func objective(_ guidance: Float, _ count: Int, seed: UInt64 = 3) throws
            -> FlowObjective<StageC>
        {
            var record = teacher.record(seed: seed)
            record.guidance = guidance
            let pairs = folder.url.appendingPathComponent("pairs \(guidance) \(count) \(seed)")
            try teacher.maker(record).make(count, in: pairs)
            return FlowObjective(
                try teacher.student().student, couplings: try Couplings(contentsOf: pairs),
                times: .beginning)
        }
        let start = try teacher.student().start
        let begun = try objective(2, 16)
        try expectRefused(
            begun, as: try objective(3, 16), start: start, "couplings, guidance 2 (not 3)",
            "couplings, latents and conditions")
        try expectRefused(
            begun, as: try objective(2, 24), start: start, "couplings, pairs 8 (not 16)")
        try expectRefused(
            begun, as: changed(begun) { $0.keepsAttention = true }, start: start,
            "keeps attention no (not yes)")
        let other = try CLIPTextModel(
            configuration: teacher.textConfiguration, parameters: RandomParameters(seed: 10))
        let context = StageCContext(
            textEncoder: try TextEncoder(
                tokenizer: teacher.textEncoder.tokenizer, model: other))
        try expectRefused(
            begun, as: changed(begun) { $0.student.context = context }, start: start,
            "student, context, text encoder, model")
        try expectRefused(
            begun, as: begun, start: start,
            otherStart: start.mapValues { $0.scaled(by: 2) }, "start ")
    }

    @Test("but not with what changes no step")
    func incidental() throws {
        let file = folder.url.appendingPathComponent("state.safetensors")
        let begun = tinyStageA(images: NoiseImages())
        let start = ["stage_a.out_block.0.bias": Tensor(repeating: 0.5, [12])]
        try Trainer(begun, options, file: file, start: start).save()
        var other = begun
        other.validationImages = NoiseImages(side: 64)
        let more = changed(options) {
            ($0.steps, $0.rate.steps, $0.rate.warmUp) = (400, 400, 12)
            $0.checkpointInterval = 5
        }
        let resumed = try Trainer(other, more, file: file, resumes: true)
        #expect(resumed.state.settings?["steps"] == .number(400))
        #expect(resumed.state.settings?["start"] != .text("none"), "that of the first time")
        try resumed.save()
        expectError(.invalidRequest, "steps 400 (not 4)") {
            _ = try Trainer(begun, options, file: file, resumes: true)
        }
    }

    @Test("what changes no number may change: threads, and whether activations are kept")
    func sameNumbers() throws {
        let file = folder.url.appendingPathComponent("state.safetensors")
        let begun = try stageC()
        try Trainer(begun, options, file: file).save()
        let recomputing = changed(begun) { $0.noise.checkpointsActivations.toggle() }
        let count = Threads.count
        Threads.count = count + 1
        defer { Threads.count = count }
        let resumed = try Trainer(recomputing, options, file: file, resumes: true)
        #expect(resumed.isFullyCompared)
    }

    @Test("a state of before settings were recorded is compared as far as it goes, and noted")
    func olderStates() throws {
        let run = try TrainingRun(tinyStageA(images: NoiseImages()), options, in: folder.url)
        try Trainer(tinyStageA(images: NoiseImages()), options, file: run.stateFile).save()
        try changeRecord(of: run.stateFile) { $0["settings"] = nil }
        #expect(try TrainingState(contentsOf: run.stateFile).settings == nil)
        expectError(.invalidRequest, "rate, peak 0.003 (not 0.5)") {
            _ = try Trainer(
                run.objective, changed(options) { $0.rate.peak = 0.5 }, file: run.stateFile,
                resumes: true)
        }
        var larger = run.objective
        larger.configuration.codes = 32
        expectError(
            .incompatibleParameters, "stage_a.vquantizer.embedding.weight [16, 4] (not [32, 4])"
        ) {
            _ = try Trainer(larger, options, file: run.stateFile, resumes: true)
        }
        let notes = Notes()
        var progress = TrainingProgress(isTerminal: false) { notes.add($0) }
        _ = try run.run(resumes: true, progress: &progress)
        #expect(notes.text.contains("before all settings were recorded"))
        #expect(try TrainingState(contentsOf: run.stateFile).settings?["seed"] == .number(0))
    }

    @Test("a folder without a state has nothing to resume")
    func nothing() throws {
        let run = try TrainingRun(
            TinyStageC(), options, in: folder.url.appendingPathComponent("misspelt"))
        #expect(!run.isBegun)
        var progress = TrainingProgress(isTerminal: false) { _ in }
        expectError(.fileNotFound, "no training to resume", run.stateFile.path) {
            _ = try run.run(resumes: true, progress: &progress)
        }
        #expect(!FileManager.default.fileExists(atPath: run.folder.path), "nothing is left behind")
    }

    // MARK: Settings

    @Test("a network's digest tells other weights apart, and a single one")
    func digests() throws {
        func seeded(_ seed: UInt64) throws -> String {
            SettingsDigest(of: try compressor(seed)).description
        }
        #expect(try seeded(1) == seeded(1))
        #expect(try seeded(1) != seeded(2))
        // A single weight makes a difference, at the precision that it is used in.
        let names = try RecordedNames.of {
            _ = try SemanticCompressor(
                architecture: .residual, parameters: $0)
        }
        for precision in [Precision.float32, .bfloat16] {
            let whole = try digest(of: names, precision)
            var other = names
            let name = "backbone.0.weight"
            var values = try #require(other[name]).elements
            values[3] += 0.5
            other[name] = Tensor(values, try #require(names[name]).shape)
            #expect(try digest(of: other, precision) != whole)
        }
    }

    @Test("a dictionary's digest is the same in every process, and sees all of each value")
    func dictionaries() {
        // Its description says where in memory the type is.
        struct Merge { var rank: Int, result: Int }
        let merges = [UInt64(7): Merge(rank: 1, result: 2), 8: Merge(rank: 2, result: 3)]
        #expect(SettingsDigest(of: merges).description == "2a7a1ceff82bfaf6")
        var values = [Float](repeating: 0, count: 1000)
        let zeros = SettingsDigest(of: ["weight": Tensor(values, [1000])]).description
        values[500] = 1
        #expect(SettingsDigest(of: ["weight": Tensor(values, [1000])]).description != zeros)
        #expect(SettingsDigest(of: ["bias": Tensor(values, [1000])]).description != zeros)
    }

    private func digest(of values: [String: Tensor], _ precision: Precision) throws -> String {
        SettingsDigest(
            of: try SemanticCompressor(
                architecture: .residual, parameters: ParameterValues(values),
                precision: precision)
        ).description
    }

    @Test("values are written and read back as they are")
    func values() throws {
        struct Inner { let share: Float = 0.1, many = [1, 2, 3], none: Int? = nil }
        struct Outer {
            let inner = Inner()
            let seed = UInt64.max
            let isOn = true
            let large = 1 << 60
            let rate = Double.infinity
            let times = FlowTimes.beginning
            @Incidental var looked = 3
            let closure: @Sendable () -> Void = {}
        }
        let settings = TrainingSettings(of: Outer())
        #expect(settings["inner.share"] == .number(0.1))
        #expect(settings["inner.many"] == .text("1,2,3") && settings["inner.none"] == .text("none"))
        #expect(settings["seed"] == .text("18446744073709551615"))
        #expect(settings["isOn"] == .flag(true) && settings["rate"] == .text("inf"))
        #expect(settings["large"] == .text("1152921504606846976"))
        #expect(!settings.values.keys.contains { $0.hasSuffix("looked") || $0 == "closure" })
        let read = try JSONDecoder().decode(
            TrainingSettings.self, from: JSONEncoder().encode(settings))
        #expect(read == settings)
    }
}

/// What a run tells.
private final class Notes: @unchecked Sendable {
    private(set) var text = ""

    func add(_ text: String) { self.text += text }
}

/// The parameters that a network asks for.
private enum RecordedNames {
    static func of(_ build: (any ParameterSource) throws -> Void) throws -> [String: Tensor] {
        var parameters = TrainableParameters()
        try parameters.add(from: RandomParameters(seed: 1)) { try build($0) }
        return parameters.values
    }
}
