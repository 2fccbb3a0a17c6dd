import CWuerstchenPhotos
import Foundation
import TensorCore

/// The formats that images are read from, told by how a file begins.
package enum ImageFileFormat: Sendable, CaseIterable {
    /// Always read.
    case png
    /// Read where the system has libturbojpeg.
    case jpeg
    /// Read where the system has libwebp. Of an animation, nothing is.
    case webp

    /// The extensions of its files, in lower case.
    package var kinds: [String] {
        switch self {
        case .png: ["png"]
        case .jpeg: ["jpg", "jpeg"]
        case .webp: ["webp"]
        }
    }

    /// How many bytes of a file tell its format.
    static let signatureLength = 12

    /// The format of a file with these first bytes; nil for another.
    init?(signature: [UInt8]) {
        if signature.starts(with: PNGChunks.signature) {
            self = .png
        } else if signature.starts(with: [0xFF, 0xD8, 0xFF]) {
            self = .jpeg
        } else if signature.starts(with: "RIFF".utf8),
            signature.dropFirst(8).starts(with: "WEBP".utf8)
        {
            self = .webp
        } else {
            return nil
        }
    }

    /// The format of a file with these first bytes.
    ///
    /// - Throws: `WuerstchenError` with code `malformedFile` for an empty file or another format.
    package init(signature: [UInt8], of name: String) throws {
        guard let format = Self(signature: signature) else {
            let found = signature.prefix(8).map { String(format: "%02X", $0) }
            throw PNGCodec.malformed(
                name,
                signature.isEmpty
                    ? "is empty"
                    : "is not a PNG, JPEG or WebP file: it starts with the bytes "
                        + found.joined(separator: " "))
        }
        self = format
    }

    /// Whether this system has what it takes to read such files.
    package var isReadable: Bool {
        switch self {
        case .png: true
        case .jpeg: wuerstchen_jpeg_open()
        case .webp: wuerstchen_webp_open()
        }
    }

    /// What people call it.
    package var label: String {
        switch self {
        case .png: "PNG"
        case .jpeg: "JPEG"
        case .webp: "WebP"
        }
    }

    /// The system's package that reads it; nil for one that is there.
    package var missingLibrary: String? {
        guard !isReadable else { return nil }
        return self == .jpeg ? "libturbojpeg0" : "libwebp7"
    }
}
