import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// A published model's keys and shapes, with zeros for values: all parameters are parts of one
/// tensor, so that a full-size network takes little memory.
struct PublishedShapes: ParameterSource {
    let origin: String
    let names: Set<String>?
    let hasValues = false
    private let shapes: [String: [Int]]
    private let zeros: Tensor

    init(_ name: String, _ part: JSON) throws {
        origin = "published \(name)"
        let tensors = try #require(part["tensors"]?.object)
        shapes = tensors.mapValues { entry in
            (entry.array?.last?.array ?? []).compactMap(\.int)
        }
        names = Set(shapes.keys)
        zeros = Tensor(repeating: 0, [shapes.values.map { $0.reduce(1, *) }.max() ?? 0])
    }

    func parameter(_ request: ParameterRequest) throws -> FoundParameter {
        let (name, shape) = (request.name, request.shape)
        guard let stored = shapes[name] else { return .missing }
        return stored == shape.array
            ? .found(zeros[0..<shape.count].reshaped(to: shape)) : .misshapen("\(stored)")
    }
}

/// Builds the network that the published configuration describes: it must ask for exactly the
/// published parameters.
func checkPublishedPart(_ name: String, _ part: JSON, _ parameters: PublishedShapes) throws {
    let configuration = try JSONSerialization.data(
        withJSONObject: part["config"]?.object?.mapValues(\.any) ?? [:])
    let decoder = JSONDecoder()
    switch name {
    case "prior":
        _ = try StageC(
            configuration: decoder.decode(StageC.Configuration.self, from: configuration),
            parameters: parameters)
    case "decoder":
        _ = try StageB(
            configuration: decoder.decode(StageB.Configuration.self, from: configuration),
            parameters: parameters)
    case "vqgan":
        _ = try StageA(
            configuration: decoder.decode(StageA.Configuration.self, from: configuration),
            parameters: parameters)
    case "prior_text_encoder", "decoder_text_encoder":
        _ = try CLIPTextModel(
            configuration: decoder.decode(CLIPTextModel.Configuration.self, from: configuration),
            parameters: parameters)
    case "semantic_compressor":
        _ = try SemanticCompressor(parameters: parameters)
    default: Issue.record("the suite knows no published part \(name)")
    }
}
