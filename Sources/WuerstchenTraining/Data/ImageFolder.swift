public import Foundation
import TensorCore
public import Wuerstchen

/// A folder of PNG, JPEG and WebP files of any sizes, each with its caption in a text file of the
/// same name.
///
/// An image `sausage.png` has its caption in `sausage.txt` or `sausage.caption`, in UTF-8 or in
/// UTF-16 with a byte order mark; or in a line of `metadata.jsonl` such as
/// `{"file_name": "sausage.png", "text": "a sausage"}`; or an empty one. Files that cannot be used
/// are named once and skipped: most when the folder is opened, from their headers, and those whose
/// pixels turn out damaged when they are met. (What is damaged beside the pixels alone is named,
/// and used.) A skipped file's place is taken by the next good one of
/// the folder, so that a batch stays a function of its number, the seed and the files alone.
/// ``summary(tokenizer:)`` says what there is before any of it is used.
public struct ImageFolder: ImageSource {
    /// The folder.
    public let url: URL
    /// How batches are made.
    public let options: ImageFolderOptions
    /// Whether these are the held-out images.
    public let isValidation: Bool

    let buckets: [Bucket]
    private let heldOut: [Bucket]
    let problems: ImageProblems
    let listing: ImageListing
    let isTooSmallToHoldOut: Bool

    /// The images that batches of one size are made of.
    struct Bucket {
        let size: ImageSize
        let images: [ImageFile]
    }

    /// Opens a folder, for the images in it that are not held out.
    ///
    /// - Parameters:
    ///   - url: The folder.
    ///   - options: How batches are made.
    ///   - report: Called with a sentence about each file that cannot be used, once for each; from
    ///     any thread.
    /// - Throws: `WuerstchenError` when the options contradict themselves or the folder has no
    ///   image that can be used.
    public init(
        _ url: URL, options: ImageFolderOptions = ImageFolderOptions(),
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        try options.validate()
        let problems = ImageProblems(report: report)
        var listing = try ImageListing(url, options, problems: problems)
        listing.leaveOutTooSmall(options, in: url, problems: problems)
        guard !listing.images.isEmpty else {
            throw WuerstchenError(
                .invalidRequest,
                "\(url.path) has no image that is large enough; choose a smaller size, allow more "
                    + "enlargement or add larger images")
        }
        isTooSmallToHoldOut = options.holdsOutTooMany(
            listing.images.count(where: \.isHeldOut), of: listing.images.count)
        if isTooSmallToHoldOut {
            for index in listing.images.indices { listing.images[index].isHeldOut = false }
        }
        self.url = url
        self.options = options
        self.problems = problems
        self.listing = listing
        isValidation = false
        buckets = Self.buckets(Self.repeated(listing.images), options)
        heldOut = Self.buckets(listing.images.filter(\.isHeldOut), options)
    }

    /// The images held out for validation, always cropped in the middle and never mirrored; nil
    /// where there are none.
    public var validation: ImageFolder? {
        isValidation || heldOut.isEmpty ? nil : ImageFolder(validationOf: self)
    }

    private init(validationOf folder: ImageFolder) {
        url = folder.url
        options = folder.options
        problems = folder.problems
        listing = folder.listing
        isTooSmallToHoldOut = folder.isTooSmallToHoldOut
        isValidation = true
        buckets = folder.heldOut
        heldOut = []
    }

    static func buckets(
        _ images: [ImageFile], _ options: ImageFolderOptions
    ) -> [Bucket] {
        let sizes = options.batchSizes
        let groups = Dictionary(grouping: images) { sizes.nearest(to: $0.size) ?? 0 }
        return groups.sorted { $0.key < $1.key }
            .map { Bucket(size: sizes[$0.key], images: $0.value) }
    }

    /// The images to learn from, each as often as it counts.
    private static func repeated(_ images: [ImageFile]) -> [ImageFile] {
        images.flatMap { $0.isHeldOut ? [] : Array(repeating: $0, count: $0.repeats) }
    }

    /// The number of images.
    public var imageCount: Int { buckets.reduce(0) { $0 + $1.images.count } }

    /// The sizes that batches have, and how many images there are for each.
    public var bucketCounts: [(size: ImageSize, count: Int)] {
        buckets.map { ($0.size, $0.images.count) }
    }

    /// A batch of images of one size.
    ///
    /// Every image is seen once before any is seen again, as nearly as batches of one size allow.
    ///
    /// - Parameters:
    ///   - number: Which batch, from 0.
    ///   - count: How many images, at least one.
    /// - Returns: The images, the same for the same number and count.
    /// - Throws: `CancellationError` when the task is cancelled, or `WuerstchenError` when no image
    ///   can be read any more.
    public func batch(_ number: Int, count: Int) throws -> ImageBatch {
        try firstReadableBucket(for: number, count: count) { bucket, indices in
            try read(indices, of: buckets[bucket], number: number)
        }
    }

