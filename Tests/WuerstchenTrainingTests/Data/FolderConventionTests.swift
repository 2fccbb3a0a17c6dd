import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@testable import WuerstchenTraining

/// How people lay out the folders that other trainers read.
@Suite("Folders as people have them") struct FolderConventionTests {
    private func options(
        tags: CaptionTags? = nil, repeats: Bool = false, heldOut: Double = 0
    ) -> ImageFolderOptions {
        ImageFolderOptions(
            sizes: .fixed(ImageSize(width: 16, height: 16)), heldOutShare: heldOut,
            includesSubfolders: true, tags: tags, countsRepeats: repeats)
    }

    private func captions(_ folder: ImageFolder, rounds: Int = 1) throws -> [String] {
        try (0..<rounds * folder.imageCount).flatMap { try folder.batch($0, count: 1).captions }
    }

    @Test(
        "photographs are found beside PNG files, whatever their names say",
        .enabled(if: ImageFileFormat.allCases.allSatisfy(\.isReadable)))
    func photographs() throws {
        try withFolder { folder in
            try folder.put("a.jpg", Array(SmallPhotos.jpeg))
            try folder.put("b.WEBP", Array(SmallPhotos.turned))
            try folder.put("c.jpeg", Array(try Image.plain(16, 16, 7).pngData()))
            try folder.put("d.jpg", [0xFF, 0xD8, 0xFF])
            try folder.put("e.gif", [0x47])
            let images = try ImageFolder(folder, options: options())
            #expect(images.imageCount == 3)
            let found = images.summary().images
            // The two of as many pixels come in the order of their names; one stands upright.
            #expect(images.listing.images.map(\.size.width) == [20, 12, 16])
            #expect(found?.findings.unreadable?.example == "d.jpg")
            #expect(found?.findings.otherFormats?.example == "e.gif")
            let batch = try images.batch(0, count: 3)
            #expect(batch.pixels.shape.array == [3, 16, 16, 3])
        }
    }

    @Test("a table of captions, of folders too; a text file comes before it")
    func table() throws {
        try withFolder { folder in
            for name in ["a.png", "b.png", "more/c.png", "d.png"] { try folder.putImage(name) }
            try folder.put("b.txt", "from a file")
            try folder.put(
                "metadata.jsonl",
                """
                {"file_name": "a.png", "text": " a red house "}

                {"file_name": "b.png", "text": "from the table"}
                {"file_name": "gone.png", "text": "of nothing", "other": 3}
                """)
            try folder.put("more/metadata.jsonl", #"{"file_name": "c.png", "caption": "a boat"}"#)
            let images = try ImageFolder(folder, options: options())
            #expect(Set(try captions(images)) == ["a red house", "from a file", "", "a boat"])
            let summary = images.summary().captions
            #expect(summary?.count == 3 && summary?.missing?.example == "d.png")
            #expect(summary?.strays?.example == "metadata.jsonl:4")
            let texts = try CaptionFolder(folder, includesSubfolders: true).captions
            #expect(Set(texts) == ["a red house", "from a file", "of nothing", "a boat"])
        }
    }

    @Test(
        "a line that is no entry is named",
        arguments: ["{", #"{"file_name": "a.png"}"#, #"{"text": "a"}"#, "[]", #"{"file_name": 3}"#])
    func badLine(line: String) throws {
        try withFolder { folder in
            try folder.putImage("a.png")
            try folder.put("metadata.jsonl", #"{"file_name": "a.png", "text": "a"}"# + "\n" + line)
            let error = #expect(throws: WuerstchenError.self) {
                try ImageFolder(folder, options: options())
            }
            #expect(error?.code == .malformedFile && error?.message.contains("line 2") == true)
        }
    }

    @Test("images in folders with numbers count so many times")
    func repeats() throws {
        try withFolder { folder in
            try folder.putImage("3_wind mill/a.png")
            try folder.putImage("3_wind mill/b.png")
            try folder.put("3_wind mill/b.txt", "a mill")
            try folder.putImage("2024_holiday/c.png")
            try folder.putImage("d.png")
            let images = try ImageFolder(folder, options: options(repeats: true))
            let counts = Dictionary(grouping: try captions(images)) { $0 }.mapValues(\.count)
            #expect(counts == ["wind mill": 3, "a mill": 3, "": 2])
            #expect(images.summary().images?.count == 4)
            #expect(try ImageFolder(folder, options: options()).imageCount == 4)
        }
    }

    @Test("tags come in other orders, the first of them where they are")
    func tags() throws {
        try withFolder { folder in
            try folder.putImage("a.png")
            try folder.put("a.txt", "hill, red ,blue,, green, small")
            let images = try ImageFolder(folder, options: options(tags: CaptionTags(kept: 1)))
            let found = try captions(images, rounds: 8)
            #expect(Set(found).count > 3)
            for caption in found {
                let tags = caption.components(separatedBy: ", ")
                #expect(tags.first == "hill")
                #expect(tags.sorted() == ["blue", "green", "hill", "red", "small"])
            }
            #expect(found == (try captions(images, rounds: 8)))
        }
    }
}
