import Testing

@testable import WuerstchenScenes

@Suite struct SceneRendererTests {
    private static let side = SceneRenderer.side

    /// A scene of the given attributes; what is not given is a small red house in the middle of the
    /// hills by day, without a sun.
    private func scene(_ values: [SceneAttribute: Int], seed: UInt64 = 5) -> Scene {
        var classes = [0, 0, 1, 0, 0, 0, 0, 1]
        for (attribute, value) in values { classes[attribute.rawValue] = value }
        return Scene(classes: classes, seed: seed)
    }

    /// Where two images differ: how many pixels, and the middle and the height of the area.
    private struct Difference {
        var count = 0
        var x = 0.0
        var height = 0.0

        init(_ first: [UInt8], _ second: [UInt8]) {
            var (top, bottom) = (side, 0)
            for pixel in 0..<side * side {
                let start = 3 * pixel
                guard
                    first[start] != second[start] || first[start + 1] != second[start + 1]
                        || first[start + 2] != second[start + 2]
                else { continue }
                count += 1
                x += (Double(pixel % side) + 0.5) / Double(side)
                top = min(top, pixel / side)
                bottom = max(bottom, pixel / side)
            }
            x /= Double(max(1, count))
            height = Double(bottom + 1 - top) / Double(side)
        }
    }

    private func mean(_ pixels: [UInt8]) -> Double {
        Double(pixels.reduce(0) { $0 + Int($1) }) / Double(pixels.count)
    }

    /// The mean of a third of the image's upper half: left, middle or right.
    private func sky(_ pixels: [UInt8], third: Int) -> Double {
        let (first, last) = (third * Self.side / 3, (third + 1) * Self.side / 3)
        var samples: [UInt8] = []
        for row in 0..<Self.side / 2 {
            let start = row * Self.side
            samples += pixels[3 * (start + first)..<3 * (start + last)]
        }
        return mean(samples)
    }

    @Test func imagesDependOnTheSceneAlone() {
        let scene = scene([.ground: 4, .sky: 3, .celestial: 2])
        let pixels = SceneRenderer.draw(scene)
        #expect(pixels.count == 3 * Self.side * Self.side)
        #expect(pixels == SceneRenderer.draw(scene))
        let other = SceneRenderer.draw(Scene(classes: scene.classes, seed: 6))
        #expect(Difference(pixels, other).count > 10_000, "another city under other stars")
    }

    @Test func mirroringFlipsThePixels() {
        let scene = scene([.object: 2, .position: 0, .ground: 1, .celestial: 1, .side: 2])
        let pixels = SceneRenderer.draw(scene)
        let mirrored = SceneRenderer.draw(scene, mirrored: true)
        var flipped: [UInt8] = []
        for row in 0..<Self.side {
            for column in (0..<Self.side).reversed() {
                let start = 3 * (row * Self.side + column)
                flipped += pixels[start..<start + 3]
            }
        }
        #expect(mirrored == flipped)
        #expect(mirrored != pixels)
    }

    /// What changes with the object's colour is the object.
    @Test(arguments: 0..<5) func objectsAreWhereAndWhatTheyAre(_ object: Int) throws {
        var heights: [Double] = []
        for (position, size) in [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1)] {
            let values: [SceneAttribute: Int] = [
                .object: object, .position: position, .size: size,
            ]
            let red = SceneRenderer.draw(scene(values))
            let blue = SceneRenderer.draw(scene(values.merging([.color: 1]) { $1 }))
            let difference = Difference(red, blue)
            #expect(difference.count > 100)
            let expected =
                [0.21, 0.5, 0.79][position] + (size == 1 ? [0.055, 0, -0.055][position] : 0)
            #expect(abs(difference.x - expected) < 0.06)
            heights.append(difference.height)
            // A red boat has no red pennant, a red lighthouse no red roof; both are small.
            var (redder, bluer) = (0, 0)
            for pixel in 0..<Self.side * Self.side {
                let change = Int(red[3 * pixel]) - Int(blue[3 * pixel])
                let blueChange = Int(blue[3 * pixel + 2]) - Int(red[3 * pixel + 2])
                if change > 0, blueChange > 0 { redder += 1 }
                if change < 0, blueChange < 0 { bluer += 1 }
            }
            #expect(redder > 100 && redder > 5 * bluer)
        }
        let small = try #require(heights.prefix(3).max())
        let large = try #require(heights.suffix(2).min())
        #expect(large > 1.5 * small)
    }

    @Test func colorsAreThoseOfThePalette() {
        // The wall of a large house, below its windows.
        for (color, expected) in SceneDrawing.palette.enumerated() {
            let pixels = SceneRenderer.draw(scene([.size: 1, .color: color]))
            let row = Self.side * 84 / 100
            let wall = 3 * (row * Self.side + Self.side * 42 / 100)
            for channel in 0..<3 {
                let value = Float(pixels[wall + channel]) / 255
                #expect(abs(value - expected[channel]) < 0.04, "colour \(color)")
            }
        }
    }

    @Test(arguments: [(0, 1), (1, 1), (1, 3), (3, 2), (3, 3)])
    func theSunOrMoonIsOnItsSide(_ sky: Int, _ celestial: Int) {
        let images = (0..<3).map {
            SceneRenderer.draw(scene([.sky: sky, .celestial: celestial, .side: $0]))
        }
        for third in 0..<3 {
            let light = images.map { self.sky($0, third: third) }
            for other in 0..<3 where other != third { #expect(light[third] > light[other] + 1) }
        }
    }

    @Test func skiesHaveTheirLight() {
        let light = (0..<4).map { mean(SceneRenderer.draw(scene([.sky: $0]))) }
        #expect(light[0] > light[2] && light[2] > 2 * light[3], "day, overcast, night: \(light)")
        #expect(light[1] > 2 * light[3], "sunset")
        let evening = SceneRenderer.draw(scene([.sky: 1]))
        let row = 3 * Self.side * (Self.side * 2 / 5)
        #expect(evening[row] > evening[row + 2], "warm above the horizon")
    }

    @Test func groundsDiffer() {
        let images = (0..<5).map { SceneRenderer.draw(scene([.ground: $0])) }
        for (index, image) in images.enumerated() {
            for other in images[..<index] {
                #expect(Difference(image, other).count > Self.side * Self.side / 4)
            }
        }
    }

    @Test func aBoatAwayFromTheSeaHasALake() {
        // Blue right beside the hull, where hills are green.
        let boat = SceneRenderer.draw(scene([.object: 2, .size: 1]))
        let tree = SceneRenderer.draw(scene([.object: 1, .size: 1]))
        var rows = 0
        for row in Self.side * 85 / 100..<Self.side * 92 / 100 {
            let beside = 3 * (row * Self.side + Self.side * 74 / 100)
            if boat[beside + 2] > boat[beside], boat[beside + 2] > boat[beside + 1] { rows += 1 }
            #expect(tree[beside + 1] > tree[beside + 2])
        }
        #expect(rows > 4)
    }
}
