import Foundation
import Synchronization
import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

/// A folder's images are of one grey each, by which they are recognised in a batch.
private func values(_ batch: ImageBatch) -> [Int] {
    (0..<batch.pixels.shape[0]).map { Int((batch.pixels[$0, 0, 0, 0] * 255).rounded()) }
}

private func write(
    _ name: String, size: (Int, Int) = (40, 40), _ value: Int, to folder: URL,
    caption: String? = nil
) throws {
    try Image.plain(size.0, size.1, UInt8(value)).write(to: folder.appendingPathComponent(name))
    if let caption {
        let stem = name[..<(name.lastIndex(of: ".") ?? name.endIndex)]
        try Data(caption.utf8).write(to: folder.appendingPathComponent(stem + ".txt"))
    }
}

private func square(
    _ side: Int = 32, heldOutShare: Double = 0, seed: UInt64 = 0
) -> ImageFolderOptions {
    ImageFolderOptions(
        sizes: .fixed(ImageSize(width: side, height: side)),
        heldOutShare: heldOutShare, seed: seed)
}

@Suite struct ImageBatchTests {
    @Test func imagesOfAllSizesBecomeOneSize() throws {
        try withFolder { folder in
            let sizes = [(40, 40), (200, 31), (16, 16), (33, 90)]
            for (index, size) in sizes.enumerated() {
                try write("\(index).png", size: size, 10 * index, to: folder)
            }
            let images = try ImageFolder(folder, options: square())
            let batch = try images.batch(0, count: 4)
            #expect(batch.pixels.shape == [4, 32, 32, 3])
            #expect(values(batch).sorted() == [0, 10, 20, 30])
            #expect(batch.captions == ["", "", "", ""])
            for index in 0..<4 {
                let image = batch.pixels[index..<index + 1].elements
                #expect(Set(image).count == 1, "an image of one colour stays so")
            }
        }
    }

    @Test func textInFilesCostsNothing() throws {
        let text = Array("key\0\0".utf8) + SmallPNG.run(of: 65, 900_000)
        let chunks = (0..<400).map { _ in ("zTXt", text) }
        let png = SmallPNG(width: 16, height: 16, bits: 8, type: 0, chunks: chunks) { _, _ in [9] }
        try withFolder { folder in
            try folder.put("text.png", png.bytes)
            // By the clock, as other threads read; the shortest of five is not the machine's doing.
            let learnt = try (0..<5).map { _ in
                try ContinuousClock().measure {
                    let images = try ImageFolder(folder, options: square())
                    #expect(try values(images.batch(0, count: 1)) == [9])
                }
            }
            let read = try processorTime {
                let file = try Image.read(contentsOf: folder.appendingPathComponent("text.png"))
                #expect(file.text["key"]?.utf8.count == 900_000)
            }
            #expect(learnt.contains { $0 < read / 2 }, "learnt \(learnt), read \(read)")
        }
    }

    @Test func batchesDependOnSeedNumberAndCountAlone() throws {
        try withFolder { folder in
            for index in 0..<30 {
                // Every image another shape, with every pixel another value.
                try Image.drawn(40 + index, 90 - index) { x, y in
                    (UInt8(x), UInt8(y), UInt8(index))
                }.write(to: folder.appendingPathComponent("\(index).png"))
            }
            func make(_ seed: UInt64) throws -> ImageFolder {
                try ImageFolder(
                    folder,
                    options: ImageFolderOptions(
                        sizes: .buckets(AspectBuckets(side: 32, multiple: 8)), crop: .random,
                        mirrors: true, seed: seed))
            }
            let first = try make(1)
            let batches = try (0..<12).map { try first.batch($0, count: 4) }
            // Another object, and in another order.
            let second = try make(1)
            for number in (0..<12).reversed() {
                let batch = try second.batch(number, count: 4)
                #expect(batch.pixels.shape == batches[number].pixels.shape)
                #expect(batch.pixels.elements == batches[number].pixels.elements)
            }
            let other = try make(2)
            let equal = try (0..<12).count {
                try other.batch($0, count: 4).pixels.elements == batches[$0].pixels.elements
            }
            #expect(equal == 0)
        }
    }

