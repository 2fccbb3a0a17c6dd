import Foundation
import TensorCore
import Wuerstchen

/// An image of a folder, whose header could be read.
struct ImageFile {
    /// The name of its file.
    let name: String
    /// Its caption, if there is one.
    let caption: CaptionSource?
    let size: ImageSize
    /// Whether it is held out for validation.
    var isHeldOut: Bool
    /// How often it counts while all others count once.
    let repeats: Int
}

/// Where a caption comes from.
enum CaptionSource {
    /// A text file of this name.
    case file(String)
    /// A line of a table.
    case entry(CaptionMetadata.Entry)
    /// The name of the folder.
    case folder(String)

    /// What to look at.
    var place: String {
        switch self {
        case .file(let name): name
        case .entry(let entry): entry.place
        case .folder(let caption): caption
        }
    }
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
    static let otherKinds = ["gif", "bmp", "tif", "tiff", "avif", "heic"]

    init(_ folder: URL, _ options: ImageFolderOptions, problems: ImageProblems) throws {
        let listing = try FolderListing(folder, includesSubfolders: options.includesSubfolders)
        let captions = options.readsCaptions ? listing.captions : [:]
        let metadata = try CaptionMetadata(folder, options.readsCaptions ? listing.files : [])
        let formats = ImageFileFormat.allCases
        let readable = formats.filter(\.isReadable).flatMap(\.kinds)
        let unread = Set(formats.flatMap(\.kinds) + Self.otherKinds).subtracting(readable)
        let others = listing.files.filter { unread.contains($0.kind) }
        if let first = others.first {
            let libraries = formats.compactMap { format in
                format.missingLibrary.map { "install \($0) for \(format.label)" }
            }
            problems.name(
                folder.path,
                "\(folder.path) holds images of other formats, \(others.count) of them, "
                    + "such as \(first.name); they are skipped: convert them to PNG"
                    + libraries.map { ", or \($0)" }.joined())
        }

        let candidates = listing.files.filter { readable.contains($0.kind) }
        let sizes = try cancellableMap(candidates.count) { index in
            Result { try ImageHeader.size(of: folder.file(candidates[index].name)) }
        }
        var unreadable: [String] = []
        images = zip(candidates, sizes).compactMap { candidate, size in
            let repeats = options.countsRepeats ? FolderRepeats(of: candidate.name) : nil
            let caption =
                captions[candidate.stem].map { CaptionSource.file($0.name) }
                ?? metadata.entries[candidate.name].map { .entry($0) }
                ?? (options.readsCaptions ? repeats : nil).map { .folder($0.caption) }
            do {
                return ImageFile(
                    name: candidate.name, caption: caption, size: try size.get(),
                    isHeldOut: candidate.isHeldOut(share: options.heldOutShare),
                    repeats: repeats?.count ?? 1)
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
        let (stems, names) = (Set(candidates.map(\.stem)), Set(candidates.map(\.name)))
        let strays = captions.values.filter { !stems.contains($0.stem) }.map(\.name)
        let strayEntries = metadata.entries.filter { !names.contains($0.key) }.map(\.value.place)
        strayCaptions = FolderSummary.Finding((strays + strayEntries).sorted())
        guard !images.isEmpty else {
            let found =
                candidates.isEmpty
                ? "has no image in it"
                : "has no image that can be read, of \(candidates.count)"
            throw WuerstchenError(
                .fileNotFound,
                "\(folder.path) \(found); "
                    + (listing.advice ?? "give a folder with images as PNG, JPEG or WebP files, "
                        + "and captions as text files of the same names"))
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
