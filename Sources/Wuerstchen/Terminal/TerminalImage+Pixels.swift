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
    /// cube of six shades each, with each pixel's error handed on to its neighbours (Floyd and
    /// Steinberg, 1976).
    init(rows: Int, sixel image: Image) {
        let colours = image.cubeColours
        let (width, height) = (image.width, image.height)
        var text = "\u{1B}P0;1q\"1;1;\(width);\(height)"
        for colour in Set(colours).sorted() {
            text += "#\(colour);2;\(colour / 36 * 20);\(colour / 6 % 6 * 20);\(colour % 6 * 20)"
        }
        for top in stride(from: 0, to: height, by: 6) {
            // The bits of each colour's sixels.
            var bands: [Int: [UInt8]] = [:]
            for y in top..<min(top + 6, height) {
                for x in 0..<width {
                    bands[colours[y * width + x], default: [UInt8](repeating: 0, count: width)][
                        x] |=
                        1 << UInt8(y - top)
                }
            }
            let lines = bands.sorted { $0.key < $1.key }.map { "#\($0.key)\(Self.runs($0.value))" }
            text += lines.joined(separator: "$") + "-"
        }
        text += "\u{1B}\\"
        // The room first, so that nothing scrolls while it is drawn.
        let room = String(repeating: "\r\n", count: rows)
        self.init(
            rows: rows, text: "\(room)\u{1B}[\(rows)A\u{1B}7\(text)\u{1B}8\u{1B}[\(rows)B")
    }

    /// Sixels with repetitions counted.
    private static func runs(_ bits: [UInt8]) -> String {
        var text = ""
        var start = 0
        while start < bits.count {
            let end = bits[start...].firstIndex { $0 != bits[start] } ?? bits.count
            let character = String(Character(Unicode.Scalar(bits[start] + 63)))
            text +=
                end - start > 3
                ? "!\(end - start)\(character)" : String(repeating: character, count: end - start)
            start = end
        }
        return text
    }
}

extension Image {
    /// Each pixel's colour in a cube of six shades, 36 · red + 6 · green + blue.
    fileprivate var cubeColours: [Int] {
        var colours = [Int](repeating: 0, count: width * height)
        for channel in 0..<3 {
            let factor = [36, 6, 1][channel]
            // Errors that this row and the next have been handed.
            var (here, below) = (
                [Float](repeating: 0, count: width + 2), [Float](repeating: 0, count: width + 2)
            )
            for y in 0..<height {
                for x in 0..<width {
                    let wanted = Float(pixels[3 * (y * width + x) + channel]) + here[x + 1]
                    let shade = min(max((wanted / 51).rounded(), 0), 5)
                    let error = wanted - shade * 51
                    here[x + 2] += error * 7 / 16
                    below[x] += error * 3 / 16
                    below[x + 1] += error * 5 / 16
                    below[x + 2] += error / 16
                    colours[y * width + x] += factor * Int(shade)
                }
                here = below
                below = [Float](repeating: 0, count: width + 2)
            }
        }
        return colours
    }
}