    @Test func eachBatchHasOneOfTheSizes() throws {
        try withFolder { folder in
            for index in 0..<12 {
                try write("wide \(index).png", size: (90, 45), index, to: folder)
                try write("tall \(index).png", size: (45, 90), 100 + index, to: folder)
                if index < 6 {
                    try write("even \(index).png", size: (64, 60), 200 + index, to: folder)
                }
            }
            let buckets = AspectBuckets(side: 64, multiple: 16, maximumRatio: 2)
            let images = try ImageFolder(
                folder, options: ImageFolderOptions(sizes: .buckets(buckets)))
            #expect(images.imageCount == 30)
            #expect(images.bucketCounts.map(\.count) == [12, 6, 12])
            #expect(images.bucketCounts.allSatisfy { buckets.sizes.contains($0.size) })

            var seen: [Int] = []
            for number in 0..<15 {
                let batch = try images.batch(number, count: 2)
                let shape = batch.pixels.shape
                let groups = Set(values(batch).map { $0 / 100 })
                #expect(groups.count == 1, "a batch is from one bucket")
                switch groups.first {
                case 0: #expect(shape[1] < shape[2])
                case 1: #expect(shape[1] > shape[2])
                default: #expect(shape[1] == 64 && shape[2] == 64)
                }
                seen += values(batch)
            }
            #expect(seen.sorted() == Array(0..<12) + Array(100..<112) + Array(200..<206))
        }
    }

    @Test func centreIsKeptAndNothingIsMirroredUnlessAskedFor() throws {
        try withFolder { folder in
            // Five stripes; a square keeps the middle one, in its own order from left to right.
            try Image.drawn(500, 100) { x, _ in (UInt8(x / 2), 0, 0) }
                .write(to: folder.appendingPathComponent("stripes.png"))
            let images = try ImageFolder(folder, options: square(100))
            for number in 0..<8 {
                let row = try images.batch(number, count: 1).pixels[0..<1].elements
                #expect(row[0] == 100.0 / 255 && row[3 * 99] == 149.0 / 255)
            }
        }
    }

    @Test func mirroringTurnsAboutHalfOfTheImages() throws {
        try withFolder { folder in
            try Image.drawn(32, 32) { x, y in (UInt8(x), UInt8(y), 0) }
                .write(to: folder.appendingPathComponent("a.png"))
            var options = square()
            options.mirrors = true
            let batch = try ImageFolder(folder, options: options).batch(0, count: 64)
            let mirrored = (0..<64).filter { batch.pixels[$0, 0, 0, 0] > 0 }
            #expect((16...48).contains(mirrored.count))
            for index in 0..<64 {
                for x in 0..<32 {
                    let expected = mirrored.contains(index) ? 31 - x : x
                    #expect(batch.pixels[index, 5, x, 0] == Float(expected) / 255)
                    #expect(batch.pixels[index, 5, x, 1] == 5.0 / 255)
                }
            }
        }
    }

    @Test func cropsAreWindowsOfTheImage() throws {
        try withFolder { folder in
            try Image.drawn(200, 100) { x, y in (UInt8(x), UInt8(y), 9) }
                .write(to: folder.appendingPathComponent("a.png"))
            let images = try ImageFolder(folder, options: .crops(side: 32))
            let batch = try images.batch(3, count: 40)
            #expect(batch.pixels.shape == [40, 32, 32, 3])
            var corners: Set<[Float]> = []
            for index in 0..<40 {
                let (left, top) = (batch.pixels[index, 0, 0, 0], batch.pixels[index, 0, 0, 1])
                corners.insert([left, top])
                #expect(abs(batch.pixels[index, 31, 31, 0] - left - 31.0 / 255) < 1e-6)
                #expect(abs(batch.pixels[index, 31, 31, 1] - top - 31.0 / 255) < 1e-6)
            }
            #expect(corners.count > 30)
            #expect(corners.contains { $0[0] > 100.0 / 255 } && corners.contains { $0[0] < 0.2 })

            // Of the image at half its size, a window spans twice as much.
            let shrunk = try ImageFolder(folder, options: .crops(side: 32, shorterSide: 50))
            let pixels = try shrunk.batch(0, count: 1).pixels
            let span = (pixels[0, 16, 31, 0] - pixels[0, 16, 0, 0]) * 255
            #expect(abs(span - 62) < 2)
        }
    }
}

