import Foundation
import TensorCore
import Wuerstchen

/// An image of a folder, whose header could be read.
struct ImageFile {
    /// The name of its file.
    let name: String
    /// The name of the file with its caption, if there is one.
    let captionName: String?
    let size: ImageSize
    /// Whether it is held out for validation.
    var isHeldOut: Bool
}

/// What a folder of images holds, found without decoding any.
struct ImageListing {
    /// The readable images, in the order of their names.
    var images: [ImageFile]
    /// What was found besides: files that are skipped and folders that are not looked into.
    var findings: FolderSummary.Images.Findings
    /// Captions without an image.
    let strayCaptions: FolderSummary.Finding?

    /// Kinds of images that somebody may expect to be read.
    static let otherKinds = [
        "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic",
    ]

    init(_ folder: URL, _ options: ImageFolderOptions, problems: ImageProblems) throws {
        let listing = try FolderListing(folder, includesSubfolders: options.includesSubfolders)
        let captions = options.readsCaptions ? listing.captions : [:]
        let others = listing.files.filter { Self.otherKinds.contains($0.kind) }
        if let first = others.first {
            problems.name(
                folder.path,
                "\(folder.path) holds images that are not PNG files, \(others.count) of them, "
                    + "such as \(first.name); they are skipped: convert them to PNG")
        }

        let candidates = listing.files.filter { $0.kind == "png" }
        let sizes = try cancellableMap(candidates.count) { index in
            Result { try PNGHeader.size(of: folder.file(candidates[index].name)) }
        }
        var unreadable: [String] = []
        images = zip(candidates, sizes).compactMap { candidate, size in
            do {
                return ImageFile(
                    name: candidate.name, captionName: captions[candidate.stem]?.name,
                    size: try size.get(),
                    isHeldOut: candidate.isHeldOut(share: options.heldOutShare))
            } catch {
                problems.skip(candidate.name, error)
                unreadable.append(candidate.name)
                return nil
            }
        }
        findings = FolderSummary.Images.Findings(
            otherFormats: FolderSummary.Finding(others.map(\.name)),
            unreadable: FolderSummary.Finding(unreadable),
            unvisitedFolders: FolderSummary.Finding(listing.unvisited))
        let stems = Set(candidates.map(\.stem))
        strayCaptions = FolderSummary.Finding(
            captions.values.filter { !stems.contains($0.stem) }.map(\.name).sorted())
        guard !images.isEmpty else {
            let found =
                candidates.isEmpty
                ? "has no PNG file in it"
                : "has no PNG file that can be read, of \(candidates.count)"
            throw WuerstchenError(
                .fileNotFound,
                "\(folder.path) \(found); "
                    + (listing.advice ?? "give a folder with images as PNG files, and captions "
                        + "as text files of the same names"))
        }
    }
}

extension ImageListing {
    /// Names and leaves out images that would have to be enlarged too much.
    mutating func leaveOutTooSmall(
        _ options: ImageFolderOptions, in folder: URL, problems: ImageProblems
    ) {
        let sizes = options.batchSizes
        var tooSmall: [String] = []
        images.removeAll { image in
            guard let index = sizes.nearest(to: image.size) else { return true }
            let framing = ImageFraming(of: image.size, to: sizes[index], for: options.sizes)
            guard framing.scale > options.maximumEnlargement else { return false }
            problems.name(
                image.name,
                "\(folder.file(image.name).path) has \(image.size) pixels, too few for "
                    + "\(sizes[index]). It is skipped.")
            tooSmall.append(image.name)
            return true
        }
        findings.tooSmall = FolderSummary.Finding(tooSmall)
    }
}

extension ImageProblems {
    /// Says that an image is left out, and why.
    func skip(_ name: String, _ error: any Error) {
        let reason = (error as? WuerstchenError)?.message ?? error.localizedDescription
        self.name(name, "\(reason). It is skipped.")
    }
}
