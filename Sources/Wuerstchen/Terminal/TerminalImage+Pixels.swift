private import Foundation

extension TerminalImage {
    /// kitty's graphics protocol: all pixels in base 64, in pieces of 4096 characters. The image
    /// takes the place of the last one, of which it has the number, and leaves the cursor alone.
    init(kitty image: Image, rows: Int, columns: Int) {
        let payload = Array(Data(image.pixels).base64EncodedString().utf8)
        let piece = 4096
        var text = ""
        for start in stride(from: 0, to: payload.count, by: piece) {
            let end = min(start + piece, payload.count)
            let more = end < payload.count ? 1 : 0
            let keys =
                start == 0
                ? "a=T,f=24,s=\(image.width),v=\(image.height),i=4211,p=1,q=2,C=1,c=\(columns),"
                    + "r=\(rows),m=\(more)"
                : "q=2,m=\(more)"
            text +=
                "\u{1B}_G\(keys);\(String(decoding: payload[start..<end], as: UTF8.self))\u{1B}\\"
        }
        self.init(rows: rows, text: text + String(repeating: "\r\n", count: rows))
    }

    /// Sixels: six rows of pixels at a time, one colour after the other. Colours are those of a
    /// cube of six shades each, mixed by ordered dithering (Bayer, 1973).
    init(rows: Int, sixel image: Image) {
        let colours = image.cubeColours
        let (width, height) = (image.width, image.height)
        var text = Array("\u{1B}P0;1q\"1;1;\(width);\(height)".utf8)
        for colour in Set(colours).sorted() {
            text +=
                "#\(colour);2;\(colour / 36 * 20);\(colour / 6 % 6 * 20);\(colour % 6 * 20)".utf8
        }
        // The bits of each colour's sixels in six rows, one colour after the other.
        var bits = [UInt8](repeating: 0, count: 216 * width)
        var isUsed = [Bool](repeating: false, count: 216)
        for top in stride(from: 0, to: height, by: 6) {
            for y in top..<min(top + 6, height) {
                for x in 0..<width {
                    let colour = Int(colours[y * width + x])
                    bits[colour * width + x] |= 1 << UInt8(y - top)
                    isUsed[colour] = true
                }
            }
            var isFirst = true
            for colour in 0..<216 where isUsed[colour] {
                text += "\(isFirst ? "" : "$")#\(colour)".utf8
                isFirst = false
                let line = colour * width..<(colour + 1) * width
                Self.append(bits[line], to: &text)
                for place in line { bits[place] = 0 }
                isUsed[colour] = false
            }
            text.append(UInt8(ascii: "-"))
        }
        text += "\u{1B}\\".utf8
        // The room first, so that nothing scrolls while it is drawn.
        let room = String(repeating: "\r\n", count: rows)
        let drawing = String(decoding: text, as: UTF8.self)
        self.init(
            rows: rows, text: "\(room)\u{1B}[\(rows)A\u{1B}7\(drawing)\u{1B}8\u{1B}[\(rows)B")
    }

    /// Appends sixels with repetitions counted.
    private static func append(_ bits: ArraySlice<UInt8>, to text: inout [UInt8]) {
        var start = bits.startIndex
        while start < bits.endIndex {
            var end = start + 1
            while end < bits.endIndex, bits[end] == bits[start] { end += 1 }
            let character = bits[start] + 63
            if end - start > 3 {
                text += "!\(end - start)".utf8
                text.append(character)
            } else {
                for _ in start..<end { text.append(character) }
            }
            start = end
        }
    }
}

extension Image {
    /// Each pixel's colour in a cube of six shades, 36 · red + 6 · green + blue.
    fileprivate var cubeColours: [UInt8] {
        let thresholds = [0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5].map {
            (2 * $0 + 1) * 255 / 32
        }
        var colours: [UInt8] = []
        colours.reserveCapacity(width * height)
        for y in 0..<height {
            for x in 0..<width {
                let threshold = thresholds[y % 4 * 4 + x % 4]
                func shade(_ channel: Int) -> Int {
                    let fifths = 5 * Int(pixels[3 * (y * width + x) + channel])
                    return fifths / 255 + (fifths % 255 > threshold ? 1 : 0)
                }
                colours.append(UInt8(36 * shade(0) + 6 * shade(1) + shade(2)))
            }
        }
        return colours
    }
}