@Suite struct ImageFolderFileTests {
    @Test func damageBesideThePixelsIsNamedOnceAndCostsNoImage() throws {
        try withFolder { folder in
            for index in 0..<3 { try write("\(index).png", 10 * index, to: folder) }
            let damaged = folder.appendingPathComponent("1.png")
            // Its end, the chunk IEND.
            try Data(contentsOf: damaged).dropLast(12).write(to: damaged)
            let named = Mutex<[String]>([])
            let images = try ImageFolder(folder, options: square()) { message in
                named.withLock { $0.append(message) }
            }
            for number in 0..<3 {
                #expect(values(try images.batch(number, count: 3)).sorted() == [0, 10, 20])
            }
            let messages = named.withLock { $0 }
            #expect(messages.count == 1, "\(messages)")
            #expect(messages.first?.contains("1.png ends early, without its IEND chunk") == true)
        }
    }

    @Test func captionsBelongToImagesOfTheSameStem() throws {
        try withFolder { folder in
            let names = [
                "plain.png", "with space.png", "dots.in.name.png", "Größe 猫🌭.png", "LOUD.PNG",
                "100% #1?.png", "-dash.Png",
            ]
            for (index, name) in names.enumerated() {
                try write(name, 10 + index, to: folder, caption: "  caption of \(name)\r\n")
            }
            try write("without.png", 1, to: folder)
            try write("Upper.png", 2, to: folder)
            try Data("\u{FEFF}upper".utf8).write(to: folder.appendingPathComponent("Upper.TXT"))
            try Data("nobody's".utf8).write(to: folder.appendingPathComponent("with.txt"))
            // The same name to a reader, once composed and once with combining accents.
            try write("caf\u{E9}.png", 3, to: folder)
            try Data("coffee".utf8).write(to: folder.appendingPathComponent("cafe\u{301}.txt"))

            let messages = Messages()
            let images = try ImageFolder(folder, options: square()) { messages.add($0) }
            #expect(images.imageCount == names.count + 3)
            let batch = try images.batch(0, count: names.count + 3)
            let captions = Dictionary(
                zip(values(batch), batch.captions), uniquingKeysWith: { first, _ in first })
            for (index, name) in names.enumerated() {
                #expect(captions[10 + index] == "caption of \(name)")
            }
            #expect(captions[1] == "")
            #expect(captions[2] == "upper")
            #expect(captions[3] == "coffee")
            #expect(messages.all == [])
        }
    }

    @Test func captionsThatCannotBeReadAreNamedOnce() throws {
        try withFolder { folder in
            try write("a.png", 1, to: folder)
            try Data([0x67, 0x72, 0xF6, 0xDF]).write(to: folder.appendingPathComponent("a.txt"))
            let messages = Messages()
            let images = try ImageFolder(folder, options: square()) { messages.add($0) }
            #expect(try images.batch(0, count: 3).captions == ["", "", ""])
            #expect(messages.all.count == 1)
            #expect(messages.all.first?.contains("a.txt is not UTF-8") == true)
        }
    }

