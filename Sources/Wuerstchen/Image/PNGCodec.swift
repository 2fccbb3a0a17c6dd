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
    /// The image in the bytes of a PNG file, turned upright, and its text if wanted.
    ///
    /// - Parameters:
    ///   - bytes: The file.
    ///   - name: What messages call it.
    ///   - keepsText: Whether text is read; otherwise it is passed over, and costs nothing.
    ///   - maximumSide: The longest side that is read, in pixels.
    ///   - showsMask: Whether the image has what a mask is made of in place of the colours, see
    ///     `RGBASamples`.
    /// - Returns: The image, its text by keyword, and what is wrong with the file beside its
    ///   pixels.
    /// - Throws: `WuerstchenError` that names the file and what is wrong with it, and
    ///   `CancellationError`.
    static func decode(
        _ bytes: [UInt8], name: String, keepsText: Bool,
        maximumSide: Int = ImageSize.maximumSide, showsMask: Bool = false
    ) throws -> (image: Image, text: [String: String], notes: [String]) {
        let chunks = try PNGChunks(bytes, name: name, keepsText: keepsText)
        let image = try chunks.stream.withUnsafeBufferPointer { bytes in
            var file = wuerstchen_png_file()
            // Reading does not change them.
            file.bytes = UnsafeMutablePointer(mutating: bytes.baseAddress)
            file.count = bytes.count
            // What libpng is given the address of must stay where it is.
            return try withUnsafeMutablePointer(to: &file) { file in
                defer { wuerstchen_png_close(file) }
                return try decode(
                    file, chunks.orientation, name: name, maximumSide, showsMask)
            }
        }
        return (image.0, image.1, chunks.notes.map { "\(name) \($0)" })
    }

    private static func decode(
        _ file: UnsafeMutablePointer<wuerstchen_png_file>, _ orientation: ImageOrientation,
        name: String, _ maximumSide: Int, _ showsMask: Bool
    ) throws -> (Image, [String: String]) {
        func failure() -> WuerstchenError {
            malformed(name, "cannot be decoded (\(message(of: file)))")
        }
        guard wuerstchen_png_open(file, PNGText.maximumLength) != 0 else { throw failure() }
        let (png, info) = (file.pointee.png, file.pointee.info)
        let size = ImageSize(
            width: Int(png_get_image_width(png, info)),
            height: Int(png_get_image_height(png, info)))
        try size.requireReadable(in: name, upTo: maximumSide)
        try size.requirePlausible(in: name, of: file.pointee.count)
        let text = self.text(of: file)
        let passes = Int(wuerstchen_png_begin(file))
        guard passes > 0 else { throw failure() }

        // Rows are read so many at a time that cancellation is noticed at once; those of an
        // interlaced file are only complete after the last pass.
        let rowLength = 4 * size.width
        let rowsAtOnce = passes > 1 ? size.height : max(1, (1 << 20) / rowLength)
        var samples = [UInt8](repeating: 0, count: rowLength * min(size.height, rowsAtOnce))
        var pixels: [UInt8] = []
        pixels.reserveCapacity(3 * size.width * size.height)
        for first in stride(from: 0, to: size.height, by: rowsAtOnce) {
            let count = min(rowsAtOnce, size.height - first)
            for _ in 0..<passes {
                try Task.checkCancellation()
                guard wuerstchen_png_rows(file, &samples, count) != 0 else { throw failure() }
            }
            RGBASamples.append(
                samples[..<(count * rowLength)], to: &pixels, showsMask: showsMask)
        }
        let upright = orientation.upright(size)
        return (
            try Image(
                width: upright.width, height: upright.height,
                pixels: orientation.upright(pixels, of: size)),
            text
        )
    }

    /// The text of an opened file by keyword, as far as all of it stays below a limit.
    private static func text(
        of file: UnsafeMutablePointer<wuerstchen_png_file>
    ) -> [String: String] {
        var entries: png_textp?
        var text: [String: String] = [:]
        var rest = PNGText.maximumTotalLength
        for index in 0..<Int(png_get_text(file.pointee.png, file.pointee.info, &entries, nil)) {
            guard let entry = entries?[index], let decoded = PNGText.decode(entry) else { continue }
            rest -= decoded.text.utf8.count
            guard rest >= 0 else { break }
            text[decoded.keyword] = decoded.text
        }
        return text
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
            .malformedFile, "\(name) \(found); give an image as PNG, or save or copy this one again"
        )
    }

    /// What libpng said about an error.
    private static func message(of file: UnsafeMutablePointer<wuerstchen_png_file>) -> String {
        withUnsafeBytes(of: file.pointee.message) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
