import CWuerstchenPNG
import TensorCore

/// Images as the bytes of PNG files. The pixels are libpng's work; text is put in and taken out of
/// the chunks around them.
enum PNGCodec {
    /// The image and the text in the bytes of a PNG file; `name` is for messages.
    static func decode(
        _ file: [UInt8], name: String
    ) throws -> (image: Image, text: [String: String]) {
        let chunks: [PNGChunk]
        do {
            chunks = try PNGChunk.chunks(of: file)
        } catch {
            throw malformed(name, error.found)
        }
        guard let header = chunks.first, header.type == "IHDR", header.data.count == 13 else {
            throw malformed(name, "does not start with an IHDR chunk of 13 bytes")
        }
        let size = ImageSize(
            width: PNGChunk.integer(header.data.prefix(4)),
            height: PNGChunk.integer(header.data.dropFirst(4).prefix(4)))
        guard size.width <= ImageSize.maximumSide && size.height <= ImageSize.maximumSide else {
            throw WuerstchenError(
                .unreadableFile,
                "\(name) has \(size) pixels; images can have up to \(ImageSize.maximumSide) a side,"
                    + " so make it smaller")
        }

        var samples = [UInt8](repeating: 0, count: 4 * size.width * size.height)
        var message = [CChar](repeating: 0, count: 128)
        let succeeded = wuerstchen_png_read(
            file, file.count, &samples, samples.count, &message, message.count)
        guard succeeded != 0 else {
            throw malformed(name, "cannot be decoded (\(string(message)))")
        }
        let image = try Image(
            width: size.width, height: size.height, pixels: overWhite(samples))

        var text: [String: String] = [:]
        for entry in chunks.lazy.compactMap(PNGText.decode) {
            text[entry.keyword] = entry.text
        }
        return (image, text)
    }

    /// The bytes of a PNG file of the image and the text.
    static func encode(_ image: Image, text: [(key: String, value: String)]) throws -> [UInt8] {
        let chunks = try text.map { try PNGText.chunk(keyword: $0.key, text: $0.value) }
        var file = try encode(image)
        // IHDR is the first chunk and takes 25 bytes. Right after it, text is found without going
        // through the pixels.
        file.insert(contentsOf: chunks.flatMap(\.encoded), at: PNGChunk.signature.count + 25)
        return file
    }

    /// The error for a file that contradicts the PNG format.
    static func malformed(_ name: String, _ found: String) -> WuerstchenError {
        WuerstchenError(
            .malformedFile, "\(name) \(found); give a PNG file, or save or copy this one again")
    }

    private static func encode(_ image: Image) throws -> [UInt8] {
        var control = png_image()
        control.version = png_uint_32(PNG_IMAGE_VERSION)
        control.width = png_uint_32(image.width)
        control.height = png_uint_32(image.height)
        control.format = png_uint_32(PNG_FORMAT_RGB)

        var succeeded = false
        let capacity = wuerstchen_png_size_max(&control)
        let file = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            var length = png_alloc_size_t(capacity)
            succeeded =
                png_image_write_to_memory(
                    &control, buffer.baseAddress, &length, 0, image.pixels, 0, nil) != 0
            count = succeeded ? Int(length) : 0
        }
        guard succeeded else {
            let message = withUnsafeBytes(of: control.message) {
                $0.prefix { $0 != 0 }.map(CChar.init(bitPattern:))
            }
            throw WuerstchenError(
                .unwritableFile,
                "an image of \(image.size) pixels cannot be encoded as PNG (\(string(message))); "
                    + "free some memory")
        }
        return file
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

    /// The text of a C string in a buffer.
    private static func string(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
