import ExampleSupport
import Wuerstchen
import WuerstchenMiniature
import WuerstchenTraining

/// Whole images of the small cascade, from a sentence to pixels, with networks loaded.
enum MiniatureBenchmark {
    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        let cascade = try Cascade.miniature(precision: precision)
        let request = GenerationRequest("a red house on the left under a full moon", seed: 3)
        let whole = try table.measureTime("an image", precision) {
            _ = try cascade.makeImages(for: request)
        }
        // What Stages B and A take, and the preview decoder in their place.
        let latent = try cascade.stageC().sample(
            cascade.textEncoder().encode(request.prompt), imageSize: cascade.defaultSize, seed: 3)
        let decoding = try table.measureTime("Stages B and A", precision) {
            _ = try cascade.decoder.decode(latent, for: request)
        }
        let preview = try table.measureTime("the preview decoder", precision) {
            _ = try cascade.previewDecoder.decode(latent)
        }
        table.note(
            "the preview decoder takes \((100 * preview / decoding).rounded(to: 1)) % of Stages B and A"
        )
        let likeness = try Double(
            peakSignalToNoise(
                cascade.previewDecoder.decode(latent)[0].resized(to: cascade.defaultSize).tensor,
                cascade.decoder.decode(latent, for: request)[0].tensor))
        table.note("its image is at \(likeness.rounded(to: 1)) dB of theirs")
        let students = try Cascade.miniature(.fewSteps, precision: precision)
        let fast = try table.measureTime("an image by the students", precision) {
            _ = try students.makeImages(for: request)
        }
        table.note("\((whole / fast).rounded(to: 1)) times as fast")
        try measureParts(of: students, request, precision, &table)
    }

    /// What the students' image is made of.
    private static func measureParts(
        of cascade: Cascade, _ request: GenerationRequest, _ precision: Precision,
        _ table: inout ResultTable
    ) throws {
        guard let decoder = cascade.decoder as? DiffusionDecoder else { return }
        let text = try cascade.textEncoder().encode(request.prompt)
        let latent = try cascade.stageC().sample(text, imageSize: cascade.defaultSize, seed: 3)
        let readsText = try decoder.stageB.description().readsText
        let forB = try readsText ? decoder.textEncoder().encode(request.prompt) : nil
        let image = try decoder.stageB().sample(latent, text: forB, seed: 3)
        try table.measureTime("  the text encoder of Stage C", precision) {
            _ = try cascade.textEncoder().encode(request.prompt)
        }
        try table.measureTime("  Stage C", precision) {
            _ = try cascade.stageC().sample(text, imageSize: cascade.defaultSize, seed: 3)
        }
        if readsText {
            try table.measureTime("  the text encoder of Stage B", precision) {
                _ = try decoder.textEncoder().encode(request.prompt)
            }
        }
        try table.measureTime("  Stage B", precision) {
            _ = try decoder.stageB().sample(latent, text: forB, seed: 3)
        }
        try table.measureTime("  Stage A", precision) { _ = try decoder.stageA().decode(image) }
    }
}
