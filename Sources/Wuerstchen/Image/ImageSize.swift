import TensorCore

/// The width and height of an image, in pixels.
public struct ImageSize: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The longest side that an ``Image`` can have, in pixels.
    public static let maximumSide = 16384

    /// The number of columns, in pixels.
    public var width: Int
    /// The number of rows, in pixels.
    public var height: Int

    /// A size of any two numbers; whether an image can have it is checked where one is made.
    ///
    /// - Parameters:
    ///   - width: The number of columns, in pixels.
    ///   - height: The number of rows, in pixels.
    public init(width: Int, height: Int) {
        self.width = width
        self.height = height
    }

    /// Width and height, as in "1024×768".
    public var description: String {
        "\(width)×\(height)"
    }
}

extension ImageSize {
    /// Throws `invalidRequest` unless an image can have this size. Its number of bytes then fits an
    /// `Int` with ease.
    func validate() throws {
        let sides = 1...Self.maximumSide
        guard sides.contains(width) && sides.contains(height) else {
            throw WuerstchenError(
                .invalidRequest,
                "an image cannot be \(self) pixels; choose sides of 1 to \(Self.maximumSide) pixels"
            )
        }
    }

    /// Throws `unreadableFile` unless an image in a file can have this size.
    package func requireReadable(
        in name: String, upTo maximumSide: Int = ImageSize.maximumSide
    ) throws {
        let sides = 1...max(1, min(maximumSide, Self.maximumSide))
        guard sides.contains(width) && sides.contains(height) else {
            throw WuerstchenError(
                .unreadableFile,
                "\(name) has \(self) pixels; images can have up to \(sides.upperBound) a side, so "
                    + "make it smaller")
        }
    }

    /// Throws `malformedFile` for many more pixels than a file of so many bytes has, before there
    /// is memory for them: a few hundred bytes can claim gigabytes.
    func requirePlausible(in name: String, of byteCount: Int) throws {
        // A page of one colour has hundreds of pixels a byte.
        let (fewest, pixelsPerByte) = (1 << 26, 2048)
        guard width * height <= max(fewest, pixelsPerByte * byteCount) else {
            throw WuerstchenError(
                .malformedFile,
                "\(name) cannot be decoded (it claims \(self) pixels and has \(byteCount) bytes); "
                    + "save or copy it again")
        }
    }
}
