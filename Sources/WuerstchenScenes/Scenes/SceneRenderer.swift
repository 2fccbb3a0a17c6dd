internal import WuerstchenTraining

/// Draws scenes: sky, sun or moon, clouds, ground and object, back to front.
public enum SceneRenderer {
    /// The side of an image, in pixels.
    public static let side = 256

    /// A scene as an image.
    ///
    /// - Parameters:
    ///   - scene: What to draw.
    ///   - mirrored: Whether to flip it left to right.
    /// - Returns: `3 · side · side` samples: red, green and blue of each pixel, row by row.
    public static func draw(_ scene: Scene, mirrored: Bool = false) -> [UInt8] {
        let canvas = SceneCanvas(side: side)
        var drawing = SceneDrawing(scene)
        drawing.drawSky(canvas)
        drawing.drawGround(canvas)
        drawing.drawObject(canvas)
        return canvas.bytes(mirrored: mirrored)
    }
}

/// What the layers of an image share: attributes, light and chance.
struct SceneDrawing {
    typealias Color = SceneCanvas.Color
    typealias Vector = SceneCanvas.Vector

    enum Object: Int { case house, tree, sailboat, balloon, lighthouse }
    enum Ground: Int { case hills, mountains, desert, sea, city }
    enum Sky: Int { case day, sunset, overcast, night }
    enum Celestial: Int { case none, sun, full, crescent }

    let object: Object
    let color: Int
    /// −1, 0 or 1 for left, centre or right.
    let position: Int
    let side: Int
    let isLarge: Bool
    let ground: Ground
    let sky: Sky
    let celestial: Celestial
    /// The height of the horizon.
    let horizon: Float
    /// The sky's colours at the top, in the middle and at the horizon.
    let air: (top: Color, middle: Color, bottom: Color)
    /// Where the sun or the moon stands.
    var celestialX: Float = 0.5
    var random: RandomStream

    static let palette: [Color] = [
        [0.88, 0.18, 0.17], [0.16, 0.40, 0.88], [0.99, 0.83, 0.16], [0.16, 0.60, 0.26],
        [0.97, 0.97, 0.95], [0.56, 0.27, 0.74], [0.98, 0.52, 0.10],
    ]
    static let white = 4
    static let red = 0

    init(_ scene: Scene) {
        func value(_ attribute: SceneAttribute) -> Int { scene.classes[attribute.rawValue] }
        object = Object(rawValue: value(.object)) ?? .house
        color = value(.color)
        position = value(.position) - 1
        side = value(.side) - 1
        isLarge = value(.size) == 1
        ground = Ground(rawValue: value(.ground)) ?? .hills
        sky = Sky(rawValue: value(.sky)) ?? .day
        celestial = Celestial(rawValue: value(.celestial)) ?? .none
        random = RandomStream(scene.seed)
        horizon = random.uniform(0.60..<0.66)
        let colors: [Color] =
            switch sky {
            case .day: [[0.25, 0.55, 0.90], [0.52, 0.76, 0.96], [0.82, 0.93, 0.98]]
            case .sunset: [[0.30, 0.20, 0.48], [0.90, 0.42, 0.42], [1, 0.80, 0.46]]
            case .overcast: [[0.50, 0.55, 0.62], [0.66, 0.70, 0.75], [0.80, 0.83, 0.85]]
            case .night: [[0.03, 0.04, 0.15], [0.07, 0.10, 0.27], [0.17, 0.22, 0.44]]
            }
        air = (
            SceneDrawing.shaken(colors[0], 0.03, &random),
            SceneDrawing.shaken(colors[1], 0.03, &random),
            SceneDrawing.shaken(colors[2], 0.03, &random)
        )
    }

    private static func shaken(
        _ color: Color, _ spread: Float, _ random: inout RandomStream
    ) -> Color {
        let change = Color(
            random.uniform(-spread..<spread), random.uniform(-spread..<spread),
            random.uniform(-spread..<spread))
        return (color + change).visible
    }

    /// A colour with a little chance in it.
    mutating func shaken(_ color: Color, _ spread: Float = 0.02) -> Color {
        SceneDrawing.shaken(color, spread, &random)
    }

    mutating func chance(_ range: Range<Float>) -> Float { random.uniform(range) }

    /// A whole number from a range.
    mutating func count(_ range: Range<Int>) -> Int {
        range.lowerBound + random.integer(below: range.count)
    }

    /// The light on the ground.
    var tint: Color {
        switch sky {
        case .day: [1, 1, 1]
        case .sunset: [1, 0.82, 0.76]
        case .overcast: [0.82, 0.85, 0.88]
        case .night: [0.36, 0.42, 0.66]
        }
    }

    /// The light on the object.
    var objectTint: Color {
        switch sky {
        case .day: [1, 1, 1]
        case .sunset: [1, 0.92, 0.88]
        case .overcast: [0.90, 0.91, 0.93]
        case .night: [0.84, 0.85, 0.95]
        }
    }

    /// A colour of the ground under this sky's light.
    mutating func land(_ color: Color, _ spread: Float = 0.025) -> Color {
        shaken(color, spread) * tint
    }

    /// A colour of the object under this sky's light.
    func lit(_ color: Color) -> Color { color.visible * objectTint }

    /// What distance blends into.
    var haze: Color { air.bottom.mixed(air.middle, 0.3) }

    /// Whether windows are lit.
    var isDark: Bool { sky == .night || sky == .sunset }
}
