import Foundation

/// Reads JSON strictly and in one pass, driven by what the caller expects next.
///
/// Foundation's decoder silently keeps one of two equal keys, and a tree of values costs many times
/// the memory of its text; here every key is checked and nothing is stored that nobody asked for.
struct JSONScanner {
    /// Nesting is read by recursion, so unlimited depth would be unlimited stack.
    private static let maximumDepth = 64

    private let text: [UInt8]
    private let url: URL
    private var position = 0
    private var depth = 0
    private var path: [String] = []

    /// A scanner at the start of a text; messages name the file it is from.
    init(_ text: [UInt8], from url: URL) {
        self.text = text
        self.url = url
    }

    /// Reads an object, calling the closure for each key to read the value that belongs to it.
    mutating func object(_ member: (inout JSONScanner, String) throws -> Void) throws {
        try enter("{", "an object")
        defer { depth -= 1 }
        if take("}") { return }
        var keys: Set<String> = []
        repeat {
            let key = try string()
            path.append(key)
            guard keys.insert(key).inserted else {
                throw failure("this key appears twice, where keys must be unique")
            }
            guard take(":") else { throw unexpected("a colon") }
            try member(&self, key)
            path.removeLast()
        } while take(",")
        guard take("}") else { throw unexpected("a comma or the end of the object") }
    }

    /// Reads an array, calling the closure to read each element.
    mutating func array(_ element: (inout JSONScanner) throws -> Void) throws {
        try enter("[", "an array")
        defer { depth -= 1 }
        if take("]") { return }
        repeat { try element(&self) } while take(",")
        guard take("]") else { throw unexpected("a comma or the end of the array") }
    }

    /// Reads a string.
    mutating func string() throws -> String {
        guard take("\"") else { throw unexpected("a string") }
        var bytes: [UInt8] = []
        while let byte = next, byte != UInt8(ascii: "\"") {
            guard byte >= 0x20 else { throw unexpected("a string without control characters") }
            position += 1
            if byte == UInt8(ascii: "\\") {
                bytes.append(contentsOf: try escapedCharacter().utf8)
            } else {
                bytes.append(byte)
            }
        }
        guard next != nil else { throw unexpected("the end of a string") }
        position += 1
        guard let string = String(validating: bytes, as: UTF8.self) else {
            throw failure("a string is not valid UTF-8")
        }
        return string
    }

    /// Reads a non-negative integer, written without fraction and exponent.
    mutating func naturalNumber() throws -> Int {
        skipWhitespace()
        let start = position
        var value = 0
        while let digit = next.flatMap(Self.digit) {
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(digit)
            guard !overflow, !carry else {
                throw failure("the number is too large; at most \(Int.max) was expected")
            }
            value = sum
            position += 1
        }
        let isFraction = next.map { Array(".eE".utf8).contains($0) } ?? false
        guard position > start, !isFraction else { throw unexpected("a non-negative integer") }
        guard position == start + 1 || text[start] != UInt8(ascii: "0") else {
            throw failure("a number starts with a superfluous zero")
        }
        return value
    }

    /// Reads a value of any kind and forgets it.
    mutating func skipValue() throws {
        skipWhitespace()
        switch next {
        case UInt8(ascii: "{"): try object { json, _ in try json.skipValue() }
        case UInt8(ascii: "["): try array { json in try json.skipValue() }
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: try skipNumber()
        }
    }

    /// Makes sure that nothing but padding is left.
    mutating func end(paddedWith padding: String) throws {
        let padding = Array(padding.utf8)
        while let byte = next {
            guard padding.contains(byte) else { throw unexpected("nothing after the object") }
            position += 1
        }
    }

    /// The error for something wrong at the current place.
    func failure(_ problem: String) -> WuerstchenError {
        let keys = path.map(Safetensors.quoted).joined(separator: ".")
        let place = path.isEmpty ? "" : ", in \(keys)"
        return Safetensors.malformed(url, "byte \(position) of the JSON\(place): \(problem)")
    }
}

extension JSONScanner {
    private var next: UInt8? { position < text.count ? text[position] : nil }

    private mutating func skipWhitespace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            position += 1
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipWhitespace()
        guard next == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func enter(_ bracket: Unicode.Scalar, _ expected: String) throws {
        guard take(bracket) else { throw unexpected(expected) }
        guard depth < Self.maximumDepth else {
            throw failure("nested deeper than \(Self.maximumDepth) levels")
        }
        depth += 1
    }

    private mutating func literal(_ word: String) throws {
        guard text[position...].starts(with: word.utf8) else { throw unexpected(word) }
        position += word.utf8.count
    }

    private mutating func skipNumber() throws {
        if next == UInt8(ascii: "-") { position += 1 }
        let isZero = next == UInt8(ascii: "0")
        let digits = try skipDigits("a value")
        guard !isZero || digits == 1 else { throw failure("a number starts with a zero too many") }
        if next == UInt8(ascii: ".") {
            position += 1
            try skipDigits("a digit")
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            position += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
            try skipDigits("a digit")
        }
    }

    @discardableResult
    private mutating func skipDigits(_ expected: String) throws -> Int {
        let start = position
        while next.flatMap(Self.digit) != nil { position += 1 }
        guard position > start else { throw unexpected(expected) }
        return position - start
    }

    private static func digit(_ byte: UInt8) -> Int? {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            ? Int(byte - UInt8(ascii: "0")) : nil
    }

    private mutating func escapedCharacter() throws -> Unicode.Scalar {
        guard let byte = next else { throw unexpected("the end of a string") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try escapedCodePoint()
        default:
            position -= 1
            throw unexpected("an escape sequence")
        }
    }

    /// Characters beyond the first 65536 are escaped as two surrogates, neither of which is a
    /// character by itself.
    private mutating func escapedCodePoint() throws -> Unicode.Scalar {
        var value = try codeUnit()
        if (0xD800..<0xDC00).contains(value), text[position...].starts(with: "\\u".utf8) {
            position += 2
            let low = try codeUnit()
            guard (0xDC00..<0xE000).contains(low) else {
                throw failure("half of a surrogate pair stands alone")
            }
            value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(value) else {
            throw failure("half of a surrogate pair stands alone")
        }
        return scalar
    }

    private mutating func codeUnit() throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw unexpected("four hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    private func unexpected(_ expected: String) -> WuerstchenError {
        guard let next else { return failure("expected \(expected), found the end of the text") }
        let found =
            (0x21..<0x7F).contains(next)
            ? "'\(Unicode.Scalar(next))'" : "byte 0x\(String(next, radix: 16))"
        return failure("expected \(expected), found \(found)")
    }
}
