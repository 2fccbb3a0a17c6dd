import Foundation
import TensorCore
import Testing
import WuerstchenNN
import WuerstchenTraining

/// Tells stripes that lie from stripes that stand.
struct StripeClassifier: Sendable {
    let convolution: Convolution
    let norm: LayerNorm
    let output: Linear

    init(_ parameters: Parameters, channels: Int = 8) throws {
        convolution = try Convolution(
            parameters["convolution"], 1, channels, kernel: 3, padding: 1, role: .inputWeight)
        norm = try LayerNorm(parameters["norm"], channels)
        output = try Linear(
            parameters["output"], channels, 2, role: .outputWeight, initializer: .zeros)
    }

    /// Logits `[batch, 2]` of images `[batch, height, width, 1]`.
    func callAsFunction(_ images: Tensor) -> Tensor {
        output(norm(convolution(images, .gelu).meanOverPositions()))
    }
}

/// Images of stripes, and for each whether they lie (0) or stand (1).
func stripes(_ count: Int, _ random: inout RandomStream) -> (images: Tensor, labels: [Int]) {
    let labels = (0..<count).map { _ in random.integer(below: 2) }
    let pixels = labels.flatMap { label in
        let offset = random.integer(below: 2)
        return (0..<64).map { Float(((label == 0 ? $0 / 8 : $0 % 8) + offset) % 2) }
    }
    return (Tensor(pixels, [count, 8, 8, 1]), labels)
}

@Suite("The article on building a network")
struct BuildYourOwnNetworkTests {
    @Test("its code learns, and the saved network is the trained one")
    func code() throws {
        let untrained = try Parameters.load(from: RandomParameters(seed: 1)) {
            try StripeClassifier($0)
        }
        #expect(untrained(Tensor(repeating: 0, [3, 8, 8, 1])).shape == [3, 2])

        var parameters = TrainableParameters()
        try parameters.add(from: InitialParameters(seed: 1)) { source in
            _ = try Parameters.load(from: source) { try StripeClassifier($0) }
        }
        #expect(parameters.values.count == 6)
        let optimizer = AdamW()
        var state = OptimizerState()
        var random = RandomStream(seed: 1, name: "stripes")
        for _ in 0..<60 {
            let (images, labels) = stripes(32, &random)
            let leaves = parameters.values.mapValues { $0.tracked() }
            let network = try Parameters.load(from: ParameterValues(leaves)) {
                try StripeClassifier($0)
            }
            let gradients = try network(images).crossEntropy(labels).gradients()
            let found = leaves.compactMapValues { gradients[$0] }
            optimizer.update(&parameters, &state, found) { _ in 0.02 }
        }

        let file = FileManager.default.temporaryDirectory.appending(
            path: "stripes-\(UUID().uuidString).safetensors")
        defer { try? FileManager.default.removeItem(at: file) }
        try Safetensors.write(
            parameters.values.map { name, value in
                Safetensors.Source(name: name, elementType: .f32, shape: value.shape.array) {
                    write in
                    try value.withUnsafeElements { try write(UnsafeRawBufferPointer($0)) }
                }
            }, to: file)
        let trained = try Parameters.load(from: CheckpointParameters(contentsOf: file)) {
            try StripeClassifier($0)
        }

        let (images, labels) = stripes(64, &random)
        #expect(trained(images).crossEntropy(labels).elements[0] < 0.1)
        let chance = try Parameters.load(from: InitialParameters(seed: 1)) {
            try StripeClassifier($0)
        }
        #expect(chance(images).crossEntropy(labels).elements[0] > 0.6, "it had something to learn")
    }
}
