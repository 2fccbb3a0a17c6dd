import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Semantic compressor") struct CompressorTests {
    /// Makes parameters up and notes their names.
    private final class Asked: ParameterSource {
        let origin = "made up"
        let names: Set<String>? = nil
        private(set) var all: Set<String> = []

        func parameter(_ request: ParameterRequest) throws -> FoundParameter {
            all.insert(request.name)
            return RandomParameters(seed: 4).parameter(request)
        }
    }

    /// The small compressor, told apart by the names of its parameters, which it lists.
    private struct Small: ParameterSource {
        let origin = "made up"
        let names: Set<String>?

        /// The names are those that the network asks for.
        static func make() throws -> Small {
            let asked = Asked()
            _ = try SemanticCompressor(architecture: .residual, parameters: asked)
            return Small(names: asked.all)
        }

        func parameter(_ request: ParameterRequest) throws -> FoundParameter {
            guard names?.contains(request.name) == true else { return .missing }
            return RandomParameters(seed: 4).parameter(request)
        }
    }

    private static func image(_ width: Int, _ height: Int) throws -> Image {
        try Image(
            width: width, height: height,
            pixels: (0..<3 * width * height).map { UInt8(truncatingIfNeeded: $0 &* 31 / 7) })
    }

    @Test(
        "a latent has a position for each 32 pixels of three quarters of the sides",
        arguments: [(43, 43), (85, 43), (86, 43), (128, 171), (256, 130)])
    func sizes(width: Int, height: Int) throws {
        let space = SemanticLatentSpace(scale: 2, offset: 0.5)
        let compressor = try SemanticCompressor(parameters: Small.make(), latentSpace: space)
        let latent = try compressor.encode(Self.image(width, height))
        #expect(latent.values.shape == [1, height * 3 / 4 / 32, width * 3 / 4 / 32, 16])
        #expect(latent.values.isFinite && latent.space == space)
    }

    @Test("too small an image is refused", arguments: [(42, 100), (100, 42), (1, 1)])
    func tooSmall(width: Int, height: Int) throws {
        let compressor = try SemanticCompressor(parameters: Small.make())
        expectError(.invalidRequest, "43", "\(width)×\(height)") {
            _ = try compressor.encode(Self.image(width, height))
        }
    }

    @Test("what Stage B takes and the latent are scaled forms of each other")
    func spaces() {
        let values = Tensor([-1, 0, 0.5, 2], [1, 1, 1, 4])
        let space = SemanticLatentSpace(scale: 42, offset: 1)
        let latent = SemanticLatent(values: values, space: space)
        #expect(latent.embedding.elements == [-43, -1, 20, 83])
        #expect(
            zip(
                SemanticLatent(embedding: latent.embedding, space: space).values.elements,
                values.elements
            ).allSatisfy { abs($0 - $1) < 1e-6 })
        #expect(latent.grid == SemanticGrid(rows: 1, columns: 1))
    }

    @Test("a space that is none is refused", arguments: [0, .nan, .infinity] as [Float])
    func wrongSpace(scale: Float) {
        expectError(.invalidConfiguration, "latent_mean") {
            _ = try SemanticCompressor(
                parameters: RandomParameters(seed: 4),
                latentSpace: SemanticLatentSpace(scale: scale))
        }
    }
}
