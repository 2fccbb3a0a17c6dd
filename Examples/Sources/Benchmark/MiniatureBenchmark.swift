import Foundation
import Wuerstchen
import WuerstchenMiniature

/// Whole pictures of the small cascade, from a sentence to pixels, with networks loaded.
enum MiniatureBenchmark {
    static func run(_ precision: Precision, _ table: inout ResultTable) throws {
        let cascade = try Cascade.miniature(precision: precision)
        let request = GenerationRequest("a red house on the left under a full moon", seed: 3)
        let whole = try table.measureTime("a picture", precision) {
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
        table.note("the preview decoder takes \(percent(preview / decoding)) of Stages B and A")
        let likeness = try peakSignalToNoise(
            cascade.previewDecoder.decode(latent)[0].resized(to: cascade.defaultSize),
            cascade.decoder.decode(latent, for: request)[0])
        table.note("its picture is at \(decibels(likeness)) dB of theirs")
        let students = try Cascade.fastMiniature(precision: precision)
        let fast = try table.measureTime("a picture by the students", precision) {
            _ = try students.makeImages(for: request)
        }
        table.note("\(decibels(whole / fast)) times as fast")
    }

    private static func percent(_ share: Double) -> String { "\(decibels(100 * share)) %" }

    private static func decibels(_ value: Double) -> String {
        "\((10 * value).rounded() / 10)"
    }

    /// In decibels, of samples of 0…255.
    private static func peakSignalToNoise(_ a: Image, _ b: Image) -> Double {
        let squares = zip(a.pixels, b.pixels).reduce(0.0) {
            let difference = Double($1.0) - Double($1.1)
            return $0 + difference * difference
        }
        let mean = squares / Double(max(1, a.pixels.count))
        return mean > 0 ? 10 * log10(255 * 255 / mean) : .infinity
    }
}
