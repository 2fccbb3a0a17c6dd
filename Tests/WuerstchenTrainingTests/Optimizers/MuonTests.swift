import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenNN
import _WuerstchenTestSupport

@testable import WuerstchenTraining

@Suite("Muon") struct MuonTests {
    @Test("PyTorch's trajectory, matrices by Muon and the rest by AdamW, step by step")
    func trajectory() throws {
        let test = try GradientCase("muon")
        struct Configuration: Decodable {
            let steps: Int
            let rates: [Float]
            let matrices: [String]
        }
        let configuration = try test.configuration(Configuration.self)
        var parameters = TrainableParameters()
        try parameters.add(from: test) { source in
            for (name, value) in test.parameters {
                let role: ParameterRole =
                    configuration.matrices.contains(name)
                    ? .weight : name == "table" ? .embedding : .bias
                _ = try source.parameter(ParameterRequest(name, value.shape, role: role))
            }
        }
        let optimizer = Muon(weightDecay: 0.1)
        var state = OptimizerState()
        func value(_ tensor: Tensor, _ step: Int) -> Tensor {
            tensor[step..<step + 1].reshaped(to: Shape(Array(tensor.shape.array.dropFirst())))
        }
        for step in 0..<configuration.steps {
            let gradients = try test.parameters.keys.reduce(into: [String: Tensor]()) {
                $0[$1] = value(try test.input("gradient.\($1)"), step)
            }
            optimizer.update(&parameters, &state, gradients) { _ in configuration.rates[step] }
            for (name, start) in test.parameters {
                let wanted = value(try test.result("parameter.\(name)"), step)
                let found = try #require(parameters.values[name])
                let error = (found - wanted).squareSum().squareRoot()
                let moved = (wanted - start).squareSum().squareRoot()
                #expect(error < 1e-4 * moved, "\(name), step \(step): \(error) of \(moved)")
            }
        }
        #expect(state.memories["kernel"]?.tensors.keys.sorted() == ["momentum"])
        #expect(state.memories["table"]?.tensors.keys.sorted() == ["first", "second"])
    }

    @Test(
        "a matrix becomes about orthogonal, whatever its shape and size",
        arguments: [(3, 40), (40, 3), (16, 16), (1, 9)] as [(Int, Int)])
    func orthogonal(_ rows: Int, _ columns: Int) {
        for size: Float in [1e-5, 1, 1e5] {
            let matrix = Tensor.random([rows, columns], seed: 3).scaled(by: size)
            let found = matrix.orthogonalized(iterations: 5)
            #expect(found.shape == matrix.shape)
            // The mean of the squared singular values.
            let square = found.squareSum() / Double(min(rows, columns))
            #expect((0.4...1.5).contains(square), "\(rows)×\(columns): \(square)")
            let along = zip(found.elements, matrix.elements).reduce(0) { $0 + $1.0 * $1.1 }
            #expect(along > 0, "in the matrix's own direction")
        }
        let zeros = Tensor(repeating: 0, [rows, columns]).orthogonalized(iterations: 5)
        #expect(zeros.elements.allSatisfy { $0 == 0 })
    }

    @Test(
        "products of bfloat16 lead about as far, in the same direction",
        arguments: [(48, 200), (200, 48), (64, 64), (5, 7)] as [(Int, Int)])
    func bfloat16(_ rows: Int, _ columns: Int) {
        let matrix = Tensor.random([rows, columns], seed: 4)
        let exact = matrix.orthogonalized(iterations: 5)
        let found = matrix.orthogonalized(iterations: 5, precision: .bfloat16)
        let error = ((found - exact).squareSum() / exact.squareSum()).squareRoot()
        #expect(error > 0 && error < 0.05, "\(rows)×\(columns): \(error)")
    }

    @Test("what a parameter is to its layer decides who moves it")
    func roles() {
        let muon = Muon()
        for role in ParameterRole.allCases {
            let isMatrix = muon.tensorKinds(of: role, [4, 3, 3, 3]) == ["momentum"]
            #expect(isMatrix == (role == .weight), "\(role)")
        }
        #expect(muon.tensorKinds(of: .weight, [4]) == ["first", "second"])
        #expect(muon.tensorKinds(of: nil, [4, 3]) == ["first", "second"])
    }

    private func options(_ optimizer: any Optimizer, steps: Int = 6) -> TrainingOptions {
        var options = TrainingOptions(steps: steps, batchSize: 3, peakRate: 3e-3)
        options.optimizer = optimizer
        options.precision = .float32
        options.checkpointInterval = 0
        return options
    }

    @Test("a run that was stopped goes on to the same bits, and not with AdamW")
    func resuming() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        var whole = try Trainer(TinyStageC(), options(Muon()))
        while try whole.next() != nil {}
        var first = try Trainer(TinyStageC(), options(Muon()), file: file)
        for _ in 0..<2 { _ = try first.next() }
        let names = try Safetensors(contentsOf: file).entries.keys
        #expect(names.contains("momentum/stage_c.blocks.0.channelwise.0.weight"))
        #expect(!names.contains("momentum/stage_c.blocks.0.depthwise.weight"))
        #expect(names.contains("second/stage_c.blocks.0.depthwise.weight"))
        #expect(!names.contains("second/stage_c.blocks.0.channelwise.0.weight"))
        #expect(names.contains("first/stage_c.out.1.weight"))
        expectError(.invalidRequest, "optimizer, name muon (not adamw)") {
            _ = try Trainer(TinyStageC(), options(AdamW()), file: file, resumes: true)
        }
        let threads = Threads.count
        defer { Threads.count = threads }
        Threads.count = 3
        var second = try Trainer(TinyStageC(), options(Muon()), file: file, resumes: true)
        while try second.next() != nil {}
        for (name, value) in whole.state.parameters.values {
            #expect(value.elements == second.state.parameters.values[name]?.elements, "\(name)")
            #expect(
                whole.state.optimizer.memories[name]?.tensors.mapValues(\.elements)
                    == second.state.optimizer.memories[name]?.tensors.mapValues(\.elements))
        }
    }

    @Test("a state whose memories are not the optimiser's is refused")
    func damaged() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        var first = try Trainer(TinyStageC(), options(Muon()), file: file)
        _ = try first.next()
        // A kind of the same length that Muon does not know.
        var data = try Data(contentsOf: file)
        let name = Data("momentum/stage_c.blocks.0.channelwise.0.weight".utf8)
        data[try #require(data.range(of: name)).lowerBound] = UInt8(ascii: "x")
        try data.write(to: file)
        expectError(.malformedFile, "stage_c.blocks.0.channelwise.0.weight", "xomentum") {
            _ = try Trainer(TinyStageC(), options(Muon()), file: file, resumes: true)
        }
    }

    @Test("it learns as fast as AdamW at the same rate")
    func learning() throws {
        func losses(_ optimizer: any Optimizer) throws -> (first: Double, last: Double) {
            var trainer = try Trainer(TinyStageC(), options(optimizer, steps: 120))
            var losses: [Double] = []
            while let report = try trainer.next() { losses.append(report.loss) }
            return (losses.prefix(10).reduce(0, +), losses.suffix(10).reduce(0, +))
        }
        let (muon, adamw) = (try losses(Muon()), try losses(AdamW()))
        #expect(muon.last < 0.85 * muon.first && muon.last < 1.1 * adamw.last, "\(muon), \(adamw)")
    }
}
