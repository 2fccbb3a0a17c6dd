public import Foundation
import TensorCore

extension Image {
    /// The image in a PNG file of any kind, or in a JPEG or WebP file.
    ///
    /// Greyscale and palette images become red, green and blue, and 16-bit samples are rounded to
    /// 8. Transparent pixels show white behind them, blended on the sRGB values as browsers do.
    /// Samples are taken for sRGB as they are, unless a PNG file has a gAMA chunk with another
    /// gamma: then they are converted. A colour profile is not applied, and where there is one,
    /// gAMA does not count. An image whose orientation is noted (in Exif) is turned upright.
    ///
    /// JPEG and WebP files are read with the system's libturbojpeg and libwebp, which are looked
    /// for when there is such a file. Of JPEG files, greyscale, YCbCr, RGB and the inverted CMYK of
    /// Photoshop are read; of WebP files, those without animation.
    ///
    /// - Parameter url: The file.
    /// - Throws: A `WuerstchenError` with code `fileNotFound`, `unreadableFile` (also for an image
    ///   with a side longer than ``ImageSize/maximumSide``, and where a library is missing),
    ///   `malformedFile` (of another format, truncated or damaged) or `invalidRequest` (not a file
    ///   URL); `CancellationError` when the task is cancelled. A PNG file that is damaged outside
    ///   its pixels is read all the same; see ``read(contentsOf:keepsText:)``.
    public init(contentsOf url: URL) throws {
        self = try Self.decoded(url, keepsText: false).image
    }

    /// The image in the bytes of a PNG file, read as ``init(contentsOf:)`` reads a file.
    ///
    /// - Parameters:
    ///   - pngData: The bytes.
    ///   - name: What messages call them.
    ///   - maximumSide: The longest side that is read, in pixels, up to ``ImageSize/maximumSide``:
    ///     a small file can be of an image that takes much memory.
    /// - Throws: A `WuerstchenError` with code `unreadableFile` for an image with a longer side or
    ///   `malformedFile` for other bytes; `CancellationError` when the task is cancelled.
    public init(
        pngData: Data, name: String = "the image", maximumSide: Int = ImageSize.maximumSide
    ) throws {
        self = try Self.decoded(pngData, name, maximumSide, showsMask: false)
    }

    /// The image in a file, as ``init(contentsOf:)`` gives it, and the text of a PNG file.
    ///
    /// - Parameters:
    ///   - url: The file.
    ///   - keepsText: Whether the text is wanted.
    /// - Returns: The image; the text for each keyword of the file's tEXt, zTXt and iTXt chunks,
    ///   the last one where a keyword has several; and a sentence about each thing that is wrong
    ///   with the file beside its pixels, such as a text with a wrong checksum or a missing end.
    ///   Text that is not well-formed or takes more than 1 MiB once decompressed is left out, and
    ///   so is what follows the first 64 texts or 8 MiB of text.
    /// - Throws: The errors of ``init(contentsOf:)``.
    public static func read(
        contentsOf url: URL, keepsText: Bool = true
    ) throws -> (image: Image, text: [String: String], notes: [String]) {
        try decoded(url, keepsText: keepsText)
    }

    /// What a mask is made of, in place of the colours of the image in a file, see `RGBASamples`.
    static func maskSamples(contentsOf url: URL) throws -> Image {
        try decoded(url, keepsText: false, showsMask: true).image
    }

    /// The same of the bytes of a PNG file.
    static func maskSamples(pngData: Data, name: String, maximumSide: Int) throws -> Image {
        try decoded(pngData, name, maximumSide, showsMask: true)
    }

    private static func decoded(
        _ pngData: Data, _ name: String, _ maximumSide: Int, showsMask: Bool
    ) throws -> Image {
        guard pngData.starts(with: PNGChunks.signature) else {
            throw PNGCodec.malformed(name, "is not a PNG file")
        }
        return try PNGCodec.decode(
            Array(pngData), name: name, keepsText: false, maximumSide: maximumSide,
            showsMask: showsMask
        ).image
    }

    private static func decoded(
        _ url: URL, keepsText: Bool, showsMask: Bool = false
    ) throws -> (image: Image, text: [String: String], notes: [String]) {
        let (format, bytes) = try readFile(at: url)
        guard format != .png else {
            return try PNGCodec.decode(
                bytes, name: url.path, keepsText: keepsText, showsMask: showsMask)
        }
        let codec = try PhotoCodec(format, name: url.path)
        return (try codec.image(bytes, showsMask: showsMask), [:], [])
    }

    /// The bytes of a file that starts as one of the formats does. Another file, which may be
    /// large, is not read on.
    private static func readFile(at url: URL) throws -> (ImageFileFormat, [UInt8]) {
        try requireFileURL(url)
        let name = url.path
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: name, isDirectory: &isDirectory) else {
            throw WuerstchenError(.fileNotFound, "\(name) is not there; check the path")
        }
        guard !isDirectory.boolValue else {
            throw WuerstchenError(
                .unreadableFile, "\(name) is a folder; give the path of an image")
        }
        let start: [UInt8]
        let rest: Data
        do {
            let handle = try FileHandle(forReadingFrom: url)
            defer { try? handle.close() }
            start = Array(try handle.read(upToCount: ImageFileFormat.signatureLength) ?? Data())
            var file = Data()
            // In parts, so that a large file does not keep a cancelled task.
            while ImageFileFormat(signature: start) != nil,
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
        return (try ImageFileFormat(signature: start, of: name), start + rest)
    }
}
