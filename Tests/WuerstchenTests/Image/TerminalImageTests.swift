import Testing
import Wuerstchen
import _WuerstchenTestSupport

@Suite("Images in a terminal") struct TerminalImageTests {
    private static let escape = "\u{1B}"

    private func image(_ width: Int, _ pixels: [[UInt8]]) throws -> Image {
        try Image(width: width, height: pixels.count / width, pixels: pixels.flatMap(\.self))
    }

    @Test("half blocks: two pixels to a character, colours where they change")
    func halfBlocks() throws {
        let image = try image(
            2, [[1, 2, 3], [1, 2, 3], [255, 0, 9], [255, 0, 9], [7, 7, 7], [8, 8, 8]])
        let made = try TerminalImage(
            image, as: .halfBlocks, in: TerminalArea(columns: 2, rows: 2))
        let e = Self.escape
        #expect(made.rows == 2 && made.wayBack == "\(e)[2A\r")
        #expect(
            made.text
                == "\(e)[38;2;1;2;3;48;2;255;0;9m▀▀\(e)[0m\(e)[K\r\n"
                + "\(e)[38;2;7;7;7;49m▀\(e)[38;2;8;8;8m▀\(e)[0m\(e)[K\r\n")
    }

    @Test("kitty: pixels in base 64, in pieces of 4096 characters")
    func kitty() throws {
        let e = Self.escape
        let area = TerminalArea(columns: 1, rows: 1, cell: ImageSize(width: 2, height: 2))
        let small = try TerminalImage(
            image(2, [[0, 1, 2], [253, 254, 255]]), as: .kitty, in: area)
        #expect(
            small.text == "\(e)_Ga=T,f=24,s=2,v=1,i=4211,p=1,q=2,C=1,c=1,r=1,m=0;AAEC/f7/\(e)\\\r\n"
        )
        let grey = [[UInt8]](repeating: [0, 0, 0], count: 64 * 32)
        let large = try TerminalImage(
            image(64, grey), as: .kitty, in: TerminalArea(columns: 16, rows: 4))
        // Enlarged twice by the terminal: to 128×64 pixels, of 10×20 a character.
        #expect(large.rows == 4)
        let piece = String(repeating: "A", count: 4096)
        #expect(
            large.text
                == "\(e)_Ga=T,f=24,s=64,v=32,i=4211,p=1,q=2,C=1,c=13,r=4,m=1;\(piece)\(e)\\"
                + "\(e)_Gq=2,m=0;\(piece)\(e)\\\r\n\r\n\r\n\r\n")
    }

    @Test("sixel: six rows at a time, colour by colour, repetitions counted")
    func sixel() throws {
        let e = Self.escape
        let (black, red, white): ([UInt8], [UInt8], [UInt8]) = (
            [0, 0, 0], [255, 0, 0], [255, 255, 255]
        )
        let area = TerminalArea(columns: 1, rows: 1, cell: ImageSize(width: 3, height: 2))
        let made = try TerminalImage(
            image(3, [red, red, black, black, white, red]), as: .sixel, in: area)
        #expect(
            made.text
                == "\r\n\(e)[1A\(e)7\(e)P0;1q\"1;1;3;2#0;2;0;0;0#180;2;100;0;0#215;2;100;100;100"
                + "#0A?@$#180@@A$#215?A?-\(e)\\\(e)8\(e)[1B")
        let tall = try TerminalImage(
            image(5, [[UInt8]](repeating: white, count: 5 * 7)), as: .sixel,
            in: TerminalArea(columns: 1, rows: 1, cell: ImageSize(width: 5, height: 7)))
        #expect(tall.text.contains("#215!5~-#215!5@-\(e)\\"))
    }

    @Test("sixels keep the mean of colours between their shades")
    func dithering() throws {
        let side = 24
        let made = try TerminalImage(
            image(side, [[UInt8]](repeating: [100, 20, 230], count: side * side)), as: .sixel,
            in: TerminalArea(columns: 1, rows: 1, cell: ImageSize(width: side, height: side)))
        // The number of pixels of each colour, from the bits of its sixels.
        var sums = [Double](repeating: 0, count: 3)
        let start = try #require(made.text.firstRange(of: "q\""))
        let bands = made.text[start.upperBound...].drop { $0 != "#" }
        for line in bands.split(whereSeparator: { "$-#".contains($0) }) where !line.contains(";") {
            guard let colour = Int(line.prefix { $0.isNumber }) else { continue }
            var (count, repeated) = (0, "")
            for character in line.drop(while: { $0.isNumber }).unicodeScalars {
                if character == "!" {
                    repeated = " "
                } else if !repeated.isEmpty,
                    ("0"..."9").contains(character)
                {
                    repeated.unicodeScalars.append(character)
                } else if (63...126).contains(character.value) {
                    let times = Int(repeated.drop { $0 == " " }) ?? 1
                    count += times * (character.value - 63).nonzeroBitCount
                    repeated = ""
                }
            }
            for (channel, shade) in [colour / 36, colour / 6 % 6, colour % 6].enumerated() {
                sums[channel] += Double(51 * shade * count)
            }
        }
        for (sum, expected) in zip(sums, [100.0, 20, 230]) {
            #expect(abs(sum / Double(side * side) - expected) < 4)
        }
    }

    @Test("images fit into the area as a whole, and are enlarged up to twice")
    func fitting() throws {
        let wide = try image(40, [[UInt8]](repeating: [9, 9, 9], count: 40 * 10))
        for (columns, rows, expected) in [(20, 20, 3), (200, 200, 10), (100, 2, 2)] {
            let made = try TerminalImage(
                wide, as: .halfBlocks, in: TerminalArea(columns: columns, rows: rows))
            #expect(made.rows == expected)
        }
        for graphics in TerminalGraphics.allCases {
            expectError(.invalidRequest, "no room") {
                _ = try TerminalImage(
                    wide, as: graphics, in: TerminalArea(columns: 0, rows: 3))
            }
        }
    }

    @Test("what a terminal announces")
    func announced() {
        let cases: [([String: String], TerminalGraphics?)] = [
            ([:], nil), (["TERM": "dumb"], nil), (["TERM": "xterm-256color"], .halfBlocks),
            (["TERM": "xterm-kitty"], .kitty), (["TERM": "xterm", "KITTY_WINDOW_ID": "1"], .kitty),
            (["TERM": "xterm", "TERM_PROGRAM": "ghostty"], .kitty),
            (["TERM": "foot-extra"], .sixel),
            (["TERM": "xterm", "TERM_PROGRAM": "mintty"], .sixel),
            (["TERM": "xterm-kitty", "TMUX": "x"], .halfBlocks),
            (["TERM": "screen.foot"], .halfBlocks),
        ]
        for (environment, expected) in cases {
            #expect(TerminalGraphics(environment: environment) == expected, "\(environment)")
        }
        let e = Self.escape
        let answers: [(String, TerminalGraphics?, Bool)] = [
            ("", nil, false), ("\(e)[?62;4;22c", .sixel, true), ("\(e)[?62;22c", nil, true),
            ("\(e)[?4c", nil, true), ("\(e)_Gi=4211;OK\(e)\\\(e)[?62;4c", .kitty, true),
            ("\(e)_Gi=4211;ENOTSUP\(e)\\\(e)[?1;2c", nil, true), ("\(e)[?62;4", nil, false),
        ]
        for (answer, expected, isComplete) in answers {
            #expect(TerminalGraphics(answer: answer.utf8) == expected, "\(answer)")
            #expect(TerminalGraphics.isComplete(answer.utf8) == isComplete)
        }
    }

    @Test("drawings take no more than their share of the time")
    func budget() {
        var budget = DrawingBudget(share: 0.01, interval: .milliseconds(200))
        var (now, spent, drawings) = (Duration.zero, Duration.zero, 0)
        while now < .seconds(20) {
            if budget.allowsDrawing(at: now) {
                let end = now + .milliseconds(10)
                budget.note(from: now, to: end)
                (now, spent, drawings) = (end, spent + .milliseconds(10), drawings + 1)
            }
            now += .milliseconds(7)
        }
        #expect(spent <= .milliseconds(210) && drawings > 15)
        // Cheap ones keep the interval.
        budget = DrawingBudget(share: 0.01, interval: .milliseconds(200))
        (now, drawings) = (.zero, 0)
        while now < .seconds(2) {
            if budget.allowsDrawing(at: now) {
                budget.note(from: now, to: now)
                drawings += 1
            }
            now += .milliseconds(50)
        }
        #expect(drawings == 10)
    }
}
