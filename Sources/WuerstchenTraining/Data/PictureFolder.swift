public import Foundation
import TensorCore
public import Wuerstchen

/// A folder of PNG files of any sizes, each with its caption in a text file of the same name.
///
/// A picture `sausage.png` has the caption in `sausage.txt`, in UTF-8, or an empty one. Files that
/// cannot be used are named once and skipped: most when the folder is opened, from their headers,
/// and those whose pixels turn out damaged when they are met. Such a file's place is taken by the
/// next good one of the folder, so that a batch stays a function of its number, the seed and the
/// files alone.
public struct PictureFolder: PictureSource {
    /// The folder.
    public let url: URL
    /// How batches are made.
    public let options: PictureFolderOptions
    /// Whether these are the held-out pictures.
    public let isValidation: Bool

    private let buckets: [Bucket]
    private let heldOut: [Bucket]
    private let problems: PictureProblems

    /// The pictures that batches of one size are made of.
    private struct Bucket {
        let size: ImageSize
        let pictures: [PictureFile]
    }

    /// Opens a folder, for the pictures in it that are not held out.
    ///
    /// - Parameters:
    ///   - url: The folder. Folders in it are not looked into.
    ///   - options: How batches are made.
    ///   - report: Called with a sentence about each file that cannot be used, once for each; from
    ///     any thread.
    /// - Throws: ``WuerstchenError`` when the options contradict themselves or the folder has no
    ///   picture that can be used.
    public init(
        _ url: URL, options: PictureFolderOptions = PictureFolderOptions(),
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        try options.validate()
        let problems = PictureProblems(report: report)
        let listing = try PictureListing(
            url, validationInterval: options.validationInterval, problems: problems)
        let pictures = listing.pictures.filter { picture in
            options.accepts(picture, in: url, problems: problems)
        }
        guard !pictures.isEmpty else {
            throw WuerstchenError(
                .invalidRequest,
                "\(url.path) has no picture that is large enough; choose a smaller size, allow more "
                    + "enlargement or add larger pictures")
        }
        guard pictures.contains(where: { !$0.isHeldOut }) else {
            throw WuerstchenError(
                .invalidRequest,
                "\(url.path) has no picture left to train on once some are held out; add pictures "
                    + "or hold out fewer")
        }
        self.url = url
        self.options = options
        self.problems = problems
        isValidation = false
        buckets = Self.buckets(pictures.filter { !$0.isHeldOut }, options)
        heldOut = Self.buckets(pictures.filter(\.isHeldOut), options)
    }

    /// The pictures held out for validation, always cropped in the middle and never mirrored; nil
    /// where there are none.
    public var validation: PictureFolder? {
        isValidation || heldOut.isEmpty ? nil : PictureFolder(validationOf: self)
    }

    private init(validationOf folder: PictureFolder) {
        url = folder.url
        options = folder.options
        problems = folder.problems
        isValidation = true
        buckets = folder.heldOut
        heldOut = []
    }

    private static func buckets(
        _ pictures: [PictureFile], _ options: PictureFolderOptions
    ) -> [Bucket] {
        let sizes = options.batchSizes
        let groups = Dictionary(grouping: pictures) { sizes.nearest(to: $0.size) ?? 0 }
        return groups.sorted { $0.key < $1.key }
            .map { Bucket(size: sizes[$0.key], pictures: $0.value) }
    }

    /// The number of pictures.
    public var pictureCount: Int { buckets.reduce(0) { $0 + $1.pictures.count } }

    /// The sizes that batches have, and how many pictures there are for each.
    public var bucketCounts: [(size: ImageSize, count: Int)] {
        buckets.map { ($0.size, $0.pictures.count) }
    }

    /// A batch of pictures of one size.
    ///
    /// Every picture is seen once before any is seen again, as nearly as batches of one size allow.
    ///
    /// - Parameters:
    ///   - number: Which batch, from 0.
    ///   - count: How many pictures, at least one.
    /// - Returns: The pictures, the same for the same number and count.
    /// - Throws: ``WuerstchenError`` when no picture can be read any more.
    public func batch(_ number: Int, count: Int) throws -> PictureBatch {
        precondition(number >= 0 && count > 0, "batch \(number) of \(count) pictures")
        let schedule = BatchSchedule(
            bucketCounts: buckets.map(\.pictures.count), count: count, seed: options.seed)
        let place = schedule.place(of: number)
        for offset in buckets.indices {
            let bucket = (place.bucket + offset) % buckets.count
            let indices = schedule.pictures(of: place, in: bucket)
            if let batch = read(indices, of: buckets[bucket], number: number) { return batch }
        }
        throw WuerstchenError(
            .unreadableFile,
            "none of the pictures in \(url.path) can be decoded; check that they are still there "
                + "and whole")
    }

    /// The pictures with these indices, or nil where none of the bucket can be read.
    private func read(_ indices: [Int], of bucket: Bucket, number: Int) -> PictureBatch? {
        let found = concurrentMap(indices.count) { place -> (pixels: Tensor, caption: String)? in
            var random = PictureRandom(seed: options.seed, .framing, number, place)
            let mirrors = random.below(2) == 1 && options.mirrors && !isValidation
            let crops = options.crop == .random && !isValidation
            for offset in bucket.pictures.indices {
                let picture = bucket.pictures[(indices[place] + offset) % bucket.pictures.count]
                guard !problems.knows(picture.name) else { continue }
                do {
                    let image = try Image(contentsOf: url.file(picture.name))
                    let framing = PictureFraming(
                        of: image.size, to: bucket.size, for: options.sizes)
                    var position = crops ? random : nil
                    let part = try framing.apply(to: image, random: &position, mirrors: mirrors)
                    let pixels = Tensor(bytes: part.pixels, [1, part.height, part.width, 3])
                    return (pixels, caption(of: picture))
                } catch {
                    problems.skip(picture.name, error)
                }
            }
            return nil
        }.compactMap(\.self)
        guard found.count == indices.count else { return nil }
        return PictureBatch(
            pixels: .concatenating(found.map(\.pixels)), captions: found.map(\.caption))
    }

    private func caption(of picture: PictureFile) -> String {
        guard let name = picture.captionName else { return "" }
        do {
            let data = try Data(contentsOf: url.file(name))
            if let text = String(validating: data, as: UTF8.self) {
                // Some editors put a byte order mark in front.
                let start = text.hasPrefix("\u{FEFF}") ? text.dropFirst() : text[...]
                return start.trimmingCharacters(in: .whitespacesAndNewlines)
            }
            problems.name(
                name, "\(url.file(name).path) is not UTF-8; its picture goes without a caption")
        } catch {
            problems.name(
                name,
                "\(url.file(name).path) cannot be read (\(error.localizedDescription)); its "
                    + "picture goes without a caption")
        }
        return ""
    }
}

extension PictureFolderOptions {
    /// Whether a picture is large enough; otherwise it is named.
    fileprivate func accepts(
        _ picture: PictureFile, in folder: URL, problems: PictureProblems
    ) -> Bool {
        let sizes = batchSizes
        guard let index = sizes.nearest(to: picture.size) else { return false }
        let framing = PictureFraming(of: picture.size, to: sizes[index], for: self.sizes)
        guard framing.scale > maximumEnlargement else { return true }
        problems.name(
            picture.name,
            "\(folder.file(picture.name).path) has \(picture.size) pixels, too few for "
                + "\(sizes[index]). It is skipped.")
        return false
    }
}
