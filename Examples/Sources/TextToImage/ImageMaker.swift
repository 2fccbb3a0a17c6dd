import Foundation
import Wuerstchen
import WuerstchenTraining

/// Makes the images of requests, one request after the other, and writes them.
struct ImageMaker {
    let cascade: Cascade
    /// Where the images go; nil for nowhere.
    let target: OutputFiles?
    let previews: PreviewFolder?
    /// Whether images are kept for a sheet.
    let keepsImages: Bool
    let progress: Progress
    let watch: Watch?
    /// The images, if they are kept.
    private(set) var sheet = ContactSheet(title: "text-to-image")
    /// The image that was made last.
    private(set) var last: Image?
    /// Steps that had previews, of all requests.
    private var previewed = 0

    init(
        cascade: Cascade, target: OutputFiles?, previews: PreviewFolder?, keepsImages: Bool,
        progress: Progress, watch: Watch?
    ) {
        self.cascade = cascade
        self.target = target
        self.previews = previews
        self.keepsImages = keepsImages
        self.progress = progress
        self.watch = watch
    }

    /// Makes the images of a request and writes them.
    ///
    /// - Parameters:
    ///   - request: The images.
    ///   - first: The place of the first of them among all.
    ///   - events: Where what happens is said.
    /// - Throws: What making and writing them throws.
    mutating func make(
        _ request: GenerationRequest, first: Int, _ events: inout Events
    ) async throws {
        // Before the work: what cannot be recorded must not cost an image.
        _ = try cascade.record(of: request)
        events.start(request, cascade)
        var kept: [Image] = []
        for try await event in cascade.generation(of: request) {
            switch event {
            case .step(let step):
                if step.index == 0 { progress.note(step.promptFindings) }
                try watch?.show(step, cascade.previewDecoder)
                progress.show(step)
                events.step(step)
                if let previews, let latent = step.semanticLatent {
                    let files = try previews.write(
                        cascade.previewDecoder.decode(latent), step: previewed)
                    for file in files { events.preview(file) }
                    previewed += 1
                }
            case .images(let images, let index):
                progress.finish()
                if let first = images.first { try watch?.finish(first) }
                if keepsImages { kept += images }
                last = images.last
                for (index, image) in zip(index..., images) {
                    let place = first + index
                    try target?.write(
                        image, place, text: cascade.metadata(of: request, image: index))
                    guard let file = target?[place] else { continue }
                    progress.note(file.path)
                    events.image(file, seed: request.seed &+ UInt64(index))
                }
            }
        }
        sheet.addRow(
            request.prompt, kept,
            captions: kept.indices.map { "seed \(request.seed &+ UInt64($0))" })
    }
}
