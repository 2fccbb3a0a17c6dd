import Foundation
import TensorCore
import WuerstchenNN
import WuerstchenTraining

// A whole image generator, to be read from top to bottom: data, network, loss, sampling, training.
// It learns to draw discs of three colours as a rectified flow (Liu et al., "Flow Straight and
// Fast", 2022), in under a minute on two cores: swift run -c release train-tiny [steps]

// MARK: Data
let side = 16
let colors: [[Float]] = [[1, 0.2, 0.2], [0.2, 1, 0.3], [0.3, 0.4, 1]]

/// Discs of random size, place and colour on black: images `[count, side, side, 3]`, −1…1, and the
/// number of each one's colour.
func discs(_ count: Int, _ random: inout RandomStream) -> (images: Tensor, labels: [Int]) {
    let labels = (0..<count).map { _ in random.integer(below: colors.count) }
    let pixels = labels.flatMap { label in
        let (x, y) = (random.uniform(5..<11), random.uniform(5..<11))
        let radius = random.uniform(2.5..<4.5)
        return (0..<side * side).flatMap { place in
            let (dx, dy) = (Float(place % side) + 0.5 - x, Float(place / side) + 0.5 - y)
            // One pixel from inside to outside.
            let cover = min(1, max(0, radius + 0.5 - (dx * dx + dy * dy).squareRoot()))
            return colors[label].map { 2 * cover * $0 - 1 }
        }
    }
    return (Tensor(pixels, [count, side, side, 3]), labels)
}

// MARK: The network
let width = 48

/// Convolution and attention with residuals, told the time and the colour.
struct Block: Sendable {
    let condition: TimestepBlock
    let convolution: Convolution
    let attention: Attention

    init(_ parameters: Parameters) throws {
        condition = try TimestepBlock(parameters["condition"], channels: width, embedding: 32)
        convolution = try Convolution(
            parameters["convolution"], width, width, kernel: 3, padding: 1)
        attention = try Attention(parameters["attention"], channels: width, heads: 4)
    }

    func callAsFunction(_ x: Tensor, _ embedding: Tensor) -> Tensor {
        let y = x + convolution(condition(x.layerNormalized(), embedding), .gelu)
        let positions = y.reshaped(to: [y.shape[0], y.shape[1] * y.shape[2], y.shape[3]])
        let normed = positions.layerNormalized(for: attention.matrix)
        let own = attention.keysAndValues(of: normed)
        return attention(normed, to: [own], residual: positions).reshaped(to: y.shape)
    }
}

/// Predicts in which direction noise lies, seen from images mixed with it.
struct Network: Sendable {
    let colorEmbedding: Embedding
    let input: Linear
    let blocks: [Block]
    let output: Linear

    init(_ parameters: Parameters) throws {
        colorEmbedding = try Embedding(parameters["colors"], count: colors.count, channels: 32)
        input = try Linear(parameters["input"], 12, width, role: .inputWeight)
        blocks = try (0..<3).map { try Block(parameters["blocks"][$0]) }
        // Zeros, so that the network begins by predicting nothing rather than something wrong.
        output = try Linear(
            parameters["output"], width, 12, role: .outputWeight, initializer: .zeros)
    }

    /// A velocity for each pixel, in the shape of `x`.
    func callAsFunction(_ x: Tensor, times: [Float], labels: [Int]) -> Tensor {
        let embedding = timestepEmbedding(times, width: 32) + colorEmbedding(labels)
        // Squares of 2×2 pixels become positions of 12 channels.
        var y = input(x.pixelUnshuffled(2))
        for block in blocks { y = block(y, embedding) }
        return output(y.layerNormalized()).pixelShuffled(2)
    }
}

/// How far the predicted velocity is from the one that leads from images straight to noise.
func loss(_ network: Network, _ random: inout RandomStream, batch: Int = 32) -> Tensor {
    let (images, labels) = discs(batch, &random)
    let noise = random.normal(images.shape)
    let times = (0..<batch).map { _ in random.uniform() }
    let mixed = (0..<batch).map {
        Tensor.combine(1 - times[$0], images[$0..<$0 + 1], times[$0], noise[$0..<$0 + 1])
    }
    let velocity = network(.concatenating(mixed), times: times, labels: labels)
    return (velocity - (noise - images)).meanSquare()
}

/// Follows the velocity from noise back to images, in small steps.
func sample(_ network: Network, labels: [Int], _ random: inout RandomStream) -> Tensor {
    var x = random.normal([labels.count, side, side, 3])
    for step in 0..<20 {
        let times = labels.map { _ in 1 - Float(step) / 20 }
        x = Tensor.combine(1, x, -1 / 20, network(x, times: times, labels: labels))
    }
    return x
}

// MARK: Training
@main
struct TrainTiny {
    static func main() throws {
        let argument = CommandLine.arguments.dropFirst().first ?? "1000"
        guard let steps = Int(argument), (1...1_000_000).contains(steps) else {
            print("train-tiny: \(argument) is no number of steps from 1 to 1000000")
            exit(64)
        }
        var parameters = TrainableParameters()
        try parameters.add(from: InitialParameters(seed: 1)) { source in
            _ = try Parameters.load(from: source) { try Network($0) }
        }
        let optimizer = AdamW()
        let rate = LearningRate(peak: 2e-3, final: 1e-4, warmUp: 50, steps: steps)
        var random = RandomStream(seed: 1, name: "training")
        var (state, mean) = (OptimizerState(), Float(0))
        for step in 0..<steps {
            // The network is built anew of tracked parameters, which is what records gradients.
            let leaves = parameters.values.mapValues { $0.tracked() }
            let network = try Parameters.load(from: ParameterValues(leaves)) { try Network($0) }
            let loss = loss(network, &random)
            let gradients = try loss.gradients()
            let found = leaves.compactMapValues { gradients[$0] }
            optimizer.update(&parameters, &state, found) { _ in rate[step] }
            mean += loss.detached().elements[0] / 50
            guard step % 50 == 49 else { continue }
            print("step \(step + 1): loss \(mean)")
            mean = 0
        }
        let trained = ParameterValues(parameters.values)
        let network = try Parameters.load(from: trained) { try Network($0) }
        show(sample(network, labels: [0, 0, 1, 1, 2, 2], &random))
    }

    /// Prints images side by side: R, G or B for the strongest channel of a bright pixel.
    static func show(_ images: Tensor) {
        for row in 0..<side {
            let columns = (0..<images.shape[0] * side).map { column in
                let pixel = (0..<3).map { images[column / side, row, column % side, $0] }
                let strongest = (0..<3).max { pixel[$0] < pixel[$1] } ?? 0
                return pixel[strongest] > 0 ? ["R", "G", "B"][strongest] : "."
            }
            print(columns.joined())
        }
    }
}
