import TensorCore
import Wuerstchen

/// A tiny random cascade with a semantic compressor, in a latent space that is not the published
/// one: 42.67 pixels to a position, and 16 pixels to a position of the image latent.
enum EditableCascade {
    static let space = SemanticLatentSpace(scale: 3, offset: 0.5)

    private static let loaded = Result { try make() }

    static func load() throws -> Cascade { try loaded.get() }

    private static func make() throws -> Cascade {
        let tiny = try TinyCascade.load()
        guard let decoder = tiny.decoder as? DiffusionDecoder else { return tiny }
        var c = try tiny.stageC().configuration
        c.latentChannels = SemanticCompressor.latentChannels
        var b = try decoder.stageB().configuration
        b.semanticChannels = SemanticCompressor.latentChannels
        let stageA = try decoder.stageA()
        let stageC = try StageC(
            configuration: c, parameters: RandomParameters(seed: 1), latentSpace: space)
        let stageB = try StageB(
            configuration: b, parameters: RandomParameters(seed: 2), latentSpace: space)
        let compressor = try SemanticCompressor(
            architecture: .residual, parameters: RandomParameters(seed: 3),
            // A space of its own, which must not matter.
            latentSpace: SemanticLatentSpace(scale: 7))
        return Cascade(
            name: "editable", textEncoder: tiny.textEncoder, stageC: Part(stageC),
            decoder: DiffusionDecoder(
                textEncoder: decoder.textEncoder, stageB: Part(stageB), stageA: Part(stageA),
                configuration: b, latentSpace: space, pixelsPerPosition: stageA.pixelsPerPosition),
            compressor: Part(compressor), latentSpace: space,
            defaultSize: ImageSize(width: 128, height: 128))
    }

    /// An image that varies everywhere.
    static func image(_ width: Int = 128, _ height: Int = 128) throws -> Image {
        try Image(
            width: width, height: height,
            pixels: (0..<width * height).flatMap { index -> [UInt8] in
                let (x, y) = (index % width, index / width)
                return [
                    UInt8(x * 255 / width), UInt8(y * 255 / height), x / 16 % 2 == 0 ? 40 : 200,
                ]
            })
    }

    static func request(_ edit: ImageEdit?, seed: UInt64 = 7, count: Int = 1) throws
        -> GenerationRequest
    {
        var request = try TinyCascade.request(seed: seed, count: count, stageCSteps: 4)
        request.size = nil
        request.edit = edit
        return request
    }
}
