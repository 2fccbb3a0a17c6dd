public import Foundation
import TensorCore
public import Wuerstchen

/// A folder of PNG files of any sizes, each with its caption in a text file of the same name.
///
/// An image `sausage.png` has the caption in `sausage.txt`, in UTF-8, or an empty one. Files that
/// cannot be used are named once and skipped: most when the folder is opened, from their headers,
/// and those whose pixels turn out damaged when they are met. Such a file's place is taken by the
/// next good one of the folder, so that a batch stays a function of its number, the seed and the
/// files alone.
public struct ImageFolder: ImageSource {
    /// The folder.
    public let url: URL
    /// How batches are made.
    public let options: ImageFolderOptions
    /// Whether these are the held-out images.
    public let isValidation: Bool

    let buckets: [Bucket]
    private let heldOut: [Bucket]
    private let problems: ImageProblems

    /// The images that batches of one size are made of.
    struct Bucket {
        let size: ImageSize
        let images: [ImageFile]
    }

    /// Opens a folder, for the images in it that are not held out.
    ///
    /// - Parameters:
    ///   - url: The folder. Folders in it are not looked into.
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
        let listing = try ImageListing(
            url, validationInterval: options.validationInterval, problems: problems)
        let images = listing.images.filter { image in
            options.accepts(image, in: url, problems: problems)
        }
        guard !images.isEmpty else {
            throw WuerstchenError(
                .invalidRequest,
                "\(url.path) has no image that is large enough; choose a smaller size, allow more "
                    + "enlargement or add larger images")
        }
        guard images.contains(where: { !$0.isHeldOut }) else {
            throw WuerstchenError(
                .invalidRequest,
                "\(url.path) has no image left to train on once some are held out; add images "
                    + "or hold out fewer")
        }
        self.url = url
        self.options = options
        self.problems = problems
        isValidation = false
        buckets = Self.buckets(images.filter { !$0.isHeldOut }, options)
        heldOut = Self.buckets(images.filter(\.isHeldOut), options)
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
        isValidation = true
        buckets = folder.heldOut
        heldOut = []
    }

    private static func buckets(
        _ images: [ImageFile], _ options: ImageFolderOptions
    ) -> [Bucket] {
        let sizes = options.batchSizes
        let groups = Dictionary(grouping: images) { sizes.nearest(to: $0.size) ?? 0 }
        return groups.sorted { $0.key < $1.key }
            .map { Bucket(size: sizes[$0.key], images: $0.value) }
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
    /// - Throws: `WuerstchenError` when no image can be read any more.
    public func batch(_ number: Int, count: Int) throws -> ImageBatch {
        precondition(number >= 0 && count > 0, "batch \(number) of \(count) images")
        let schedule = BatchSchedule(
            bucketCounts: buckets.map(\.images.count), count: count, seed: options.seed)
        let place = schedule.place(of: number)
        for offset in buckets.indices {
            let bucket = (place.bucket + offset) % buckets.count
            let indices = schedule.images(of: place, in: bucket)
            if let batch = read(indices, of: buckets[bucket], number: number) { return batch }
        }
        throw WuerstchenError(
            .unreadableFile,
            "none of the images in \(url.path) can be decoded; check that they are still there "
                + "and whole")
    }

    /// The images with these indices, or nil where none of the bucket can be read.
    private func read(_ indices: [Int], of bucket: Bucket, number: Int) -> ImageBatch? {
        let found = concurrentMap(indices.count) { place -> (pixels: Tensor, caption: String)? in
            var random = ImageRandom(seed: options.seed, .framing, number, place)
            let mirrors = random.below(2) == 1 && options.mirrors && !isValidation
            let crops = options.crop == .random && !isValidation
            for offset in bucket.images.indices {
                let image = bucket.images[(indices[place] + offset) % bucket.images.count]
                guard !problems.knows(image.name) else { continue }
                do {
                    let decoded = try Image(contentsOf: url.file(image.name))
                    let framing = ImageFraming(
                        of: decoded.size, to: bucket.size, for: options.sizes)
                    var position = crops ? random : nil
                    let part = try framing.apply(to: decoded, random: &position, mirrors: mirrors)
                    let pixels = Tensor(bytes: part.pixels, [1, part.height, part.width, 3])
                    return (pixels, caption(of: image))
                } catch {
                    problems.skip(image.name, error)
                }
            }
            return nil
        }.compactMap(\.self)
        guard found.count == indices.count else { return nil }
        return ImageBatch(
            pixels: .concatenating(found.map(\.pixels)), captions: found.map(\.caption))
    }

    func caption(of image: ImageFile) -> String {
        guard let name = image.captionName else { return "" }
        do {
            let data = try Data(contentsOf: url.file(name))
            if let text = String(validating: data, as: UTF8.self) {
                // Some editors put a byte order mark in front.
                let start = text.hasPrefix("\u{FEFF}") ? text.dropFirst() : text[...]
                return start.trimmingCharacters(in: .whitespacesAndNewlines)
            }
            problems.name(
                name, "\(url.file(name).path) is not UTF-8; its image goes without a caption")
        } catch {
            problems.name(
                name,
                "\(url.file(name).path) cannot be read (\(error.localizedDescription)); its "
                    + "image goes without a caption")
        }
        return ""
    }
}

extension ImageFolderOptions {
    /// Whether an image is large enough; otherwise it is named.
    fileprivate func accepts(
        _ image: ImageFile, in folder: URL, problems: ImageProblems
    ) -> Bool {
        let sizes = batchSizes
        guard let index = sizes.nearest(to: image.size) else { return false }
        let framing = ImageFraming(of: image.size, to: sizes[index], for: self.sizes)
        guard framing.scale > maximumEnlargement else { return true }
        problems.name(
            image.name,
            "\(folder.file(image.name).path) has \(image.size) pixels, too few for "
                + "\(sizes[index]). It is skipped.")
        return false
    }
}