    @Test func badFilesAreNamedOnceAndSkipped() throws {
        try withFolder { folder in
            for index in 0..<5 { try write("good \(index).png", index, to: folder) }
            let good = try Data(contentsOf: folder.appendingPathComponent("good 0.png"))
            func put(_ name: String, _ data: Data) throws {
                try data.write(to: folder.appendingPathComponent(name))
            }
            try put("empty.png", Data())
            try put("text.png", Data("not an image".utf8))
            try put("truncated.png", good.dropLast(20))
            try write("tiny.png", size: (8, 60), 99, to: folder)
            try FileManager.default.createDirectory(
                at: folder.appendingPathComponent("folder.png"), withIntermediateDirectories: false)
            try FileManager.default.createSymbolicLink(
                atPath: folder.appendingPathComponent("link.png").path,
                withDestinationPath: "/nowhere/at all")
            try put("photo.gif", Data([0x47, 0x49]))
            try put(".hidden.png", Data())
            try put("notes.md", Data())

            let messages = Messages()
            let images = try ImageFolder(folder, options: square()) { messages.add($0) }
            #expect(images.imageCount == 5)
            for number in 0..<6 {
                #expect(try values(images.batch(number, count: 5)).sorted() == [0, 1, 2, 3, 4])
            }
            for name in [
                "empty.png", "text.png", "truncated.png", "tiny.png", "folder.png", "link.png",
                "photo.gif",
            ] {
                #expect(messages.all.count { $0.contains(name) } == 1, "\(name) is named once")
            }
            #expect(messages.all.count == 7)
            #expect(messages.all.contains { $0.contains("tiny.png has 8×60 pixels, too few") })
        }
    }

    @Test func damageFoundWhileDecodingIsReplacedTheSameWay() throws {
        try withFolder { folder in
            for index in 0..<6 { try write("\(index).png", 10 * index, to: folder) }
            let bad = folder.appendingPathComponent("2.png")
            var data = try Data(contentsOf: bad)
            let pixels = try #require(data.range(of: Data("IDAT".utf8)))
            data[pixels.upperBound + 4] ^= 0xFF
            try data.write(to: bad)

            let messages = Messages()
            let images = try ImageFolder(folder, options: square()) { messages.add($0) }
            #expect(messages.all == [], "the header and the lengths are right")
            let batches = try (0..<4).map { try values(images.batch($0, count: 6)) }
            #expect(messages.all.count == 1)
            #expect(messages.all.first?.contains("2.png") == true)
            for batch in batches {
                #expect(batch.sorted() == [0, 10, 30, 30, 40, 50], "the next one takes its place")
            }
            let again = try ImageFolder(folder, options: square())
            for number in [3, 1, 0, 2] {
                #expect(try values(again.batch(number, count: 6)) == batches[number])
            }
        }
    }

    @Test func aSizeWithoutAnyGoodImageIsReplacedByAnother() throws {
        try withFolder { folder in
            for index in 0..<3 { try write("\(index).png", 10 * index, to: folder) }
            try write("wide.png", size: (80, 40), 200, to: folder)
            let sizes = AspectBuckets(side: 32, multiple: 4)
            let images = try ImageFolder(
                folder, options: ImageFolderOptions(sizes: .buckets(sizes)))
            #expect(images.bucketCounts.count == 2)
            try FileManager.default.removeItem(at: folder.appendingPathComponent("wide.png"))
            for number in 0..<8 {
                let batch = try images.batch(number, count: 2)
                #expect(batch.pixels.shape == [2, 32, 32, 3])
            }
            for index in 0..<3 {
                try FileManager.default.removeItem(
                    at: folder.appendingPathComponent("\(index).png"))
            }
            expectError(.unreadableFile, folder.path) { _ = try images.batch(0, count: 2) }
        }
    }

    @Test func foldersWithoutImagesAreRefused() throws {
        try withFolder { folder in
            expectError(.fileNotFound, folder.path, "no image in it") {
                _ = try ImageFolder(folder)
            }
            try Data("x".utf8).write(to: folder.appendingPathComponent("a.png"))
            try Data("x".utf8).write(to: folder.appendingPathComponent("a.txt"))
            expectError(.fileNotFound, "can be read, of 1") { _ = try ImageFolder(folder) }
            expectError(.fileNotFound, "absent") {
                _ = try ImageFolder(folder.appendingPathComponent("absent"))
            }
            expectError(.fileNotFound, "not a folder") {
                _ = try ImageFolder(folder.appendingPathComponent("a.txt"))
            }
            try write("small.png", size: (16, 16), 0, to: folder)
            expectError(.invalidRequest, "large enough") { _ = try ImageFolder(folder) }
        }
    }

