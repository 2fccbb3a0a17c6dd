import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenScenes
import WuerstchenTraining
import _WuerstchenTestSupport

/// What a training says about its folder before it begins.
@Suite("What a folder holds") struct FolderSummaryTests {
    private func options(
        heldOutShare: Double = 0, subfolders: Bool = false, readsCaptions: Bool = true
    ) -> ImageFolderOptions {
        ImageFolderOptions(
            sizes: .buckets(AspectBuckets(side: 32, multiple: 16, maximumRatio: 4)),
            heldOutShare: heldOutShare,
            includesSubfolders: subfolders, readsCaptions: readsCaptions)
    }

    private func tokenizer() throws -> CLIPTokenizer {
        let folder = try TemporaryFolder()
        try SceneTokenizer.write(to: folder.url)
        return try CLIPTokenizer(contentsOf: folder.url)
    }

    @Test("everything that is not as it should be is counted, with an example")
    func table() throws {
        try withFolder { folder in
            for name in ["a", "b", "c", "d", "e"] { try folder.putImage("\(name).png") }
            try folder.putImage("wide.png", size: (90, 22))
            try folder.put("a.txt", "a red house")
            try folder.put("b.txt", String(repeating: "a red house ", count: 50))
            try folder.put("c.txt", " \n")
            try folder.put("d.txt", [0xE9])
            try folder.put("nobody.txt", "a green house")
            try folder.putImage("tiny.png", size: (4, 4))
            try folder.put("text.png", "no image")
            try folder.put("photo.gif", [0x47, 0x49])
            try folder.put("photo.tiff", [0x49, 0x49])
            try folder.putImage("more/f.png")

            let images = try ImageFolder(folder, options: options())
            let tokenizer = try tokenizer()
            let summary = images.summary(tokenizer: tokenizer)
            let captions = try #require(summary.captions)
            #expect(captions.count == 2)
            #expect(captions.missing?.count == 2 && captions.missing?.example == "e.png")
            #expect(captions.empty?.example == "c.txt")
            #expect(captions.cut?.example == "b.txt" && captions.tokenLimit == tokenizer.length)
            #expect(captions.unreadable?.example == "d.txt")
            #expect(captions.strays?.example == "nobody.txt")
            let found = try #require(summary.images)
            #expect(found.count == 6 && found.heldOutCount == 0)
            #expect(found.buckets.map(\.count).reduce(0, +) == 6 && found.buckets.count == 2)
            #expect(found.smallestSize == ImageSize(width: 40, height: 40))
            #expect(found.largestSize == ImageSize(width: 90, height: 22))
            #expect(found.findings.tooSmall?.example == "tiny.png")
            #expect(found.findings.unreadable?.example == "text.png")
            #expect(found.findings.otherFormats?.count == 2)
            #expect(found.findings.unvisitedFolders?.example == "more")
            try summary.requireCaptions()

            let lines = summary.description.split(separator: "\n")
            #expect(lines.first.map(String.init) == folder.path)
            for words in [
                ["images", "6, 40×40 to 90×22"], ["batches of", "32×32: 5"],
                ["held out", "none"], ["too small", "1, skipped, such as tiny.png"],
                ["unreadable", "1, skipped, such as text.png"],
                ["other formats", "2, skipped, such as photo.gif"],
                ["folders", "1 not looked into, such as more"], ["captions", "2"],
                ["missing", "2, such as e.png"], ["empty", "1, such as c.txt"],
                ["cut", "1 of more than \(tokenizer.length) tokens, such as b.txt"],
                ["not read", "1 (not UTF-8", "such as d.txt"],
                ["without image", "1, such as nobody.txt"],
            ] {
                #expect(
                    lines.contains { line in words.allSatisfy { line.contains($0) } }, "\(words)")
            }
        }
    }

    @Test("half of the captions missing is shown, none at all is refused unless it is meant")
    func missingCaptions() throws {
        try withFolder { folder in
            for index in 0..<4 { try folder.putImage("\(index).png") }
            expectError(
                .invalidRequest, "no caption", "4 images have no text file, such as 0.png",
                "--no-captions"
            ) {
                try ImageFolder(folder, options: options()).summary()
                    .requireCaptions(isTextOptional: true)
            }
            // Where there is no way without text, none is advised.
            do {
                try ImageFolder(folder, options: options()).summary()
                    .requireCaptions()
                Issue.record("a folder without captions was taken")
            } catch let error as WuerstchenError {
                #expect(error.message.hasSuffix("in a.txt or a.caption"), "\(error)")
            }
            try ImageFolder(folder, options: options(readsCaptions: false)).summary()
                .requireCaptions()
            try folder.put("0.png.txt", "misnamed")
            try folder.put("1.txt", "")
            expectError(
                .invalidRequest, "1 files are empty, such as 1.txt",
                "1 files belong to no image, such as 0.png.txt"
            ) { try ImageFolder(folder, options: options()).summary().requireCaptions() }
            for index in 0..<2 { try folder.put("\(index).txt", "a house") }
            let images = try ImageFolder(folder, options: options())
            let summary = images.summary()
            try summary.requireCaptions()
            #expect(summary.captions?.count == 2 && summary.captions?.missing?.count == 2)
            #expect("\(summary)".contains("2, such as 2.png"))
            let silent = try ImageFolder(folder, options: options(readsCaptions: false))
            #expect(silent.summary().captions == nil)
            #expect(try silent.batch(0, count: 4).captions == ["", "", "", ""])
        }
    }

    @Test("folders in the folder are read if that is asked for, however they are linked")
    func subfolders() throws {
        try withFolder { folder in
            try folder.putImage("cats/a.png", 10)
            try folder.put("cats/a.txt", "a cat")
            try folder.putImage("dogs.v2/big/a.png", 20)
            try folder.put("dogs.v2/big/a.caption", "a dog")
            try folder.putImage("dogs.v2/none.png", 30)
            try folder.putImage(".hidden/a.png", 40)
            for (link, target) in [("cats/loop", ".."), ("again", "cats"), ("gone", "nowhere")] {
                try FileManager.default.createSymbolicLink(
                    atPath: folder.appendingPathComponent(link).path, withDestinationPath: target)
            }
            expectError(.fileNotFound, "no image in it", "such as again", "--subfolders") {
                _ = try ImageFolder(folder, options: options())
            }
            let images = try ImageFolder(folder, options: options(subfolders: true))
            let batch = try images.batch(0, count: images.imageCount)
            let found = (0..<batch.captions.count).map { index in
                [
                    String(Int((batch.pixels[index, 0, 0, 0] * 255).rounded())),
                    batch.captions[index],
                ]
            }
            #expect(Set(found) == [["10", "a cat"], ["20", "a dog"], ["30", ""]])
            #expect(images.summary().images?.findings.unvisitedFolders == nil)
        }
    }

    @Test("a fingerprint tells names, sizes and captions, and not where the folder lies")
    func fingerprint() throws {
        try withFolder { folder in
            try folder.putImage("in/a.png")
            try folder.put("in/a.txt", "a cat")
            let place = folder.appendingPathComponent("in")
            func fingerprint(_ url: URL) throws -> String {
                try ImageFolder(url, options: options()).fingerprint
            }
            let first = try fingerprint(place)
            #expect(first.count == 16)
            #expect(try fingerprint(folder.appendingPathComponent("./in/../in")) == first)
            try FileManager.default.copyItem(at: place, to: folder.appendingPathComponent("moved"))
            #expect(try fingerprint(folder.appendingPathComponent("moved")) == first)
            var seen: Set = [first]
            try folder.put("in/a.txt", "a hat")
            #expect(try seen.insert(fingerprint(place)).inserted)
            try folder.putImage("in/a.png", size: (40, 41))
            #expect(try seen.insert(fingerprint(place)).inserted)
            try folder.putImage("in/b.png")
            #expect(try seen.insert(fingerprint(place)).inserted)
            let captions = try CaptionFolder(place).fingerprint
            try folder.put("in/c.txt", "a dog")
            #expect(try CaptionFolder(place).fingerprint != captions)
        }
    }
}

