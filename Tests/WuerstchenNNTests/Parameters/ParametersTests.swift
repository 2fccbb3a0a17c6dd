import TensorCore
import Testing
import WuerstchenNN
import _WuerstchenTestSupport

@Suite("Parameters of a network")
struct ParametersTests {
    private struct Broken: Error {}

    /// Zeros of given shapes; asked for `broken`, it throws.
    private struct Source: ParameterSource {
        let origin = "the source"
        var shapes: [String: Shape] = [:]
        var makesUpAnything = false

        var names: Set<String>? { makesUpAnything ? nil : Set(shapes.keys) }

        func parameter(_ request: ParameterRequest) throws -> FoundParameter {
            let (name, shape) = (request.name, request.shape)
            if name == "broken" { throw Broken() }
            if makesUpAnything { return .found(Tensor(repeating: 1, shape)) }
            guard let stored = shapes[name] else { return .missing }
            return stored == shape
                ? .found(Tensor(repeating: 2, shape)) : .misshapen("\(stored)")
        }
    }

    @Test("names are joined with dots")
    func names() throws {
        let source = Source(shapes: ["blocks.3.norm.weight": [4], "bias": [2]])
        let (weight, bias) = try Parameters.load(from: source) { parameters in
            let block = parameters["blocks"][3]
            #expect(block.contains("norm.weight") && block["norm"].contains("weight"))
            #expect(!block.contains("weight"))
            return (
                try block["norm"]("weight", [4], role: .weight),
                try parameters("bias", [2], role: .weight)
            )
        }
        #expect(weight.elements == [2, 2, 2, 2] && bias.shape == [2])
    }

    @Test("one error lists everything that is missing, misshapen or surplus")
    func everythingAtOnce() {
        let source = Source(shapes: ["a": [2], "b": [3], "c": [4, 5], "d": [1], "e": [1]])
        expectError(
            .incompatibleParameters, "the source", "2 missing: x [1], y.z [2, 2]",
            "2 misshapen: b is [3], expected [4], c is [4, 5], expected [5, 4]; ",
            "2 surplus: d, e"
        ) {
            try Parameters.load(from: source) { parameters in
                _ = try parameters("a", [2], role: .weight)
                let zeros = try parameters("x", [1], role: .weight)
                #expect(zeros.elements == [0], "zeros stand in for what is missing")
                _ = try parameters("b", [4], role: .weight)
                _ = try parameters["y"]("z", [2, 2], role: .weight)
                _ = try parameters("c", [5, 4], role: .weight)
            }
        }
    }

    @Test("a configuration that asks for more than any memory holds ends with what was found")
    func asksForTooMuch() {
        expectError(
            .incompatibleParameters, "1 missing: x [1]", "1 misshapen: a is [2]", "and more"
        ) {
            try Parameters.load(from: Source(shapes: ["a": [2]])) { parameters in
                _ = try parameters("x", [1], role: .weight)
                _ = try parameters("a", [1 << 20, 1 << 20], role: .weight)
                Issue.record("the network must not be built on")
            }
        }
    }

    @Test("what is of no consequence may be left over")
    func ignored() throws {
        let source = Source(shapes: ["a": [2], "a.counter": [1]])
        try Parameters.load(from: source, ignoring: { $0.hasSuffix(".counter") }) {
            _ = try $0("a", [2], role: .weight)
        }
        expectError(.incompatibleParameters, "1 surplus: a.counter") {
            try Parameters.load(from: source) { _ = try $0("a", [2], role: .weight) }
        }
    }

    @Test("a source that makes parameters up has none left over, and promises none")
    func madeUp() throws {
        try Parameters.load(from: Source(makesUpAnything: true)) { parameters in
            #expect(!parameters.contains("a"))
            let made = try parameters("a", [3], role: .weight)
            #expect(made.elements == [1, 1, 1])
        }
    }

    @Test("what the source or the network throws comes through")
    func failures() {
        #expect(throws: Broken.self) {
            try Parameters.load(from: Source()) { parameters in
                _ = try parameters("broken", [1], role: .weight)
                _ = try parameters("missing", [1], role: .weight)
            }
        }
        #expect(throws: Broken.self) {
            try Parameters.load(from: Source()) { _ in throw Broken() }
        }
    }
}
