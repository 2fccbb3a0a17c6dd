public import Foundation
import TensorCore

extension Image {
    /// The image in a PNG file of any kind.
    ///
    /// Greyscale and palette images become red, green and blue, and 16-bit samples are rounded to
    /// 8. Transparent pixels show white behind them, blended on the sRGB values as browsers do.
    /// Samples are taken for sRGB as they are, unless the file has a gAMA chunk with another gamma:
    /// then they are converted. A colour profile (iCCP) is not applied, and where there is one,
    /// gAMA does not count. An image whose orientation is noted (in an eXIf chunk) is turned
    /// upright.
    ///
    /// - Parameter url: The file.
    /// - Throws: A `WuerstchenError` with code `fileNotFound`, `unreadableFile` (also for an image
    ///   with a side longer than ``ImageSize/maximumSide``), `malformedFile` (not a PNG file, or a
    ///   truncated or damaged one) or `invalidRequest` (not a file URL); `CancellationError` when
    ///   the task is cancelled. A file that is damaged outside its pixels is read all the same; see
    ///   ``read(contentsOf:)``.
    public init(contentsOf url: URL) throws {
        self =
            try PNGCodec.decode(Self.readPNG(at: url), name: url.path, keepsText: false).image
    }

    /// The image in a PNG file, as ``init(contentsOf:)`` gives it, and the file's text.
    ///
    /// - Parameter url: The file.
    /// - Returns: The image; the text for each keyword of the file's tEXt, zTXt and iTXt chunks,
    ///   the last one where a keyword has several; and a sentence about each thing that is wrong
    ///   with the file beside its pixels, such as a text with a wrong checksum or a missing end.
    ///   Text that is not well-formed or takes more than 1 MiB once decompressed is left out, and
    ///   so is what follows the first 64 texts or 8 MiB of text.
    /// - Throws: The errors of ``init(contentsOf:)``.
    public static func read(
        contentsOf url: URL
    ) throws -> (image: Image, text: [String: String], notes: [String]) {
        try PNGCodec.decode(readPNG(at: url), name: url.path, keepsText: true)
    }

    /// The opacity of the image in a PNG file, as a grey image: white where nothing shines through.
    static func opacity(contentsOf url: URL) throws -> Image {
        try PNGCodec.decode(
            readPNG(at: url), name: url.path, keepsText: false, showsOpacity: true
        ).image
    }

    /// The image as the bytes of a PNG file: 8-bit RGB, marked as sRGB.
    ///
    /// - Parameter text: Keywords and their text, as for ``write(to:text:)``.
    /// - Returns: The bytes of the file.
    /// - Throws: A `WuerstchenError` with code `invalidRequest` for a keyword or text that a PNG
    ///   file cannot hold.
    public func pngData(text: [(key: String, value: String)] = []) throws -> Data {
        Data(try PNGCodec.encode(self, text: text))
    }

    /// Writes the image as a PNG file: 8-bit RGB, marked as sRGB.
    ///
    /// The file appears whole or not at all: it is written beside its place under a temporary name
    /// and then renamed, replacing a file that was there. When that fails, the file that was there
    /// is untouched and the temporary one is gone.
    ///
    /// - Parameters:
    ///   - url: Where the file goes, in a folder that exists. A symbolic link is followed.
    ///   - text: Keywords and their text to store in the file, in this order. A keyword is 1 to 79
    ///     printable Latin-1 characters, without spaces at its ends or two in a row; a text is any
    ///     Unicode but U+0000, up to 1 MiB in UTF-8.
    /// - Throws: A `WuerstchenError` with code `unwritableFile`, or `invalidRequest` for a keyword
    ///   or text that a PNG file cannot hold or a URL that is not a file's.
    public func write(to url: URL, text: [(key: String, value: String)] = []) throws {
        try Self.requireFileURL(url)
        let file = try pngData(text: text)

        // A rename would replace a symbolic link, and even a device, with the file.
        let destination = url.resolvingSymlinksInPath()
        let type = try? FileManager.default.attributesOfItem(atPath: destination.path)[.type]
        if let type = type as? FileAttributeType, type != .typeRegular {
            throw WuerstchenError(
                .unwritableFile,
                "\(url.path) is \(type == .typeDirectory ? "a folder" : "not a regular file"); "
                    + "give the path of a file to write")
        }
        try AtomicFile.replace(destination, with: file)
    }

    /// The text that says that this package wrote a file, by which a command tells what it may
    /// replace.
    public static let software = (key: "Software", value: "Wuerstchen for Swift")

    /// The bytes of a file that starts with the PNG signature. Another file, which may be large, is
    /// not read on.
    private static func readPNG(at url: URL) throws -> [UInt8] {
        try requireFileURL(url)
        let name = url.path
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: name, isDirectory: &isDirectory) else {
            throw WuerstchenError(.fileNotFound, "\(name) is not there; check the path")
        }
        guard !isDirectory.boolValue else {
            throw WuerstchenError(
                .unreadableFile, "\(name) is a folder; give the path of a PNG file")
        }
        let start: [UInt8]
        let rest: Data
        do {
            let handle = try FileHandle(forReadingFrom: url)
            defer { try? handle.close() }
            start = Array(try handle.read(upToCount: PNGChunks.signature.count) ?? Data())
            var file = Data()
            // In parts, so that a large file does not keep a cancelled task.
            while start == PNGChunks.signature,
                let part = try handle.read(upToCount: 1 << 24), !part.isEmpty
            {
                try Task.checkCancellation()
                file += part
            }
            rest = file
        } catch let error as CancellationError {
            throw error
        } catch {
            throw WuerstchenError(
                .unreadableFile, "\(name) cannot be read; check its permissions",
                underlying: error)
        }
        guard !start.isEmpty else {
            throw PNGCodec.malformed(name, "is empty")
        }
        guard start == PNGChunks.signature else {
            let found = start.map { String(format: "%02X", $0) }.joined(separator: " ")
            throw PNGCodec.malformed(name, "is not a PNG file: it starts with the bytes \(found)")
        }
        return start + rest
    }

    private static func requireFileURL(_ url: URL) throws {
        guard url.isFileURL else {
            throw WuerstchenError(
                .invalidRequest, "\(url) is not the URL of a file; give one with the scheme file:")
        }
    }
}
