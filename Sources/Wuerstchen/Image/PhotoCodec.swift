import CWuerstchenPhotos
import TensorCore

/// Images of JPEG and WebP files, by libturbojpeg and libwebp.
package struct PhotoCodec {
    private let format: ImageFileFormat
    private let name: String

    /// A codec for a file of a format.
    ///
    /// - Throws: `WuerstchenError` with code `unreadableFile` where the system lacks the library.
    package init(_ format: ImageFileFormat, name: String) throws {
        if let library = format.missingLibrary {
            throw WuerstchenError(
                .unreadableFile,
                "\(name) is a \(format.label) file, which is read with a library that is not "
                    + "there; install \(library), or convert the file to PNG")
        }
        (self.format, self.name) = (format, name)
    }

    /// The size of the image as it stands upright, from the file's first bytes, which must hold
    /// everything before the pixels, and of a WebP file everything.
    package func size(_ bytes: [UInt8]) throws -> ImageSize {
        orientation(bytes).upright(try storedSize(bytes))
    }

    /// The image in the bytes of a file, turned upright: its colours in front of white, or what a
    /// mask is made of, see `RGBASamples`.
    func image(_ bytes: [UInt8], showsMask: Bool) throws -> Image {
        let size = try storedSize(bytes)
        try size.requirePlausible(in: name, of: bytes.count)
        var samples = [UInt8](repeating: 0, count: 4 * size.width * size.height)
        var message = Self.noMessage
        try Task.checkCancellation()
        let (width, height) = (Int32(size.width), Int32(size.height))
        let isWhole =
            format == .jpeg
            ? wuerstchen_jpeg_decode(bytes, bytes.count, &samples, width, height, &message)
            : wuerstchen_webp_decode(bytes, bytes.count, &samples, width, height)
        guard isWhole else { throw damaged(message) }
        let orientation = orientation(bytes)
        let upright = orientation.upright(size)
        return try Image(
            width: upright.width, height: upright.height,
            pixels: orientation.upright(
                RGBASamples.pixels(samples[...], showsMask: showsMask), of: size))
    }

    private func storedSize(_ bytes: [UInt8]) throws -> ImageSize {
        var (width, height): (Int32, Int32) = (0, 0)
        var message = Self.noMessage
        let isFound =
            format == .jpeg
            ? wuerstchen_jpeg_size(bytes, bytes.count, &width, &height, &message)
            : wuerstchen_webp_size(bytes, bytes.count, &width, &height)
        // libwebp gives 0 for what it has not read yet.
        guard isFound, width > 0, height > 0 else { throw damaged(message) }
        let size = ImageSize(width: Int(width), height: Int(height))
        try size.requireReadable(in: name)
        return size
    }

    private static let noMessage = [CChar](
        repeating: 0, count: Int(wuerstchen_photo_message_length))

    private func damaged(_ message: [CChar]) -> WuerstchenError {
        let text = String(
            decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let reason = text.isEmpty ? "it is damaged, ends early or is an animation" : text
        return WuerstchenError(
            .malformedFile, "\(name) cannot be decoded (\(reason)); save or copy it again")
    }

    // MARK: How it must be turned

    private func orientation(_ bytes: [UInt8]) -> ImageOrientation {
        let exif = format == .jpeg ? Self.exifOfJPEG(bytes) : Self.exifOfWebP(bytes)
        return exif.map { ImageOrientation(exif: $0) } ?? .upright
    }

    /// The block that cameras write: the APP1 segment that begins with its name. Each segment
    /// before the pixels is FF, a marker, and its length with the two bytes that hold it.
    private static func exifOfJPEG(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
        let (startOfScan, application1): (UInt8, UInt8) = (0xDA, 0xE1)
        var place = 2
        while place + 4 <= bytes.count, bytes[place] == 0xFF, bytes[place + 1] != startOfScan {
            let length = Int(bytes[place + 2]) << 8 | Int(bytes[place + 3])
            let end = place + 2 + length
            guard length >= 2, end <= bytes.count else { return nil }
            let content = bytes[place + 4..<end]
            if bytes[place + 1] == application1, content.starts(with: "Exif\0\0".utf8) {
                return content
            }
            place = end
        }
        return nil
    }

    /// The chunk EXIF. Each chunk is a name, a length with the lowest byte first, and so many
    /// bytes, filled up to an even number.
    private static func exifOfWebP(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
        var place = 12
        while place + 8 <= bytes.count {
            let length = bytes[place + 4..<place + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
            let end = place + 8 + length
            guard end <= bytes.count else { return nil }
            if bytes[place...].starts(with: "EXIF".utf8) { return bytes[place + 8..<end] }
            place = end + length % 2
        }
        return nil
    }
}
