import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Stage A") struct StageATests {
    private static let pattern: [Float] = (0..<1440).map { index in
        Float(index * 37 % 101) / 100
    }

    @Test("images to latents of a quarter of their sides, and back")
    func shapes() throws {
        let stage = try TinyCascade.main().stageA()
        #expect(stage.pixelsPerPosition == 4)
        let latents = try stage.encode(Tensor(Self.pattern, [2, 12, 20, 3]))
        #expect(latents.shape == [2, 3, 5, 4] && latents.isFinite)
        #expect(try stage.decode(unscaled: latents).shape == [2, 12, 20, 3])
        let images = try stage.decode(ImageLatent(values: latents.scaled(by: 1 / 0.42)))
        #expect(images.map(\.size) == Array(repeating: ImageSize(width: 20, height: 12), count: 2))
    }

    @Test("the scale is applied to Stage B's latents, once")
    func scale() throws {
        let stage = try TinyCascade.main().stageA()
        let latents = try stage.encode(Tensor(Self.pattern, [2, 12, 20, 3]))
        let images = try stage.decode(ImageLatent(values: latents))
        let pixels = try stage.decode(unscaled: latents.scaled(by: 0.42)).elements
        let bytes = images.flatMap(\.pixels)
        #expect(
            zip(pixels, bytes).allSatisfy {
                abs(min(max($0, 0), 1) * 255 - Float($1)) < 1.001
            })
    }

    @Test("quantising gives the nearest code, and codes are their own nearest")
    func quantize() throws {
        let stage = try TinyCascade.main().stageA()
        let latents = try stage.encode(Tensor(Self.pattern, [2, 12, 20, 3]))
        let (indices, quantized) = stage.quantize(latents)
        #expect(indices.count == 30 && indices.allSatisfy { (0..<40).contains($0) })
        #expect(quantized.shape == latents.shape)
        let again = stage.quantize(quantized)
        #expect(again.indices == indices)
        #expect(again.quantized.elements == quantized.elements)
        // No other code that occurs is nearer.
        let (values, codes) = (latents.elements, quantized.elements)
        func distance(_ position: Int, _ code: Int) -> Float {
            (0..<4).reduce(0) {
                let difference = values[4 * position + $1] - codes[4 * code + $1]
                return $0 + difference * difference
            }
        }
        for position in 0..<30 {
            let own = distance(position, position)
            #expect((0..<30).allSatisfy { distance(position, $0) >= own * 0.9999 })
        }
    }

    @Test(
        "sides that are no multiples are refused, and the nearest named",
        arguments: [(11, 20, "20×12"), (12, 17, "16×12"), (1, 4, "4×4")])
    func sides(height: Int, width: Int, nearest: String) throws {
        let stage = try TinyCascade.main().stageA()
        expectError(.invalidRequest, "multiples of 4", "\(width)×\(height)", nearest) {
            _ = try stage.encode(Tensor(repeating: 0.5, [1, height, width, 3]))
        }
    }

    @Test("tensors of other channels or axes are refused")
    func channels() throws {
        let stage = try TinyCascade.main().stageA()
        for shape in [[1, 8, 8, 4], [1, 8, 8, 1], [8, 8, 3]] as [Shape] {
            expectError(.invalidRequest, "Stage A encodes", "\(shape)") {
                _ = try stage.encode(Tensor(repeating: 0, shape))
            }
        }
        for shape in [[1, 8, 8, 3], [8, 8, 4]] as [Shape] {
            expectError(.invalidRequest, "Stage A decodes", "\(shape)") {
                _ = try stage.decode(ImageLatent(values: Tensor(repeating: 0, shape)))
            }
        }
    }

    @Test("a latent that is not a number is no image", arguments: [.nan, .infinity] as [Float])
    func notFinite(value: Float) throws {
        let stage = try TinyCascade.main().stageA()
        var values = Tensor(repeating: 0, [2, 3, 3, 4])
        values.withUnsafeMutableElements { $0[41] = value }
        expectError(.notFinite, "Stage A") { _ = try stage.decode(ImageLatent(values: values)) }
    }
}
