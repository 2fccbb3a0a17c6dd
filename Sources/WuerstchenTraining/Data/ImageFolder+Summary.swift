internal import Foundation
internal import TensorCore
public import Wuerstchen

extension ImageFolder {
    /// What was found in the folder, whose captions are all read for it.
    ///
    /// - Parameter tokenizer: What captions will be split with, to tell which are cut; nil to leave
    ///   that out.
    /// - Returns: The numbers, held-out images included, with an example of whatever is unusual.
    public func summary(tokenizer: CLIPTokenizer? = nil) -> FolderSummary {
        FolderSummary(
            url: url, images: imageSummary,
            captions: options.readsCaptions ? captionSummary(tokenizer) : nil)
    }

    /// A fingerprint of what batches are made of: of the images' names, of their sizes in pixels
    /// and bytes, and of their captions. Sixteen hexadecimal digits.
    public var fingerprint: String {
        let images = buckets.flatMap(\.images)
        let parts = concurrentMap(images.count) { index in
            let bytes = (try? requireRegularFile(url.file(images[index].name))) ?? 0
            return (bytes: bytes, caption: caption(of: images[index]))
        }
        var hash = FNV1a()
        for (image, part) in zip(images, parts) {
            hash.add(field: image.name.precomposedStringWithCanonicalMapping)
            hash.add(field: "\(image.size) \(part.bytes)")
            hash.add(field: part.caption)
        }
        return hash.digits
    }

    private var imageSummary: FolderSummary.Images {
        let images = listing.images
        func pixels(_ image: ImageFile) -> Int { image.size.width * image.size.height }
        let byPixels = images.sorted { pixels($0) < pixels($1) }
        // There is at least one image.
        let (smallest, largest) = (byPixels[0].size, byPixels[byPixels.count - 1].size)
        return FolderSummary.Images(
            count: images.count, heldOutCount: images.count(where: \.isHeldOut),
            isTooSmallToHoldOut: isTooSmallToHoldOut, smallestSize: smallest, largestSize: largest,
            buckets: Self.buckets(images, options).map {
                FolderSummary.Images.Bucket(size: $0.size, count: $0.images.count)
            }, findings: listing.findings)
    }

    private enum CaptionState { case missing, empty, unreadable, cut, whole }

    private func captionSummary(_ tokenizer: CLIPTokenizer?) -> FolderSummary.Captions {
        let images = listing.images
        let states = concurrentMap(images.count) { index -> CaptionState in
            guard images[index].caption != nil else { return .missing }
            guard let text = try? captionText(of: images[index]) else { return .unreadable }
            guard !text.isEmpty else { return .empty }
            return tokenizer?.encode(text).isTruncated == true ? .cut : .whole
        }
        func files(_ state: CaptionState) -> FolderSummary.Finding? {
            FolderSummary.Finding(
                images.indices.filter { states[$0] == state }
                    .map { images[$0].caption?.place ?? images[$0].name })
        }
        return FolderSummary.Captions(
            count: states.count { $0 == .whole || $0 == .cut }, missing: files(.missing),
            empty: files(.empty), cut: files(.cut), unreadable: files(.unreadable),
            strays: listing.strayCaptions, tokenLimit: tokenizer?.length)
    }
}
