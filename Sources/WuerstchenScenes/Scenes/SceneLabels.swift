/// What a drawn scene can be asked about.
public enum SceneAttribute: Int, CaseIterable, Sendable {
    /// House, tree, sailboat, balloon, lighthouse.
    case object
    /// Red, blue, yellow, green, white, purple, orange.
    case color
    /// The object's place: left, centre, right.
    case position
    /// Small, large.
    case size
    /// Hills, mountains, desert, sea, city.
    case ground
    /// Day, sunset, overcast, night.
    case sky
    /// None, sun, full moon, crescent moon.
    case celestial
    /// The place of the sun or moon: left, centre, right; meaningless without one.
    case side

    /// The number of values.
    public var classCount: Int { [5, 7, 3, 2, 5, 4, 4, 3][rawValue] }
}

/// What an image shows and what its caption says of it.
public struct SceneLabels: Sendable, Hashable {
    /// The value of each ``SceneAttribute``, by its raw value.
    public var classes: [Int]
    /// Whether the caption mentions it.
    public var isMentioned: [Bool]

    /// Labels of the given values.
    public init(classes: [Int], isMentioned: [Bool]) {
        self.classes = classes
        self.isMentioned = isMentioned
    }
}

extension SceneLabels {
    /// The class of each attribute; nil for the place of a sun or moon that is not there.
    public var visible: [Int?] {
        SceneAttribute.allCases.map { attribute in
            attribute == .side && classes[SceneAttribute.celestial.rawValue] == 0
                ? nil : classes[attribute.rawValue]
        }
    }

    /// The class of each attribute that the caption mentions.
    public var mentioned: [Int?] {
        SceneAttribute.allCases.map { isMentioned[$0.rawValue] ? classes[$0.rawValue] : nil }
    }
}

/// What the images of a source's batches show.
public protocol SceneLabelSource: Sendable {
    /// The labels of the batch of the same number and count.
    func labels(_ number: Int, count: Int) -> [SceneLabels]
}