    /// What a function makes of the images of a batch, given as a bucket's index and the images'
    /// indices within it. Where it gives nil, another bucket takes its turn.
    ///
    /// - Throws: What the function throws, or `WuerstchenError` when it gives nil for all.
    func firstReadableBucket<Result>(
        for number: Int, count: Int, _ make: (Int, [Int]) throws -> Result?
    ) throws -> Result {
        precondition(number >= 0 && count > 0, "batch \(number) of \(count) images")
        let schedule = BatchSchedule(
            bucketCounts: buckets.map(\.images.count), count: count, seed: options.seed)
        let place = schedule.place(of: number)
        for offset in buckets.indices {
            let bucket = (place.bucket + offset) % buckets.count
            if let result = try make(bucket, schedule.images(of: place, in: bucket)) {
                return result
            }
        }
        throw nothingReadable
    }

    /// The images with these indices, or nil where none of the bucket can be read.
    private func read(_ indices: [Int], of bucket: Bucket, number: Int) throws -> ImageBatch? {
        typealias Found = (pixels: Tensor, caption: String)
        let found = try cancellableMap(indices.count) { place -> Found? in
            var random = ImageRandom(seed: options.seed, .framing, number, place)
            let mirrors = random.below(2) == 1 && options.mirrors && !isValidation
            let crops = options.crop == .random && !isValidation
            return firstReadable(from: indices[place], of: bucket) { image, decoded in
                let framing = ImageFraming(of: decoded.size, to: bucket.size, for: options.sizes)
                var position = crops ? random : nil
                let part = try framing.apply(to: decoded, random: &position, mirrors: mirrors)
                return (
                    part.tensor,
                    worded(caption(of: bucket.images[image]), number: number, place: place)
                )
            }
        }.compactMap(\.self)
        guard found.count == indices.count else { return nil }
        return ImageBatch(
            pixels: .concatenating(found.map(\.pixels)), captions: found.map(\.caption))
    }

    /// What a function makes of an image, or of the next one of the bucket where it is damaged; nil
    /// where none can be read.
    private func firstReadable<Result>(
        from index: Int, of bucket: Bucket, _ make: (Int, Image) throws -> Result
    ) -> Result? {
        for offset in bucket.images.indices {
            let index = (index + offset) % bucket.images.count
            let name = bucket.images[index].name
            guard !problems.knows(name) else { continue }
            do {
                let (image, _, notes) = try Image.read(contentsOf: url.file(name), keepsText: false)
                // The file itself is as good as others.
                for note in notes { problems.name("\(name) beside its pixels", note) }
                return try make(index, image)
            } catch {
                problems.skip(name, error)
            }
        }
        return nil
    }

    /// Images of a bucket with these indices, their middles, in the order that they lie in; with
    /// the index of the image that stands in where one is damaged.
    ///
    /// - Returns: Pixels and indices, or nil where none of the bucket can be read.
    /// - Throws: `CancellationError` when the task is cancelled.
    func middles(
        _ range: Range<Int>, of bucket: Bucket
    ) throws -> (pixels: Tensor, indices: [Int])? {
        let found = try cancellableMap(range.count) { place in
            firstReadable(from: range.lowerBound + place, of: bucket) { index, decoded in
                let framing = ImageFraming(of: decoded.size, to: bucket.size, for: options.sizes)
                var middle: ImageRandom?
                let part = try framing.apply(to: decoded, random: &middle, mirrors: false)
                return (part.tensor, index)
            }
        }.compactMap(\.self)
        guard found.count == range.count else { return nil }
        return (.concatenating(found.map(\.0)), found.map(\.1))
    }

    private var nothingReadable: WuerstchenError {
        WuerstchenError(
            .unreadableFile,
            "none of the images in \(url.path) can be decoded; check that they are still there "
                + "and whole")
    }

    func caption(of image: ImageFile) -> String {
        (try? captionText(of: image)) ?? ""
    }

    /// A caption as it stands in a batch at a place.
    func worded(_ caption: String, number: Int, place: Int) -> String {
        guard let tags = options.tags, !isValidation else { return caption }
        var random = ImageRandom(seed: options.seed, .tags, number, place)
        return tags.shuffled(caption, &random)
    }

    /// The caption of an image, empty where there is none. What is wrong with it is named once.
    func captionText(of image: ImageFile) throws -> String {
        switch image.caption {
        case nil: return ""
        case .entry(let entry): return entry.text
        case .folder(let caption): return caption
        case .file(let name):
            do {
                return try CaptionFile.text(of: url.file(name))
            } catch {
                let reason = (error as? WuerstchenError)?.message ?? error.localizedDescription
                problems.name(name, "\(reason); its image goes without a caption")
                throw error
            }
        }
    }
}
