import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// Equality with the reference implementation, case by case, as a directory of golden numbers
/// describes it.
///
/// The directory is `Fixtures/parity`, or the one that the environment variable
/// `WUERSTCHEN_FIXTURES` names. A case that the suite cannot run fails.
@Suite("Parity") struct ParityTests {
    static let directory: URL = {
        if let path = ProcessInfo.processInfo.environment["WUERSTCHEN_FIXTURES"] {
            return URL(fileURLWithPath: path)
        }
        return (Bundle.module.resourceURL ?? URL(fileURLWithPath: "."))
            .appendingPathComponent("Fixtures/parity")
    }()

    static let fixtures = Result { try Fixtures(directory) }

    static var cases: [Fixtures.Case] { (try? fixtures.get())?.cases ?? [] }

    @Test("the fixture directory can be read")
    func directoryIsReadable() throws {
        let fixtures = try Self.fixtures.get()
        let groups = Set(fixtures.cases.map(\.group)).sorted()
        print(
            "  parity with \(fixtures.directory.path): \(fixtures.cases.count) cases of \(groups)")
    }

    @Test("golden numbers", arguments: cases)
    func golden(_ test: Fixtures.Case) throws {
        let fixtures = try Self.fixtures.get()
        let tensors = try test.tensors()
        var comparison = Comparison(test, tensors)
        switch test.group {
        case "op": try checkOperation(test, tensors, &comparison)
        case "rng": try checkRandomNumbers(test, &comparison)
        case "text": try checkText(test, tensors, fixtures, &comparison)
        case "stage_c": try checkStageC(test, tensors, fixtures, &comparison)
        case "stage_b": try checkStageB(test, tensors, fixtures, &comparison)
        case "stage_a": try checkStageA(test, tensors, fixtures, &comparison)
        case "scheduler": try checkScheduler(test, tensors, &comparison)
        case "pipeline": try checkPipeline(test, tensors, fixtures, &comparison)
        case "semantic_compressor": try checkCompressor(tensors, fixtures, &comparison)
        default: Issue.record("the suite knows no group \(test.group)")
        }
        comparison.finish()
        for failure in comparison.failures { Issue.record("\(failure)") }
    }

    @Test("the rule that makes the compressor's parameters")
    func compressorRule() throws {
        let fixtures = try Self.fixtures.get()
        guard fixtures.cases.contains(where: { $0.group == "semantic_compressor" }) else { return }
        let parameters = try RuleParameters(fixtures.manifest)
        let probes = fixtures.manifest["semantic_compressor_weights"]?["probes"]?.object ?? [:]
        #expect(!probes.isEmpty)
        for (name, probe) in probes {
            let shape = Shape((probe["shape"]?.array ?? []).compactMap(\.int))
            let values = parameters.values(name, shape).elements
            let first = (probe["first"]?.array ?? []).compactMap { $0.double.map { Float($0) } }
            #expect(Array(values.prefix(first.count)) == first, "\(name)")
            #expect(values.last == probe["last"]?.double.map { Float($0) }, "\(name)")
        }
    }

    @Test("tokenizer")
    func tokenizer() throws {
        let fixtures = try Self.fixtures.get()
        let document = try JSON(
            contentsOf: fixtures.directory.appendingPathComponent("tokenizer_cases.json"))
        let cases = try #require(document["cases"]?.array)
        #expect(cases.count == document["count"]?.int ?? cases.count && !cases.isEmpty)
        for part in ["wuerstchen-prior", "wuerstchen"] {
            let tokenizer = try CLIPTokenizer(
                contentsOf: fixtures.directory.appendingPathComponent(
                    "checkpoint/\(part)/tokenizer"))
            #expect(tokenizer.length == document["length"]?.int)
            #expect(tokenizer.padToken == document["pad_id"]?.int)
            #expect(tokenizer.startToken == document["bos_id"]?.int)
            #expect(tokenizer.endToken == document["eos_id"]?.int)
            var equal = 0
            for test in cases {
                let text = try #require(test["text"]?.string)
                let want = try #require(test["ids"]?.array).compactMap(\.int)
                let encoding = tokenizer.encode(text)
                let got = Array(encoding.ids.prefix(encoding.count))
                let isPadded = encoding.ids.dropFirst(encoding.count).allSatisfy {
                    $0 == tokenizer.padToken
                }
                let maskFits = encoding.mask.enumerated().allSatisfy {
                    $1 == ($0 < encoding.count)
                }
                if got == want, isPadded, maskFits, encoding.ids.count == tokenizer.length {
                    equal += 1
                } else {
                    Issue.record("\(text.debugDescription): \(got), expected \(want)")
                }
                #expect(encoding.isTruncated == (test["untruncated_length"] != nil))
            }
            print("  tokenizer of \(part): \(equal) of \(cases.count) strings equal")
        }
    }

    @Test("keys and shapes of the published models")
    func publishedKeys() throws {
        let fixtures = try Self.fixtures.get()
        let document = try JSON(
            contentsOf: fixtures.directory.appendingPathComponent("full_size_manifest.json"))
        let parts = try #require(document["parts"]?.object)
        #expect(!parts.isEmpty)
        for (name, part) in parts.sorted(by: { $0.key < $1.key }) {
            let parameters = try PublishedShapes(name, part)
            try checkPublishedPart(name, part, parameters)
            print("  \(name): \(parameters.names?.count ?? 0) tensors, as published")
        }
    }
}
