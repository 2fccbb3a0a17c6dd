import Foundation
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// What a stage's `config.json` says about its sampling, on the tiny checkpoint.
@Suite("Sampling in config.json") struct SamplingConfigurationTests {
    private static func cascade(_ sampling: String) throws -> (CheckpointCopy, Cascade) {
        let copy = try TinyCascade.copy()
        let name = "wuerstchen-prior/prior/config.json"
        let text = try String(contentsOf: copy.file(name), encoding: .utf8)
        try copy.write(
            text.replacing("{", with: "{\"sampling\": \(sampling),", maxReplacements: 1), to: name)
        return (copy, try Cascade(contentsOf: copy.url))
    }

    private static let request = GenerationRequest(
        "a house", size: ImageSize(width: 128, height: 128), seed: 3)

    @Test("a checkpoint's sampling is what a request leaves open")
    func asksFor() throws {
        let (copy, cascade) = try Self.cascade(
            "{\"method\": \"dpmpp-2m\", \"steps\": 3, \"guidance\": 2}")
        _ = copy
        let record = try cascade.completed(Self.request)
        #expect(record.stageC?.timesteps.count == 3)
        #expect(record.stageC?.method == .dpmpp2M && record.stageC?.guidance == 2)
        #expect(record.stageB == SamplingOptions.stageB)
        // Said in the request, the same makes the same image.
        var said = Self.request
        said.stageC = record.stageC
        #expect(
            try TinyCascade.load().makeImages(for: said)
                == cascade.makeImages(for: Self.request))
    }

    @Test("other methods get times of their own kind")
    func otherMethods() throws {
        let (copy, cascade) = try Self.cascade(
            "{\"method\": \"dpmpp-2m\", \"steps\": 4, \"guidance\": 2}")
        _ = copy
        let description = try cascade.stageC.description()
        let ddpm = try #require(try description.sampling(method: .ddpm))
        #expect(ddpm.timesteps == (try Timesteps(count: 4)) && ddpm.guidance == 2)
        let euler = try #require(try description.sampling(method: .euler))
        #expect(euler.timesteps == description.defaultSampling.timesteps)
        let more = try #require(try description.sampling(steps: 6))
        #expect(more.method == .dpmpp2M && more.timesteps.count == 6)
        #expect(more.timesteps != (try Timesteps(count: 6)))
    }

    @Test("a flow says itself how it is sampled")
    func flows() throws {
        var configuration = StageC.Configuration()
        configuration.sampling = SamplingConfiguration(.heun, steps: 5)
        configuration.flow = FlowConfiguration(steps: 1)
        #expect(configuration.sampling == nil)
    }

    @Test("a file that says both is refused", arguments: ["prior", "decoder"])
    func both(_ stage: String) throws {
        let copy = try TinyCascade.copy()
        let name = "wuerstchen\(stage == "prior" ? "-prior" : "")/\(stage)/config.json"
        let text = try String(contentsOf: copy.file(name), encoding: .utf8)
        try copy.write(
            text.replacing(
                "{",
                with: "{\"sampling\": {\"method\": \"ddim\", \"steps\": 2}, "
                    + "\"flow\": {\"steps\": 1},",
                maxReplacements: 1), to: name)
        expectError(.invalidConfiguration, name, "flow and sampling") {
            _ = try Cascade(contentsOf: copy.url)
        }
    }

    @Test("no guidance is said by leaving it out")
    func unguided() throws {
        let (copy, cascade) = try Self.cascade("{\"method\": \"heun\", \"steps\": 2}")
        _ = copy
        #expect(try cascade.stageC.description().defaultSampling.guidance == 0)
    }

    @Test("what is asked for is checked where it is asked for")
    func asked() throws {
        let description = try TinyCascade.load().stageC.description()
        for guidance in [Float.nan, .infinity, 1e9] {
            expectError(.invalidRequest, "guidance is") {
                _ = try description.sampling(guidance: guidance)
            }
        }
        for steps in [-1, 0, .max] {
            expectError(.invalidRequest, "\(steps) sampling steps") {
                _ = try description.sampling(steps: steps)
            }
        }
    }

    @Test(
        "sampling that makes no sense is refused by name",
        arguments: [
            (WuerstchenError.Code.invalidConfiguration, "\"steps\": 0", "steps 0"),
            (.invalidConfiguration, "\"steps\": 2000000000", "steps 2000000000"),
            (.invalidConfiguration, "\"steps\": 2, \"guidance\": 1e9", "guidance"),
            (.malformedFile, "\"steps\": 2, \"method\": \"magic\"", "magic"),
            (.malformedFile, "\"guidance\": 2", "'steps' is missing"),
        ])
    func refused(_ code: WuerstchenError.Code, _ fields: String, _ named: String) {
        let method = fields.contains("method") ? "" : "\"method\": \"ddim\","
        let sampling = "{\(method) \(fields)}"
        expectError(code, "config.json", named) {
            _ = try Self.cascade(sampling)
        }
    }
}