/// Which images are held out, and when none are.
@Suite("Held-out images") struct HeldOutTests {
    private func folder(_ names: [String], share: Double) throws -> (TemporaryFolder, ImageFolder) {
        let folder = try TemporaryFolder()
        for name in names { try folder.url.putImage("\(name).png", size: (8, 8), UInt8(7)) }
        let images = try ImageFolder(
            folder.url,
            options: ImageFolderOptions(
                sizes: .fixed(ImageSize(width: 8, height: 8)), heldOutShare: share))
        return (folder, images)
    }

    @Test("a name's side stays what it was when shares were given as intervals")
    func sameChoice() throws {
        // Computed with the interval 20 by another implementation.
        let expected = [26, 47, 90, 164, 166]
        let folder = try TemporaryFolder()
        for index in 0..<200 {
            try folder.url.putImage("\(index).png", size: (8, 8), UInt8(index))
        }
        let images = try ImageFolder(
            folder.url,
            options: ImageFolderOptions(
                sizes: .fixed(ImageSize(width: 8, height: 8)), heldOutShare: 0.05))
        let validation = try #require(images.validation)
        let batch = try validation.batch(0, count: validation.imageCount)
        let found = (0..<validation.imageCount).map {
            Int((batch.pixels[$0, 0, 0, 0] * 255).rounded())
        }
        #expect(found.sorted() == expected)
        #expect(images.summary().images?.heldOutCount == expected.count)
    }

    @Test(
        "where chance would take too many of few images, none are held out, and that is said",
        arguments: [
            (["26"], 0.05), (["26", "47"], 0.05), (["26", "1"], 0.05), (["26", "1", "2"], 0.05),
            (["0", "2", "3"], 0.25), (["26", "47"], 0.5),
        ])
    func fewImages(names: [String], share: Double) throws {
        let (_, images) = try folder(names, share: share)
        #expect(images.imageCount == names.count && images.validation == nil)
        let summary = images.summary()
        #expect(summary.images?.heldOutCount == 0 && summary.images?.isTooSmallToHoldOut == true)
        #expect("\(summary)".contains("none: there are too few images"))
    }

    @Test("where it takes no more than a quarter or twice the share, they are")
    func enoughImages() throws {
        let (_, four) = try folder(["26", "1", "3", "4"], share: 0.05)
        #expect(four.imageCount == 3 && four.validation?.imageCount == 1)
        #expect(four.summary().images?.isTooSmallToHoldOut == false)
        let (_, two) = try folder(["26", "1"], share: 0.25)
        #expect(two.imageCount == 1 && two.validation?.imageCount == 1)
        let (_, lucky) = try folder(["1"], share: 0.05)
        #expect(lucky.summary().images?.isTooSmallToHoldOut == false)
    }
}
