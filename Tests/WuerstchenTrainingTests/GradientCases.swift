import Foundation
import TensorCore
import WuerstchenNN
import _WuerstchenTestSupport

/// A small network of the reference implementation with random parameters, a loss, and the loss's
/// gradients, as `Tests/Reference/make_gradients.py` wrote them to `Fixtures/gradients`.
///
/// Tensors are in PyTorch's layout. The case is a source of its own parameters.
struct GradientCase: ParameterSource, Sendable, CustomStringConvertible {
    /// The files' names.
    static let names = [
        "adamw", "mbconv", "muon", "residual_block", "stage_a", "stage_a_decoder", "stage_b",
        "stage_c",
        "text",
    ]

    private static let directory = (Bundle.module.resourceURL ?? URL(fileURLWithPath: "."))
        .appendingPathComponent("Fixtures/gradients")

    /// What a file says about itself.
    private struct Description: Decodable {
        let purpose: String
        let zeroGradients: Set<String>
        let float32Error: Double?

        enum CodingKeys: String, CodingKey {
            case purpose
            case zeroGradients = "zero_gradients"
            case float32Error = "float32_error"
        }
    }

    /// The part of the description whose type depends on the case.
    private struct Configured<Configuration: Decodable>: Decodable {
        let configuration: Configuration
    }

    let name: String
    /// What the loss is.
    let purpose: String
    /// Weights and buffers under their published names.
    let parameters: [String: Tensor]
    /// What the network and the loss are given.
    let inputs: [String: Tensor]
    /// The loss; nil for a case that has none.
    let loss: Float?
    /// The loss's gradient for every weight. Buffers have none.
    let gradients: [String: Tensor]
    /// The loss's gradient for the inputs that one flows into.
    let inputGradients: [String: Tensor]
    /// Whatever else the case is about, such as what the network predicts.
    let results: [String: Tensor]
    /// Weights whose gradient vanishes, so that only an absolute error means anything.
    let zeroGradients: Set<String>
    /// How far the reference's gradients in single precision are from those in double, which are
    /// the ones that are stored: the largest error in a tensor over its largest element, at the
    /// worst tensor.
    let float32Error: Double?
    private let document: Data

    /// Reads a case.
    init(_ name: String) throws {
        let file = GradientCase.directory.appendingPathComponent(name + ".safetensors")
        let tensors = try CaseTensors(contentsOf: file)
        document = Data((tensors.metadata["case"] ?? "{}").utf8)
        let description = try JSONDecoder().decode(Description.self, from: document)
        self.name = name
        purpose = description.purpose
        parameters = try tensors.all("parameter.")
        inputs = try tensors.all("input.")
        loss = try tensors.optional("loss")?.elements.first
        gradients = try tensors.all("gradient.")
        inputGradients = try tensors.all("input_gradient.")
        results = try tensors.all("result.")
        zeroGradients = description.zeroGradients
        float32Error = description.float32Error
    }

    /// The architecture's numbers, named as in the part's `config.json`.
    func configuration<Configuration: Decodable>(
        _ type: Configuration.Type = Configuration.self
    ) throws -> Configuration {
        try JSONDecoder().decode(Configured<Configuration>.self, from: document).configuration
    }

    /// An input as it is stored.
    func input(_ name: String) throws -> Tensor { try find(name, in: inputs) }

    /// An input that is a map, with its channels last.
    func map(_ name: String) throws -> Tensor { try input(name).channelsLast() }

    /// An input of whole numbers, in rows of its last axis.
    func rows(_ name: String) throws -> [[Int]] {
        let tensor = try input(name)
        let (values, length) = (tensor.elements.map { Int($0) }, tensor.shape.channels)
        return stride(from: 0, to: values.count, by: length).map { Array(values[$0..<$0 + length]) }
    }

    /// One of the results as it is stored.
    func result(_ name: String) throws -> Tensor { try find(name, in: results) }

    private func find(_ name: String, in tensors: [String: Tensor]) throws -> Tensor {
        guard let tensor = tensors[name] else {
            throw FixtureProblem(
                "\(self.name) has no \(name) among \(tensors.keys.sorted().joined(separator: ", "))"
            )
        }
        return tensor
    }

    var description: String { name }

    // ParameterSource

    var origin: String { name }

    var names: Set<String>? { Set(parameters.keys) }

    func parameter(_ request: ParameterRequest) -> FoundParameter {
        let (name, shape) = (request.name, request.shape)
        guard let tensor = parameters[name] else { return .missing }
        return tensor.shape == shape ? .found(tensor) : .misshapen("\(tensor.shape)")
    }
}
