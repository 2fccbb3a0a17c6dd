public import Foundation
import TensorCore

extension Image {
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

    static func requireFileURL(_ url: URL) throws {
        guard url.isFileURL else {
            throw WuerstchenError(
                .invalidRequest, "\(url) is not the URL of a file; give one with the scheme file:")
        }
    }
}
