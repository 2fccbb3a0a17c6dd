public import Foundation
internal import TensorCore
public import Wuerstchen

/// The captions in a folder's text files, for what needs no images.
///
/// Files are found and read as ``ImageFolder`` does it, whether there are images beside them or
/// not. Those that cannot be read are named and left out.
public struct CaptionFolder: Sendable {
    /// The folder.
    public let url: URL
    /// The captions in the order of the files' names; some may be empty.
    public let captions: [String]

    private let files: [String]
    private let unreadable: FolderSummary.Finding?

    /// Reads the captions of a folder.
    ///
    /// - Parameters:
    ///   - url: The folder.
    ///   - includesSubfolders: Whether the folders in it are looked into.
    ///   - report: Called with a sentence about each file that cannot be used.
    /// - Throws: `WuerstchenError` with code `fileNotFound` or `unreadableFile` for a folder that
    ///   cannot be listed or has no caption that can be read.
    public init(
        _ url: URL, includesSubfolders: Bool = false,
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        let listing = try FolderListing(url, includesSubfolders: includesSubfolders)
        let stems = listing.captions
        let found = listing.files.filter { stems[$0.stem]?.name == $0.name }
        let texts = try cancellableMap(found.count) { index in
            Result { try CaptionFile.text(of: url.file(found[index].name)) }
        }
        var (captions, files, unreadable): ([String], [String], [String]) = ([], [], [])
        let problems = ImageProblems(report: report)
        for (file, text) in zip(found, texts) {
            do {
                captions.append(try text.get())
                files.append(file.name)
            } catch {
                problems.skip(file.name, error)
                unreadable.append(file.name)
            }
        }
        // In a table there may be captions of images that have no text file.
        let metadata = try CaptionMetadata(url, listing.files)
        for (name, entry) in metadata.entries.sorted(by: { $0.key < $1.key })
        where stems[FileName(name).stem] == nil {
            captions.append(entry.text)
            files.append(entry.place)
        }
        guard !captions.isEmpty else {
            let what =
                found.isEmpty
                ? "has no caption in it" : "has no caption that can be read, of \(found.count)"
            throw WuerstchenError(
                .fileNotFound,
                "\(url.path) \(what); "
                    + (listing.advice ?? "give a folder with captions in text files (.txt) or "
                        + "\(CaptionMetadata.fileName)"))
        }
        self.url = url
        self.captions = captions
        self.files = files
        self.unreadable = FolderSummary.Finding(unreadable)
    }

    /// A fingerprint of the captions and their order: sixteen hexadecimal digits.
    public var fingerprint: String {
        var hash = FNV1a()
        for caption in captions { hash.add(field: caption) }
        return hash.digits
    }

    /// What was found.
    ///
    /// - Parameter tokenizer: What the captions will be split with, to tell which are cut; nil to
    ///   leave that out.
    /// - Returns: The numbers, with an example of whatever is unusual.
    public func summary(tokenizer: CLIPTokenizer? = nil) -> FolderSummary {
        let isCut = concurrentMap(captions.count) { index in
            tokenizer?.encode(captions[index]).isTruncated ?? false
        }
        func files(_ isIncluded: (Int) -> Bool) -> FolderSummary.Finding? {
            FolderSummary.Finding(captions.indices.filter(isIncluded).map { self.files[$0] })
        }
        return FolderSummary(
            url: url, images: nil,
            captions: FolderSummary.Captions(
                count: captions.count { !$0.isEmpty },
                empty: files { captions[$0].isEmpty }, cut: files { isCut[$0] },
                unreadable: unreadable, tokenLimit: tokenizer?.length))
    }
}

extension FNV1a {
    /// Adds a text and its end, so that no two lists of texts give the same bytes.
    mutating func add(field text: String) {
        add(text.utf8)
        add([0xFF])
    }
}
