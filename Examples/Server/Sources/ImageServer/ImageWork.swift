import Wuerstchen

/// What the queue keeps of a request: no more of its image than the images that are made need.
struct ImageWork: Sendable {
    /// The request, with image and mask in the size of what is made.
    let request: GenerationRequest
    /// What the file of each image says about it, of the image as it was sent.
    let metadata: [[(key: String, value: String)]]
    /// Whether Stage C's previews are sent.
    let previews: Bool

    /// The work on a request.
    ///
    /// - Throws: `WuerstchenError`.
    init(_ request: GenerationRequest, _ cascade: Cascade, previews: Bool) throws {
        metadata = try (0..<request.count).map { try cascade.metadata(of: request, image: $0) }
        var request = request
        if let edit = request.edit, let size = request.size {
            request.edit?.image = try edit.image.fitted(to: size)
            request.edit?.mask = try edit.mask.map { try ImageMask($0.image.fitted(to: size)) }
        }
        self.request = request
        self.previews = previews
    }
}
