/// How an image must be turned to stand upright, as cameras note it: the tag `Orientation` of Exif.
package enum ImageOrientation: Int, Sendable, CaseIterable {
    /// As it is.
    case upright = 1
    /// Left and right are exchanged.
    case mirrored = 2
    /// Upside down.
    case turnedAround = 3
    /// Top and bottom are exchanged.
    case flipped = 4
    /// The first row is the left column.
    case transposed = 5
    /// The first row is the right column: it must be turned a quarter clockwise.
    case quarterLeft = 6
    /// The first row is the right column, from the bottom.
    case transversed = 7
    /// The first row is the left column, from the bottom: it must be turned a quarter
    /// anticlockwise.
    case quarterRight = 8

    /// The longest eXIf chunk that is looked into: what follows is thumbnails.
    package static let exifLimit = 1 << 16

    /// The orientation in a block of Exif; upright where it says none or is not well-formed.
    package init(exif: some Collection<UInt8>) {
        self = Self.value(in: Array(exif.prefix(Self.exifLimit))).flatMap(Self.init) ?? .upright
    }

    private static func value(in bytes: [UInt8]) -> Int? {
        var bytes = bytes[...]
        // What begins the block in a JPEG file does not belong into a PNG file, and is found there.
        if bytes.starts(with: Array("Exif".utf8) + [0, 0]) { bytes = bytes.dropFirst(6) }
        let isLittle: Bool
        switch Array(bytes.prefix(4)) {
        case [0x49, 0x49, 42, 0]: isLittle = true
        case [0x4D, 0x4D, 0, 42]: isLittle = false
        default: return nil
        }
        let block = Array(bytes)
        func number(_ place: Int, _ count: Int) -> Int? {
            guard place >= 0, place <= block.count - count else { return nil }
            let part = block[place..<place + count]
            return isLittle
                ? part.reversed().reduce(0) { $0 << 8 | Int($1) }
                : part.reduce(0) { $0 << 8 | Int($1) }
        }
        guard let directory = number(4, 4), let count = number(directory, 2) else { return nil }
        for index in 0..<count {
            let entry = directory + 2 + 12 * index
            guard let tag = number(entry, 2) else { return nil }
            // A SHORT lies in the first two bytes of the field of four.
            if tag == 0x0112 { return number(entry + 2, 2) == 3 ? number(entry + 8, 2) : nil }
        }
        return nil
    }

    /// Whether width and height change places.
    package var swapsSides: Bool { rawValue >= 5 }

    /// The size that an image of a size has when it stands upright.
    package func upright(_ size: ImageSize) -> ImageSize {
        swapsSides ? ImageSize(width: size.height, height: size.width) : size
    }

    /// Samples of three bytes a pixel, row by row, turned upright.
    func upright(_ pixels: [UInt8], of size: ImageSize) -> [UInt8] {
        guard self != .upright else { return pixels }
        let (width, height) = (size.width, size.height)
        // Where the first pixel of the result lies, and how far it is to the next in its row and in
        // its column.
        let (right, down) = (1, width)
        let (last, bottom) = (width - 1, (height - 1) * width)
        let (first, next, row) =
            switch self {
            case .upright: (0, right, down)
            case .mirrored: (last, -right, down)
            case .turnedAround: (bottom + last, -right, -down)
            case .flipped: (bottom, right, -down)
            case .transposed: (0, down, right)
            case .quarterLeft: (bottom, -down, right)
            case .transversed: (bottom + last, -down, -right)
            case .quarterRight: (last, down, -right)
            }
        let result = upright(size)
        var turned: [UInt8] = []
        turned.reserveCapacity(pixels.count)
        for y in 0..<result.height {
            for x in 0..<result.width {
                let place = 3 * (first + y * row + x * next)
                turned.append(pixels[place])
                turned.append(pixels[place + 1])
                turned.append(pixels[place + 2])
            }
        }
        return turned
    }
}
