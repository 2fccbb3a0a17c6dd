public import Foundation
internal import TensorCore
public import Wuerstchen

/// What a folder of images or captions holds, so that nothing about it stays unsaid before a
/// training begins. Its description is a table.
public struct FolderSummary: Sendable, Hashable {
    /// Files that have something in common.
    public struct Finding: Sendable, Hashable {
        /// How many there are: at least one.
        public let count: Int
        /// The first of them.
        public let example: String

        /// Files of the given names; nil for none.
        init?(_ names: [String]) {
            guard let example = names.first else { return nil }
            (count, self.example) = (names.count, example)
        }
    }

    /// The images of a folder.
    public struct Images: Sendable, Hashable {
        /// What is not trained on.
        public struct Findings: Sendable, Hashable {
            /// Images of formats that cannot be read here.
            public internal(set) var otherFormats: Finding?
            /// Images that cannot be read.
            public internal(set) var unreadable: Finding?
            /// Images that would have to be enlarged too much.
            public internal(set) var tooSmall: Finding?
            /// Folders in the folder that were not looked into.
            public internal(set) var unvisitedFolders: Finding?
        }

        /// Images of one size of batches.
        public struct Bucket: Sendable, Hashable {
            /// The size of the batches' images.
            public let size: ImageSize
            /// The number of images, held out or not.
            public let count: Int
        }

        /// The number of images that can be used, held out or not.
        public let count: Int
        /// The number of images that are held out for validation.
        public let heldOutCount: Int
        /// Whether there are too few images to hold any out, though that was asked for.
        public let isTooSmallToHoldOut: Bool
        /// The size of the image with the fewest pixels.
        public let smallestSize: ImageSize
        /// The size of the image with the most pixels.
        public let largestSize: ImageSize
        /// The sizes of batches.
        public let buckets: [Bucket]
        /// What is not trained on.
        public let findings: Findings
    }

    /// The captions of a folder.
    public struct Captions: Sendable, Hashable {
        /// The number of captions that say something.
        public let count: Int
        /// Images without a text file.
        public var missing: Finding?
        /// Text files with nothing in them.
        public var empty: Finding?
        /// Captions whose end the text encoder does not read.
        public var cut: Finding?
        /// Text files that are too large or in an encoding that is not known.
        public var unreadable: Finding?
        /// Text files that belong to no image.
        public var strays: Finding?
        /// Tokens of a caption that the text encoder reads; nil where none was asked about.
        public var tokenLimit: Int?
    }

    /// The folder.
    public let url: URL
    /// Its images; nil where only captions are read.
    public let images: Images?
    /// Its captions; nil where they are not read.
    public let captions: Captions?

    /// Refuses a folder without any caption that says something, where captions are read.
    ///
    /// - Parameter isTextOptional: Whether what follows can do without text, which the error then
    ///   advises.
    /// - Throws: `WuerstchenError` with code `invalidRequest`.
    public func requireCaptions(isTextOptional: Bool = false) throws {
        guard let captions, captions.count == 0 else { return }
        func such(_ finding: Finding?, _ what: String) -> String? {
            finding.map { "\($0.count) \(what), such as \($0.example)" }
        }
        let found = [
            such(captions.missing, "images have no text file"),
            such(captions.empty, "files are empty"),
            such(captions.unreadable, "files cannot be read"),
            such(captions.strays, "files belong to no image"),
        ].compactMap(\.self)
        throw WuerstchenError(
            .invalidRequest,
            "\(url.path) has no caption to learn from (\(found.joined(separator: "; "))); an image "
                + "a.png has its caption in a.txt or a.caption"
                + (isTextOptional
                    ? ". To go without text, say --no-captions (`readsCaptions`)" : ""))
    }
}

extension FolderSummary: CustomStringConvertible {
    /// A table of two columns.
    public var description: String {
        let rows = (images?.rows ?? []) + (captions?.rows ?? [("captions", "not read")])
        let width = rows.map(\.0.count).max() ?? 0
        return
            ([url.path]
            + rows.map { name, value in
                "  \(name.padding(toLength: width, withPad: " ", startingAt: 0))  \(value)"
            }).joined(separator: "\n")
    }
}

extension FolderSummary.Finding {
    fileprivate func row(_ name: String, _ remark: String = "") -> (String, String) {
        (name, "\(count)\(remark), such as \(example)")
    }
}

extension FolderSummary.Images {
    fileprivate var rows: [(String, String)] {
        let range =
            smallestSize == largestSize ? "\(smallestSize)" : "\(smallestSize) to \(largestSize)"
        let heldOut =
            isTooSmallToHoldOut
            ? "none: there are too few images" : heldOutCount == 0 ? "none" : "\(heldOutCount)"
        return [
            ("images", "\(count), \(range)"),
            ("batches of", buckets.map { "\($0.size): \($0.count)" }.joined(separator: ", ")),
            ("held out", heldOut),
        ]
            + [
                findings.tooSmall?.row("too small", ", skipped"),
                findings.unreadable?.row("unreadable", ", skipped"),
                findings.otherFormats?.row("other formats", ", skipped"),
                findings.unvisitedFolders?.row("folders", " not looked into"),
            ].compactMap(\.self)
    }
}

extension FolderSummary.Captions {
    fileprivate var rows: [(String, String)] {
        [("captions", "\(count)")]
            + [
                missing?.row("missing"),
                empty?.row("empty"),
                cut?.row("cut", tokenLimit.map { " of more than \($0) tokens" } ?? ""),
                unreadable?.row(
                    "not read", " (not UTF-8 or marked UTF-16, over 1 MB, or a dead link)"),
                strays?.row("without image"),
            ].compactMap(\.self)
    }
}
