import Testing
import WuerstchenTraining

@testable import WuerstchenScenes

@Suite struct SceneTests {
    private func scenes(_ count: Int, _ split: Scene.Split, seed: UInt64 = 1) -> [Scene] {
        var random = RandomStream(seed)
        return (0..<count).map { _ in Scene(&random, split: split) }
    }

    /// How often each class comes.
    private func rates(_ scenes: [Scene], _ attribute: SceneAttribute) -> [Double] {
        var counts = [Int](repeating: 0, count: attribute.classCount)
        for scene in scenes { counts[scene.classes[attribute.rawValue]] += 1 }
        return counts.map { Double($0) / Double(scenes.count) }
    }

    @Test func scenesDependOnTheStreamAlone() {
        let scenes = scenes(100, .training)
        #expect(scenes == self.scenes(100, .training))
        #expect(scenes != self.scenes(100, .training, seed: 2))
        #expect(Set(scenes.map(\.seed)).count == 100, "each has details of its own")
    }

    @Test(arguments: [Scene.Split.training, .heldOut])
    func scenesBelongToTheirSplit(_ split: Scene.Split) {
        #expect(scenes(5000, split).allSatisfy { $0.isHeldOut == (split == .heldOut) })
    }

    /// All combinations of object, colour, ground and sky.
    private static let combinations: [[Int]] = {
        var combinations: [[Int]] = []
        for object in 0..<5 {
            for color in 0..<7 {
                for ground in 0..<5 {
                    for sky in 0..<4 {
                        combinations.append([object, color, 1, 0, ground, sky, 0, 1])
                    }
                }
            }
        }
        return combinations
    }()

    @Test func aTenthOfTheCombinationsIsHeldOut() {
        let combinations = Self.combinations
        let heldOut = combinations.filter { Scene(classes: $0, seed: 0).isHeldOut }
        #expect(combinations.count == 700)
        #expect(heldOut.count == 69)
        #expect(!heldOut.contains([0, 0, 1, 0, 0, 0, 0, 1]))
        #expect(heldOut.first == [0, 0, 1, 0, 2, 0, 0, 1], "8 · 37 + 11 = 307 = 3 · 101 + 4")
        for attribute: SceneAttribute in [.object, .color, .ground, .sky] {
            let classes = Set(heldOut.map { $0[attribute.rawValue] })
            #expect(classes.count == attribute.classCount, "none of \(attribute) is left out")
        }
    }

    @Test func whatElseASceneShowsDoesNotHoldItOut() {
        for classes in Self.combinations {
            var other = classes
            for (attribute, value): (SceneAttribute, Int) in [
                (.position, 2), (.size, 1), (.celestial, 1), (.side, 0),
            ] {
                other[attribute.rawValue] = value
            }
            #expect(
                Scene(classes: other, seed: 9).isHeldOut
                    == Scene(classes: classes, seed: 0).isHeldOut)
        }
    }

    @Test func attributesAreEquallyLikely() {
        let scenes = scenes(20_000, .training)
        for attribute: SceneAttribute in [.object, .color, .position, .size, .ground, .sky] {
            let expected = 1 / Double(attribute.classCount)
            // The combinations that are held out are not spread quite evenly.
            for rate in rates(scenes, attribute) { #expect(abs(rate - expected) < 0.02) }
        }
    }

    @Test func skiesHaveTheirBodies() {
        let scenes = scenes(20_000, .training)
        let expected: [[Double]] = [
            [1.0 / 3, 2.0 / 3, 0, 0], [0.25, 0.5, 0, 0.25], [1, 0, 0, 0], [0.2, 0, 0.4, 0.4],
        ]
        for (sky, expected) in expected.enumerated() {
            let rates = rates(
                scenes.filter { $0.classes[SceneAttribute.sky.rawValue] == sky }, .celestial)
            for (rate, expected) in zip(rates, expected) {
                #expect(expected == 0 ? rate == 0 : abs(rate - expected) < 0.03)
            }
        }
    }

    @Test func tallObjectsLeaveRoomForTheSunOrMoon() {
        var (tall, covered) = (0, 0)
        for scene in scenes(10_000, .training) {
            func value(_ attribute: SceneAttribute) -> Int { scene.classes[attribute.rawValue] }
            guard value(.celestial) != 0 else { continue }
            let isBelow = value(.side) == value(.position)
            // Balloons and lighthouses, large trees and boats.
            if value(.object) >= 3 || (value(.object) != 0 && value(.size) == 1) {
                tall += 1
                #expect(!isBelow)
            } else if isBelow {
                covered += 1
            }
        }
        #expect(tall > 2000 && covered > 500)
    }

    @Test func leftAndRightChangePlaces() {
        for scene in scenes(500, .training) {
            let mirrored = Scene(classes: scene.mirroredClasses, seed: scene.seed)
            for attribute in SceneAttribute.allCases {
                let value = scene.classes[attribute.rawValue]
                let isPlace = attribute == .position || attribute == .side
                #expect(mirrored.classes[attribute.rawValue] == (isPlace ? 2 - value : value))
            }
            #expect(mirrored.mirroredClasses == scene.classes)
        }
    }
}
