import CWuerstchenPNG
import TensorCore

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Images and text as the bytes of PNG files, by libpng.
enum PNGCodec {
    /// The eight bytes that every PNG file starts with.
    static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    /// The image in the bytes of a PNG file, and its text if wanted.
    ///
    /// - Parameters:
    ///   - bytes: The file.
    ///   - name: What messages call it.
    ///   - keepsText: Whether text is read; otherwise it is passed over, and costs nothing.
    /// - Returns: The image and its text by keyword.
    /// - Throws: `WuerstchenError` that names the file and what is wrong with it.
    static func decode(
        _ bytes: [UInt8], name: String, keepsText: Bool
    ) throws -> (image: Image, text: [String: String]) {
        try bytes.withUnsafeBufferPointer { bytes in
            var file = wuerstchen_png_file()
            // Reading does not change them.
            file.bytes = UnsafeMutablePointer(mutating: bytes.baseAddress)
            file.count = bytes.count
            // What libpng is given the address of must stay where it is.
            return try withUnsafeMutablePointer(to: &file) { file in
                defer { wuerstchen_png_close(file) }
                return try decode(file, name: name, keepsText: keepsText)
            }
        }
    }

    private static func decode(
        _ file: UnsafeMutablePointer<wuerstchen_png_file>, name: String, keepsText: Bool
    ) throws -> (image: Image, text: [String: String]) {
        guard wuerstchen_png_open(file, keepsText ? 1 : 0) != 0 else {
            throw malformed(name, "cannot be decoded (\(message(of: file)))")
        }
        let (png, info) = (file.pointee.png, file.pointee.info)
        let size = ImageSize(
            width: Int(png_get_image_width(png, info)),
            height: Int(png_get_image_height(png, info)))
        guard size.width <= ImageSize.maximumSide && size.height <= ImageSize.maximumSide else {
            throw WuerstchenError(
                .unreadableFile,
                "\(name) has \(size) pixels; images can have up to \(ImageSize.maximumSide) a side,"
                    + " so make it smaller")
        }
        var samples = [UInt8](repeating: 0, count: 4 * size.width * size.height)
        guard wuerstchen_png_decode(file, &samples, samples.count) != 0 else {
            throw malformed(name, "cannot be decoded (\(message(of: file)))")
        }
        let image = try Image(
            width: size.width, height: size.height, pixels: overWhite(samples))

        var entries: png_textp?
        var text: [String: String] = [:]
        for index in 0..<Int(png_get_text(png, info, &entries, nil)) {
            guard let entry = entries?[index], let decoded = PNGText.decode(entry) else { continue }
            text[decoded.keyword] = decoded.text
        }
        return (image, text)
    }

    /// The bytes of a PNG file of the image and the text.
    static func encode(_ image: Image, text: [(key: String, value: String)]) throws -> [UInt8] {
        let texts = try text.map { try PNGText(keyword: $0.key, text: $0.value) }
        var file = wuerstchen_png_file()
        return try withUnsafeMutablePointer(to: &file) { file in
            defer { free(file.pointee.bytes) }
            let succeeded = PNGText.withEntries(texts) { entries in
                wuerstchen_png_encode(
                    file, UInt32(image.width), UInt32(image.height), image.pixels, &entries,
                    Int32(entries.count))
            }
            guard succeeded != 0 else {
                throw WuerstchenError(
                    .unwritableFile,
                    "an image of \(image.size) pixels cannot be encoded as PNG "
                        + "(\(message(of: file))); free some memory")
            }
            return Array(
                UnsafeBufferPointer(start: file.pointee.bytes, count: file.pointee.position))
        }
    }

    /// The error for a file that contradicts the PNG format.
    static func malformed(_ name: String, _ found: String) -> WuerstchenError {
        WuerstchenError(
            .malformedFile, "\(name) \(found); give a PNG file, or save or copy this one again")
    }

    /// The colours of RGBA samples in front of white.
    private static func overWhite(_ samples: [UInt8]) -> [UInt8] {
        var pixels: [UInt8] = []
        pixels.reserveCapacity(samples.count / 4 * 3)
        for index in stride(from: 0, to: samples.count, by: 4) {
            let alpha = Int(samples[index + 3])
            for sample in samples[index..<(index + 3)] {
                pixels.append(UInt8((alpha * Int(sample) + (255 - alpha) * 255 + 127) / 255))
            }
        }
        return pixels
    }

    /// What libpng said about an error.
    private static func message(of file: UnsafeMutablePointer<wuerstchen_png_file>) -> String {
        withUnsafeBytes(of: file.pointee.message) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
