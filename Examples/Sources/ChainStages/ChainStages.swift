// Chains the stages by hand, and shows a preview while the full decoder is still to come:
//     swift run -c release --package-path Examples chain-stages CHECKPOINT "a red house"

import ExampleSupport
import Foundation
import Wuerstchen

@main struct ChainStages {
    static func main() {
        guard CommandLine.arguments.count == 3 else {
            print("usage: chain-stages CHECKPOINT PROMPT")
            exit(2)
        }
        do {
            try chain(CommandLine.arguments[1], CommandLine.arguments[2])
        } catch {
            print("chain-stages: \(error)")
            exit(1)
        }
    }

    static func chain(_ checkpoint: String, _ prompt: String) throws {
        let (previewFile, file) = (
            URL(fileURLWithPath: "preview.png"), URL(fileURLWithPath: "image.png")
        )
        try requireOwn([previewFile, file], or: "move it away first")
        let cascade = try Cascade(contentsOf: URL(fileURLWithPath: checkpoint))
        let size = cascade.defaultSize

        // Text to semantic latent: what the image shows is decided here.
        let text = try cascade.textEncoder().encode(prompt, negative: "blurry")
        let semantic = try cascade.stageC().sample(text, imageSize: size, seed: 7)

        // The tiny decoder stands in for Stage B while the user waits.
        let preview = try cascade.previewDecoder.decode(semantic)[0]
        try preview.write(to: previewFile, text: [Image.software])
        print("preview.png, \(preview.size) pixels")

        // Semantic latent to image latent to pixels, cut to the size that was asked for.
        guard let decoder = cascade.decoder as? DiffusionDecoder else { return }
        let details = try decoder.textEncoder().encode(prompt, negative: "")
        let latent = try decoder.stageB().sample(semantic, text: details, seed: 7)
        let image = try decoder.stageA().decode(latent)[0].cropped(to: size)
        try image.write(to: file, text: [Image.software])
        print("image.png, \(image.size) pixels")
    }
}
