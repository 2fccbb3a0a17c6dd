import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining

@testable import WuerstchenScenes

@Suite struct SceneImagesTests {
    @Test func batchesHoldTheExamples() {
        let images = SceneImages(seed: 3)
        let batch = images.batch(2, count: 3)
        let labels = images.labels(2, count: 3)
        #expect(batch.pixels.shape == [3, 256, 256, 3])
        #expect(batch.captions.count == 3 && labels.count == 3)
        for index in 0..<3 {
            let example = images.example(2 * 3 + index)
            #expect(batch.captions[index] == example.caption)
            #expect(labels[index] == example.labels)
            let samples = batch.pixels.elements[index * 3 * 256 * 256..<(index + 1) * 3 * 256 * 256]
            #expect(samples.elementsEqual(example.draw().map { Float($0) / 255 }))
        }
        let captions = images.captions(2, count: 3)
        #expect(captions.map(\.text) == batch.captions)
        #expect(captions.map(\.labels) == labels)
    }

    @Test func batchesDependOnSeedAndNumberAlone() {
        let pixels = { (seed: UInt64, number: Int) in
            SceneImages(seed: seed, crop: 32).batch(number, count: 2).pixels.elements
        }
        let first = pixels(3, 0)
        #expect(first == pixels(3, 0))
        #expect(first != pixels(3, 1))
        #expect(first != pixels(4, 0))
    }

    @Test func threadsDoNotChangeABatch() {
        let before = Threads.count
        defer { Threads.count = before }
        let images = SceneImages(seed: 8, crop: 64)
        Threads.count = 1
        let alone = images.batch(0, count: 4).pixels.elements
        Threads.count = 4
        #expect(alone == images.batch(0, count: 4).pixels.elements)
    }

    @Test func cropsAreTakenFromAnywhereInTheImage() throws {
        let (side, count) = (200, 3)
        let images = SceneImages(seed: 5, crop: side)
        let batch = images.batch(0, count: count)
        #expect(batch.pixels.shape == [count, side, side, 3])
        let elements = batch.pixels.elements
        var corners: Set<[Int]> = []
        for index in 0..<count {
            let whole = images.example(index).draw().map { Float($0) / 255 }
            let row = 3 * side
            let crop = elements[index * side * row..<(index + 1) * side * row]
            // Skies repeat in a row: every row of the crop has to be there.
            var corner: [Int]?
            for y in 0...256 - side {
                for x in 0...256 - side where corner == nil {
                    let isThere = (0..<side).allSatisfy { line in
                        let from = 3 * ((y + line) * 256 + x)
                        let to = crop.startIndex + line * row
                        return whole[from..<from + row].elementsEqual(crop[to..<to + row])
                    }
                    if isThere { corner = [x, y] }
                }
            }
            corners.insert(try #require(corner, "crop \(index) is a part of its image"))
        }
        for axis in 0..<2 { #expect(Set(corners.map { $0[axis] }).count > 1) }
    }

    @Test(arguments: [Scene.Split.training, .heldOut])
    func examplesBelongToTheirSplit(_ split: Scene.Split) {
        let images = SceneImages(seed: 1, split: split)
        for number in 0..<2000 {
            #expect(images.example(number).scene.isHeldOut == (split == .heldOut))
        }
    }

    @Test func labelsAndCaptionsAreOfTheMirroredImage() {
        let images = SceneImages(seed: 6, mentionsAll: true)
        var mirrored = 0
        for number in 0..<2000 {
            let example = images.example(number)
            let scene = example.scene
            #expect(
                example.labels.classes
                    == (example.isMirrored ? scene.mirroredClasses : scene.classes))
            if example.isMirrored { mirrored += 1 }
            let position = example.labels.classes[SceneAttribute.position.rawValue]
            let side = example.labels.classes[SceneAttribute.side.rawValue]
            let hasBody = example.labels.classes[SceneAttribute.celestial.rawValue] != 0
            let expected = Set([position, hasBody ? side : position])
            let places = [["left"], ["middle", "centre", "center"], ["right"]]
            let words = Set(example.caption.split { $0 == " " || $0 == "," }.map(String.init))
            let found = Set(places.indices.filter { !words.isDisjoint(with: places[$0]) })
            #expect(found == expected, "\(example.caption)")
        }
        #expect((900...1100).contains(mirrored))
    }

    @Test func completeCaptionsMentionEverything() {
        let images = SceneImages(seed: 7, mentionsAll: true)
        for number in 0..<200 {
            let labels = images.example(number).labels
            let hasBody = labels.classes[SceneAttribute.celestial.rawValue] != 0
            let unsaid = SceneAttribute.allCases.filter { !labels.isMentioned[$0.rawValue] }
            #expect(unsaid == (hasBody ? [] : [.side]))
        }
        let some = SceneImages(seed: 7).captions(0, count: 200)
        #expect(some.contains { !$0.labels.isMentioned[SceneAttribute.color.rawValue] })
    }
}
