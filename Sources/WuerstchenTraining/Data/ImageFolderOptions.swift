public import Wuerstchen

/// How a ``ImageFolder`` makes batches of its images.
public struct ImageFolderOptions: Sendable, Hashable {
    /// What sizes batches have.
    public enum Sizes: Sendable, Hashable {
        /// All one size, which each image is resized to cover.
        case fixed(ImageSize)
        /// The one of several sizes that is nearest to the image's shape, resized to cover it.
        /// Each batch has one of the sizes.
        case buckets(AspectBuckets)
        /// Squares out of the images, as Stage A learns from. The images are first resized to
        /// `shorterSide`, or keep their resolution where that is nil.
        case crops(side: Int, shorterSide: Int? = nil)
    }

    /// Which part of an image is kept where it does not fit.
    public enum Crop: Sendable, Hashable {
        /// The middle.
        case center
        /// Any, another one each time. Held-out images keep their middle, so that losses over
        /// them can be compared.
        case random
    }

    /// What sizes batches have.
    public var sizes: Sizes
    /// Which part of an image is kept where it does not fit.
    public var crop: Crop
    /// Whether every other image is mirrored. Off unless asked for: captions may say left or
    /// right, and letters would be taught the wrong way round.
    public var mirrors: Bool
    /// How much an image may be enlarged; one that would have to be enlarged more is too small.
    public var maximumEnlargement: Double
    /// The share of images that is held out for validation, from 0 to a half. An image's name alone
    /// decides, so it stays on its side when others come and go. Where names would have it that
    /// more than a quarter of the images, or more than twice the share, is held out, which only few
    /// images can, none is.
    public var heldOutShare: Double
    /// Whether the folders in the folder are looked into.
    public var includesSubfolders: Bool
    /// Whether captions are read; otherwise all are empty.
    public var readsCaptions: Bool
    /// How captions are read that are lists of tags; nil to take all captions as they are.
    public var tags: CaptionTags?
    /// Whether images in folders with names such as `10_windmill` count so many times, and have
    /// "windmill" as their caption where they have no other.
    public var countsRepeats: Bool
    /// What random order, crops, mirroring and the order of tags derive from.
    public var seed: UInt64

    /// Options, by default images of 256 × 256 pixels cut out of the middle.
    public init(
        sizes: Sizes = .fixed(ImageSize(width: 256, height: 256)), crop: Crop = .center,
        mirrors: Bool = false, maximumEnlargement: Double = 2, heldOutShare: Double = 0,
        includesSubfolders: Bool = false, readsCaptions: Bool = true, tags: CaptionTags? = nil,
        countsRepeats: Bool = false, seed: UInt64 = 0
    ) {
        self.sizes = sizes
        self.crop = crop
        self.mirrors = mirrors
        self.maximumEnlargement = maximumEnlargement
        self.heldOutShare = heldOutShare
        self.includesSubfolders = includesSubfolders
        self.readsCaptions = readsCaptions
        self.tags = tags
        self.countsRepeats = countsRepeats
        self.seed = seed
    }

    /// Random squares of the images, for Stage A.
    ///
    /// - Parameters:
    ///   - side: The side of the squares, in pixels.
    ///   - shorterSide: What the images' shorter side is resized to first; nil to keep it.
    ///   - seed: What random order and crops derive from.
    /// - Returns: The options.
    public static func crops(
        side: Int, shorterSide: Int? = nil, seed: UInt64 = 0
    ) -> ImageFolderOptions {
        ImageFolderOptions(
            sizes: .crops(side: side, shorterSide: shorterSide), crop: .random, seed: seed)
    }
}

extension ImageFolderOptions {
    /// The sizes that a batch can have.
    var batchSizes: [ImageSize] {
        switch sizes {
        case .fixed(let size): [size]
        case .buckets(let buckets): buckets.sizes
        case .crops(let side, _): [ImageSize(width: side, height: side)]
        }
    }

    /// Checks everything that can be wrong before a folder is looked at.
    func validate() throws {
        func refuse(_ message: String) -> WuerstchenError {
            WuerstchenError(.invalidRequest, message)
        }
        let sides = 1...ImageSize.maximumSide
        guard !batchSizes.isEmpty else {
            throw refuse(
                "no size fits the buckets; choose a side of at least the multiple and at most "
                    + "\(ImageSize.maximumSide) pixels, a positive multiple and a ratio of at "
                    + "least 1")
        }
        for size in batchSizes {
            guard sides.contains(size.width), sides.contains(size.height) else {
                throw refuse(
                    "images cannot be \(size) pixels; choose sides of 1 to "
                        + "\(ImageSize.maximumSide)")
            }
        }
        if case .crops(let side, let shorterSide?) = sizes {
            guard (side...ImageSize.maximumSide).contains(shorterSide) else {
                throw refuse(
                    "squares of \(side) pixels do not fit images resized to \(shorterSide); "
                        + "choose a shorter side of \(side) to \(ImageSize.maximumSide)")
            }
        }
        guard maximumEnlargement > 0, maximumEnlargement.isFinite else {
            throw refuse(
                "images cannot be enlarged by \(maximumEnlargement); choose a positive number")
        }
        guard (0...0.5).contains(heldOutShare) else {
            throw refuse(
                "a share of \(heldOutShare) of the images cannot be held out; choose 0 for none, "
                    + "or up to 0.5")
        }
    }

    /// Whether so many of all images are more than was meant to be held out.
    func holdsOutTooMany(_ heldOut: Int, of count: Int) -> Bool {
        heldOut == count || Double(heldOut) > max(0.25, 2 * heldOutShare) * Double(count)
    }
}
