import Foundation
import TensorCore
import Wuerstchen

/// The size of an image, and of a PNG file whether its pixels are there, without decoding it.
enum ImageHeader {
    /// The size that a file says its image has, as it stands upright.
    ///
    /// - Throws: `WuerstchenError` for a file that is no image, a PNG file that ends early, or
    ///   sides that an image cannot have. Damage to the pixels shows only when they are decoded.
    static func size(of url: URL) throws -> ImageSize {
        _ = try requireRegularFile(url)
        do {
            let handle = try FileHandle(forReadingFrom: url)
            defer { try? handle.close() }
            let start = Array(try handle.read(upToCount: 12) ?? Data())
            let format = try ImageFileFormat(signature: start, of: url.path)
            return format == .png
                ? try sizeOfPNG(in: handle, name: url.path)
                : try size(of: format, start, handle, name: url.path)
        } catch let error as WuerstchenError {
            throw error
        } catch {
            throw WuerstchenError(
                .unreadableFile, "\(url.path) cannot be read; check its permissions",
                underlying: error)
        }
    }

    private static func size(
        of format: ImageFileFormat, _ start: [UInt8], _ handle: FileHandle, name: String
    ) throws -> ImageSize {
        let codec = try PhotoCodec(format, name: name)
        // Photographs are large, and what comes before the pixels is not.
        if format == .jpeg {
            let part = start + (try handle.read(upToCount: 1 << 18) ?? Data())
            if let size = try? codec.size(part) { return size }
            return try codec.size(part + (try handle.readToEnd() ?? Data()))
        }
        return try codec.size(start + (try handle.readToEnd() ?? Data()))
    }

    private static func sizeOfPNG(in handle: FileHandle, name: String) throws -> ImageSize {
        func malformed(_ found: String) -> WuerstchenError {
            WuerstchenError(.malformedFile, "\(name) \(found); save or copy it again as PNG")
        }
        let length = try handle.seekToEnd()
        try handle.seek(toOffset: 0)
        let start = Array(try handle.read(upToCount: 33) ?? Data())
        guard start.count == 33, start[8..<16].elementsEqual([0, 0, 0, 13] + Array("IHDR".utf8))
        else { throw malformed("does not start with a whole IHDR chunk") }

        let size = ImageSize(
            width: integer(start[16..<20]), height: integer(start[20..<24]))
        try size.requireReadable(in: name)
        // From chunk to chunk: each is a length, a type, the data and a checksum. What is missing
        // after the pixels does not matter.
        var orientation: ImageOrientation?
        var hasPixels = false
        var offset: UInt64 = 33
        while true {
            try handle.seek(toOffset: offset)
            let head = Array(try handle.read(upToCount: 8) ?? Data())
            let type = head.dropFirst(4)
            let end = head.count == 8 ? offset + UInt64(integer(head[..<4])) + 12 : .max
            let isEnd = type.elementsEqual("IEND".utf8)
            guard end <= length, !isEnd else {
                guard isEnd || hasPixels && !type.elementsEqual("IDAT".utf8) else {
                    throw malformed("ends early")
                }
                return (orientation ?? .upright).upright(size)
            }
            if type.elementsEqual("IDAT".utf8) { hasPixels = true }
            if type.elementsEqual("eXIf".utf8), orientation == nil {
                let count = min(integer(head[..<4]), ImageOrientation.exifLimit)
                orientation = ImageOrientation(exif: try handle.read(upToCount: count) ?? Data())
            }
            offset = end
        }
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.reduce(0) { $0 << 8 | Int($1) }
    }
}
