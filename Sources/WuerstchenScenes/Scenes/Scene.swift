public import WuerstchenTraining

/// A scene that can be drawn and described: an object in a landscape under a sky.
///
/// The scenes are a domain small enough to be learnt from nothing on two processor cores, and
/// rich enough that a caption matters: eight attributes, 700 combinations of the four that stand
/// out most, a tenth of which no training image shows.
public struct Scene: Sendable, Hashable {
    /// The value of each ``SceneAttribute``, by its raw value.
    public var classes: [Int]
    /// What everything that is left open (places, sizes, shades) depends on.
    public var seed: UInt64

    /// Which combinations are drawn.
    public enum Split: Sendable, Hashable {
        /// Those that are learnt from.
        case training
        /// Those that are not.
        case heldOut
    }

    /// A scene of the given attributes.
    public init(classes: [Int], seed: UInt64) {
        self.classes = classes
        self.seed = seed
    }

    /// A random scene.
    ///
    /// - Parameters:
    ///   - random: The source of chance.
    ///   - split: Which combinations may come.
    public init(_ random: inout RandomStream, split: Split = .training) {
        var classes = [Int](repeating: 0, count: SceneAttribute.allCases.count)
        func draw(_ attribute: SceneAttribute) {
            classes[attribute.rawValue] = random.integer(below: attribute.classCount)
        }
        repeat {
            for attribute: SceneAttribute in [.object, .color, .position, .size, .ground, .sky] {
                draw(attribute)
            }
        } while Scene.isHeldOut(classes) != (split == .heldOut)
        let choices = Scene.celestialBodies[classes[SceneAttribute.sky.rawValue]]
        classes[SceneAttribute.celestial.rawValue] =
            choices[random.integer(below: choices.count)]
        draw(.side)
        if Scene.isTall(classes), classes[SceneAttribute.celestial.rawValue] != 0 {
            // The object would hide the sun or the moon.
            while classes[SceneAttribute.side.rawValue]
                == classes[SceneAttribute.position.rawValue]
            {
                draw(.side)
            }
        }
        self.classes = classes
        seed = random.next()
    }

    /// What may stand in each sky; what comes twice is twice as likely.
    private static let celestialBodies = [[0, 1, 1], [0, 1, 1, 3], [0], [0, 2, 2, 3, 3]]

    private static func isTall(_ classes: [Int]) -> Bool {
        switch classes[SceneAttribute.object.rawValue] {
        case 3, 4: true
        case 0: false
        default: classes[SceneAttribute.size.rawValue] == 1
        }
    }

    /// Whether no training image shows this combination of object, colour, ground and sky.
    public var isHeldOut: Bool { Scene.isHeldOut(classes) }

    private static func isHeldOut(_ classes: [Int]) -> Bool {
        let object = classes[SceneAttribute.object.rawValue]
        let color = classes[SceneAttribute.color.rawValue]
        let ground = classes[SceneAttribute.ground.rawValue]
        let sky = classes[SceneAttribute.sky.rawValue]
        return ((((object * 7 + color) * 5 + ground) * 4 + sky) * 37 + 11) % 101 < 10
    }

    /// The attributes of the image flipped left to right.
    public var mirroredClasses: [Int] {
        var result = classes
        for attribute: SceneAttribute in [.position, .side] {
            result[attribute.rawValue] = 2 - result[attribute.rawValue]
        }
        return result
    }
}
