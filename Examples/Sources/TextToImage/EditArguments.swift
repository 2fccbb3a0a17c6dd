import ArgumentParser
import Foundation
import Wuerstchen

/// The image that a request starts from, and what is done with it.
struct EditArguments: ParsableArguments {
    @Option(
        help: """
            A PNG, JPEG or WebP to redraw to the prompt. It is resized and cut to --width and \
            --height; without them its own size counts. Its transparent pixels are the mask where \
            --mask names none.
            """)
    var image: String?

    @Option(
        help: """
            How far --image or the content of --vary is redrawn, from 0, not at all, to 1, which \
            leaves nothing of it. (default: 0.6, under a mask 1, and 0 for --vary)
            """)
    var strength: Float?

    @Option(
        help: """
            An image of the size of --image, such as a PNG: what is transparent in it is redrawn, or, if nothing is, \
            what is white. All other pixels stay exactly as they are.
            """)
    var mask: String?

    @Option(
        help: """
            The width in pixels of the soft seam within the mask. (default: 8, and none where the \
            image's own transparent pixels are the mask)
            """)
    var seam: Int?

    @Option(
        help: """
            An image to make others of the same content of: Stage B draws what the semantic compressor \
            keeps of it. A prompt need not be given.
            """)
    var vary: String?

    @Option(
        help: """
            An image to send through Stage A and back, which shows what any edit can keep of it. A \
            prompt need not be given.
            """)
    var reconstruct: String?

    /// Whether the image says what to make.
    var isPromptOptional: Bool { vary != nil || reconstruct != nil }

    /// The image's file.
    var source: URL? {
        (image ?? vary ?? reconstruct).map { URL(fileURLWithPath: $0) }
    }

    /// The files that are read.
    var files: [String] { [image, mask, vary, reconstruct].compactMap { $0 } }

    func validate() throws {
        guard [image, vary, reconstruct].compactMap({ $0 }).count <= 1 else {
            throw ValidationError("--image, --vary and --reconstruct exclude each other")
        }
        guard strength == nil || image != nil || vary != nil else {
            throw ValidationError("--strength is for --image or --vary")
        }
        guard image != nil || mask == nil && seam == nil else {
            throw ValidationError("--mask and --seam are for --image")
        }
        guard image == nil || strength != 0 else {
            throw ValidationError("--strength 0 changes nothing of --image; give more, up to 1")
        }
    }

    /// The edit; nil for none. `note` gets what is wrong with the image's file beside its pixels.
    func edit(noting note: (String) -> Void) throws -> ImageEdit? {
        func read(_ path: String) throws -> Image {
            let (image, _, notes) = try Image.read(
                contentsOf: URL(fileURLWithPath: path), keepsText: false)
            notes.forEach(note)
            return image
        }
        if let vary { return .variation(of: try read(vary), strength: strength ?? 0) }
        if let reconstruct { return .reconstruction(of: try read(reconstruct)) }
        guard let image else { return nil }
        let given = try mask.map { try ImageMask(contentsOf: URL(fileURLWithPath: $0)) }
        let area = try given ?? ImageMask(transparencyOf: URL(fileURLWithPath: image))
        guard seam == nil || area != nil else {
            throw ValidationError("--seam is for a mask, and \(image) has no transparent pixels")
        }
        var edit = ImageEdit.redraw(
            try read(image), strength: strength ?? (area == nil ? 0.6 : 1), mask: area)
        // Transparent pixels of the image itself have no colour that a seam could begin with.
        if let seam = seam ?? (given == nil ? 0 : nil) { edit.seam = seam }
        return edit
    }
}
