import Foundation
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("The record in an image") struct MetadataTests {
    @Test("a request is read back from the PNG as it was")
    func roundTrip() throws {
        let cascade = try TinyCascade.load()
        let prompt = "ein rotes Haus, “zwei Bäume”\n\t家 👩‍👩‍👧"
        let request = try TinyCascade.request(
            prompt, negativePrompt: "", size: ImageSize(width: 129, height: 130), seed: .max,
            count: 2, stageCSteps: 1, stageBSteps: 1)
        let images = try cascade.makeImages(for: request)
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("\(UUID().uuidString).png")
        defer { try? FileManager.default.removeItem(at: file) }
        for (index, image) in images.enumerated() {
            let record = try cascade.metadata(of: request, image: index)
            try image.write(to: file, text: record)
            let (read, text, _) = try Image.read(contentsOf: file)
            #expect(read == image)
            #expect(text == Dictionary(uniqueKeysWithValues: record.map { ($0.key, $0.value) }))
            #expect(text["prompt"] == prompt)
            #expect(text["negative prompt"] == "")
            // The second image's own seed, which makes it again.
            #expect(text["seed"] == (index == 0 ? "18446744073709551615" : "0"))
            #expect(text["size"] == "129x130")
            #expect(text["stage C steps"] == "1" && text["stage C guidance"] == "3.0")
            #expect(text["stage C sampling"] == "ddpm" && text["stage B sampling"] == "ddpm")
            #expect(text["stage B steps"] == "1" && text["stage B guidance"] == "0.0")
            #expect(text["checkpoint"] == "checkpoint")
        }
    }
}