    @Test(arguments: [
        ImageFolderOptions(sizes: .fixed(ImageSize(width: 0, height: 256))),
        ImageFolderOptions(sizes: .fixed(ImageSize(width: 256, height: 1 << 20))),
        ImageFolderOptions(sizes: .buckets(AspectBuckets(side: 64))),
        ImageFolderOptions(sizes: .crops(side: 256, shorterSide: 128)),
        ImageFolderOptions(sizes: .crops(side: -1)),
        ImageFolderOptions(maximumEnlargement: .nan),
        ImageFolderOptions(maximumEnlargement: 0),
        ImageFolderOptions(heldOutShare: 0.51),
        ImageFolderOptions(heldOutShare: -0.05),
        ImageFolderOptions(heldOutShare: .nan),
    ])
    func impossibleOptionsAreRefused(options: ImageFolderOptions) throws {
        try withFolder { folder in
            try write("a.png", size: (400, 400), 0, to: folder)
            expectError(.invalidRequest) { _ = try ImageFolder(folder, options: options) }
        }
    }
}

@Suite struct ImageValidationTests {
    private func split(_ folder: URL, seed: UInt64 = 0) throws -> (Set<Int>, Set<Int>) {
        let images = try ImageFolder(
            folder, options: square(8, heldOutShare: 0.25, seed: seed))
        let validation = try #require(images.validation)
        #expect(validation.isValidation && !images.isValidation)
        #expect(validation.validation == nil)
        return (
            Set(values(try images.batch(0, count: images.imageCount))),
            Set(values(try validation.batch(0, count: validation.imageCount)))
        )
    }

    @Test func heldOutImagesAreNeverTrainedOnAndStayTheSame() throws {
        try withFolder { folder in
            for index in 0..<80 { try write("\(index).png", size: (8, 8), index, to: folder) }
            let (training, validation) = try split(folder)
            #expect(training.isDisjoint(with: validation))
            #expect(training.union(validation) == Set(0..<80))
            #expect((10...30).contains(validation.count))
            #expect(try split(folder, seed: 5).1 == validation, "the seed has no part in it")

            for index in 80..<100 { try write("\(index).png", size: (8, 8), index, to: folder) }
            for index in 0..<10 {
                try FileManager.default.removeItem(
                    at: folder.appendingPathComponent("\(index).png"))
            }
            let later = try split(folder)
            #expect(later.1.intersection(10..<80) == validation.intersection(10..<80))
            #expect(later.0.isDisjoint(with: later.1))
        }
    }

    @Test func heldOutImagesAreNeitherCroppedAtRandomNorMirrored() throws {
        try withFolder { folder in
            for index in 0..<40 {
                try Image.drawn(60, 20) { x, _ in (UInt8(x), 0, 0) }
                    .write(to: folder.appendingPathComponent("\(index).png"))
            }
            var options = square(20, heldOutShare: 0.5)
            options.crop = .random
            options.mirrors = true
            let images = try ImageFolder(folder, options: options)
            let held = try #require(images.validation).batch(0, count: 10).pixels
            #expect((0..<10).allSatisfy { held[$0, 0, 0, 0] == 20.0 / 255 })
            let trained = try images.batch(0, count: 10).pixels
            #expect(Set((0..<10).map { trained[$0, 0, 0, 0] }).count > 3)
        }
    }

    @Test func withoutAShareNothingIsHeldOut() throws {
        try withFolder { folder in
            for index in 0..<20 { try write("\(index).png", index, to: folder) }
            let images = try ImageFolder(folder, options: square())
            #expect(images.validation == nil)
            #expect(images.imageCount == 20)
        }
    }
}
