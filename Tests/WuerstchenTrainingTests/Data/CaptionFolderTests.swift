import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

/// Text files as people have them: read, or named and left out, and never the end of the work.
@Suite("Captions of a folder") struct CaptionFolderTests {
    private static func utf16(_ text: String, bigEndian: Bool) -> [UInt8] {
        ([0xFEFF] + Array(text.utf16)).flatMap { unit -> [UInt8] in
            let (low, high) = (UInt8(truncatingIfNeeded: unit), UInt8(unit >> 8))
            return bigEndian ? [high, low] : [low, high]
        }
    }

    private static let readable: [(name: String, bytes: [UInt8])] = [
        ("utf8.txt", Array(" Größe 🌭\r\n".utf8)),
        ("mark.txt", [0xEF, 0xBB, 0xBF] + Array("Größe 🌭".utf8)),
        ("little.txt", utf16("Größe 🌭\r\n", bigEndian: false)),
        ("big.txt", utf16("Größe 🌭", bigEndian: true)),
        ("UPPER.TXT", Array("Größe 🌭".utf8)),
        ("kohya.caption", Array("Größe 🌭\n".utf8)),
    ]

    private static let unreadable: [(name: String, bytes: [UInt8], reason: String)] = [
        ("cp1252.txt", [0x47, 0x72, 0xF6, 0xDF, 0x65], "not UTF-8"),
        ("unmarked.txt", Array(utf16("Stadt", bigEndian: false).dropFirst(2)), "not UTF-8"),
        ("odd.txt", [0xFF, 0xFE, 0x41], "not UTF-8"),
        ("surrogate.txt", [0xFF, 0xFE, 0x00, 0xD8], "not UTF-8"),
        ("utf32.txt", [0xFF, 0xFE, 0, 0, 0x41, 0, 0, 0], "not UTF-8"),
        ("large.txt", Array(repeating: 0x20, count: 1 << 20 | 1), "1048577 bytes"),
    ]

    @Test("whatever can be read is read the same way for images and without them")
    func allKinds() throws {
        try withFolder { folder in
            for (index, file) in Self.readable.enumerated() {
                try folder.put(file.name, file.bytes)
                let stem = file.name.prefix { $0 != "." }
                try folder.putImage("\(stem).png", UInt8(index))
            }
            for file in Self.unreadable {
                try folder.put(file.name, file.bytes)
                let stem = file.name.prefix { $0 != "." }
                try folder.putImage("\(stem).png", 99)
            }
            try folder.putDeadLink("link.txt")
            try folder.putImage("link.png", 99)
            #expect(mkfifo(folder.appendingPathComponent("pipe.txt").path, 0o600) == 0)
            try folder.putImage("pipe.png", 99)
            // What macOS leaves on foreign disks.
            try folder.put("._0.txt", [0, 5, 0x16, 7])
            try folder.put("._0.png", [0, 5, 0x16, 7])

            let messages = Messages()
            let captions = try CaptionFolder(folder) { messages.add($0) }
            #expect(captions.captions == Array(repeating: "Größe 🌭", count: Self.readable.count))
            let others =
                Self.unreadable.map { ($0.name, $0.reason) } + [
                    ("link.txt", "is a link to what is not there"),
                    ("pipe.txt", "not a regular file"),
                ]
            for (name, reason) in others {
                let found = messages.all.filter { $0.contains("/\(name) ") }
                #expect(found.count == 1 && found[0].contains(reason), "\(name): \(found)")
            }
            #expect(messages.all.count == others.count, "and nothing about hidden files")

            let again = Messages()
            let images = try ImageFolder(
                folder,
                options: ImageFolderOptions(sizes: .fixed(ImageSize(width: 32, height: 32)))
            ) { again.add($0) }
            let batch = try images.batch(0, count: images.imageCount)
            for (index, caption) in batch.captions.enumerated() {
                let isReadable = batch.pixels[index, 0, 0, 0] * 255 < 50
                #expect(caption == (isReadable ? "Größe 🌭" : ""))
            }
            #expect(again.all.count == others.count)
            let summary = try #require(images.summary().captions)
            #expect(summary.count == Self.readable.count)
            #expect(summary.unreadable?.count == others.count)
            #expect(again.all.count == others.count, "each is named once")
        }
    }

    @Test("of several text files for one image a .txt counts, and a .caption after it")
    func precedence() throws {
        try withFolder { folder in
            try folder.put("a.caption", "tags")
            try folder.put("a.txt", "words")
            try folder.put("b.caption", "other tags")
            #expect(try CaptionFolder(folder).captions == ["words", "other tags"])
        }
    }

    @Test("a folder without captions is an error that says why")
    func nothing() throws {
        try withFolder { folder in
            expectError(.fileNotFound, "nowhere", "not a folder") {
                _ = try CaptionFolder(folder.appendingPathComponent("nowhere"))
            }
            expectError(.fileNotFound, folder.path, "no caption in it") {
                _ = try CaptionFolder(folder)
            }
            try folder.put("a.txt", [0xFF])
            expectError(.fileNotFound, "can be read, of 1") { _ = try CaptionFolder(folder) }
            expectError(.fileNotFound, "a.txt", "not a folder") {
                _ = try CaptionFolder(folder.appendingPathComponent("a.txt"))
            }
        }
        try withFolder { folder in
            try folder.put("cats/a.txt", "a cat")
            try folder.put("dogs/a.txt", "a dog")
            expectError(.fileNotFound, "2 of them, such as cats", "--subfolders") {
                _ = try CaptionFolder(folder)
            }
            let captions = try CaptionFolder(folder, includesSubfolders: true)
            #expect(captions.captions == ["a cat", "a dog"])
        }
    }
}
