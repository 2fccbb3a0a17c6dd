import Foundation
import TensorCore

/// A previewer of three layers in the published layout: one that doubles the sides between two of
/// kernel 1 and 3.
enum PreviewParameters {
    static func write(to file: URL, latentChannels: Int) throws {
        let width = 4
        var shapes: [String: [Int]] = [
            "blocks.0.weight": [width, latentChannels, 1, 1], "blocks.0.bias": [width],
            "blocks.3.weight": [width, width, 2, 2], "blocks.3.bias": [width],
            "blocks.6.weight": [3, width, 3, 3], "blocks.6.bias": [3],
        ]
        for norm in ["blocks.2", "blocks.5"] {
            for part in ["weight", "bias", "running_mean", "running_var"] {
                shapes["\(norm).\(part)"] = [width]
            }
        }
        let sources = shapes.map { name, shape in
            let count = shape.reduce(1, *)
            let isVariance = name.hasSuffix("running_var")
            let values: [Float] = (0..<count).map { index in
                let step = (index * 7 + 3) % 11 - 5
                return isVariance ? 1 : Float(step) / 10
            }
            return Safetensors.Source(name: name, elementType: .f32, shape: shape) { write in
                try values.withUnsafeBytes(write)
            }
        }
        try Safetensors.write(sources, to: file)
    }
}
