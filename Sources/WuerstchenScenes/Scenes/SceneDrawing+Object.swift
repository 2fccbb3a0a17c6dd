private import Foundation

/// Where an object stands, how tall it is, and the shades of its colour.
private struct Model {
    typealias Color = SceneCanvas.Color

    let height: Float
    let x: Float
    let y: Float
    let main: Color
    let dark: Color
    let light: Color

    /// A place in units of the object's height: to the right of and above the place it stands on.
    func at(_ u: Float, _ v: Float) -> (Float, Float) { (x + u * height, y - v * height) }
}

extension SceneDrawing {
    /// The object, on or in something that it can stand on.
    mutating func drawObject(_ canvas: borrowing SceneCanvas) {
        let base =
            (SceneDrawing.palette[color]
            + Color(
                chance(-0.03..<0.03), chance(-0.03..<0.03), chance(-0.03..<0.03))).visible
        let height = chance(isLarge ? 0.42..<0.49 : 0.21..<0.25)
        let places: [Range<Float>] = [0.17..<0.25, 0.46..<0.54, 0.75..<0.83]
        let x = chance(places[position + 1]) - (isLarge ? 0.055 * Float(position) : 0)
        let heights: Range<Float> =
            switch object {
            case .balloon: isLarge ? 0.60..<0.66 : 0.46..<0.54
            case .sailboat: isLarge ? 0.86..<0.89 : 0.80..<0.83
            default: isLarge ? 0.87..<0.91 : 0.795..<0.825
            }
        let model = Model(
            height: height, x: x, y: chance(heights), main: lit(base), dark: lit(base * 0.78),
            light: lit(base.mixed([1, 1, 1], 0.35)))
        switch object {
        case .house: drawFooting(canvas, model, islet: 0.62, shadow: 0.55)
        case .tree: drawFooting(canvas, model, islet: 0.42, shadow: 0.30)
        case .lighthouse: drawFooting(canvas, model, islet: 0.36, shadow: 0.26)
        case .sailboat, .balloon: break
        }
        switch object {
        case .house: drawHouse(canvas, model)
        case .tree: drawTree(canvas, model)
        case .sailboat: drawSailboat(canvas, model)
        case .balloon: drawBalloon(canvas, model)
        case .lighthouse: drawLighthouse(canvas, model)
        }
    }

    /// An islet in the sea, elsewhere a shadow.
    private mutating func drawFooting(
        _ canvas: borrowing SceneCanvas, _ model: Model, islet: Float, shadow: Float
    ) {
        let s = model.height
        if ground == .sea {
            canvas.ellipse(
                model.x, model.y + 0.012, 1.25 * islet * s, 0.024 + 0.03 * s,
                land([0.90, 0.80, 0.56]))
            canvas.ellipse(
                model.x, model.y + 0.004, 1.05 * islet * s, 0.018 + 0.022 * s,
                land([0.40, 0.64, 0.32]))
        } else {
            canvas.ellipse(
                model.x + 0.04 * s, model.y + 0.003, shadow * s, 0.022 * s + 0.006,
                [0.02, 0.04, 0.08], alpha: 0.22, soft: 0.02)
        }
    }

    private mutating func drawHouse(_ canvas: borrowing SceneCanvas, _ model: Model) {
        let (s, x, y, main) = (model.height, model.x, model.y, model.main)
        canvas.rectangle(
            model.at(0.20, 0).0, model.at(0.31, 0).0, model.at(0, 0.95).1, model.at(0, 0.60).1,
            lit([0.55, 0.33, 0.28]))
        if chance(0..<1) < 0.6 {
            for puff in 0..<3 {
                let j = Float(puff)
                let (px, py) = model.at(0.255 + 0.05 * j, 1.0 + 0.09 * j)
                canvas.circle(
                    px, py, (0.030 + 0.012 * j) * s, lit([0.93, 0.93, 0.95]),
                    alpha: 0.75 - 0.15 * j)
            }
        }
        canvas.rectangle(x - 0.44 * s, x + 0.44 * s, y - 0.50 * s, y) { px, _ in
            let shade = 1 - 0.14 * ((px - x) / (0.44 * s)).clamped01
            return (main.x * shade, main.y * shade, main.z * shade)
        }
        let roof = lit(chance(0..<1) < 0.5 ? [0.36, 0.24, 0.24] : [0.30, 0.32, 0.42])
        canvas.polygon(
            [
                model.at(-0.52, 0.5), model.at(0.52, 0.5), model.at(0.10, 0.92),
                model.at(-0.10, 0.92),
            ],
            roof)
        canvas.polygon(
            [
                model.at(-0.52, 0.5), model.at(0.52, 0.5), model.at(0.50, 0.46),
                model.at(-0.50, 0.46),
            ],
            roof * 0.7)
        canvas.rectangle(x - 0.08 * s, x + 0.08 * s, y - 0.30 * s, y, lit([0.42, 0.26, 0.16]))
        canvas.circle(x + 0.05 * s, y - 0.14 * s, 0.012 * s, lit([0.95, 0.85, 0.4]))
        let pane: Color = isDark ? [1, 0.90, 0.50] : lit([0.75, 0.90, 0.98])
        let frame = lit(color == SceneDrawing.white ? [0.45, 0.5, 0.6] : [0.98, 0.98, 0.96])
        for u: Float in [-0.27, 0.27] {
            func part(_ half: Float, _ low: Float, _ high: Float, _ color: Color) {
                canvas.rectangle(
                    x + (u - half) * s, x + (u + half) * s, y - high * s, y - low * s, color)
            }
            part(0.10, 0.18, 0.38, frame)
            part(0.078, 0.202, 0.358, pane)
            part(0.008, 0.20, 0.36, frame)
        }
    }

    private mutating func drawTree(_ canvas: borrowing SceneCanvas, _ model: Model) {
        let s = model.height
        let bark = lit([0.44, 0.29, 0.18])
        canvas.polygon(
            [model.at(-0.065, 0), model.at(0.065, 0), model.at(0.04, 0.5), model.at(-0.04, 0.5)],
            bark)
        canvas.line(model.at(0, 0.3), model.at(0.16, 0.5), 0.022 * s, bark)
        let crowns =
            ([
                (0, 0.74, 0.25), (-0.19, 0.58, 0.185), (0.19, 0.57, 0.185), (-0.10, 0.80, 0.17),
                (0.12, 0.79, 0.17), (0, 0.55, 0.20),
            ] as [(Float, Float, Float)]).map { u, v, r in
                (u + chance(-0.02..<0.02), v + chance(-0.02..<0.02), r)
            }
        func layer(
            _ du: Float, _ dv: Float, _ scale: Float, _ color: Color, _ alpha: Float, _ n: Int
        ) {
            for (u, v, r) in crowns.prefix(n) {
                let (x, y) = model.at(u + du, v + dv)
                canvas.circle(x, y, r * s * scale, color, alpha: alpha)
            }
        }
        layer(0, 0, 1, model.dark, 1, 6)
        layer(-0.02, 0.025, 0.86, model.main, 1, 6)
        layer(-0.06, 0.06, 0.42, model.light, 0.65, 4)
    }

    private mutating func drawSailboat(_ canvas: borrowing SceneCanvas, _ model: Model) {
        let (s, x, y) = (model.height, model.x, model.y)
        if ground != .sea {
            // A lake, an oasis or a canal.
            let (rx, ry): (Float, Float) = isLarge ? (0.36, 0.055) : (0.20, 0.035)
            let water = land([0.25, 0.58, 0.78]).mixed(air.middle, 0.2)
            let bank = land(ground == .mountains ? [0.80, 0.86, 0.94] : [0.62, 0.58, 0.42])
            canvas.ellipse(x, y + 0.012, rx + 0.012, ry + 0.010, bank)
            canvas.ellipse(x, y + 0.012, rx, ry, water)
            let pale = water.mixed([1, 1, 1], 0.4)
            canvas.ellipse(x - 0.4 * rx, y + 0.03, 0.25 * rx, 0.003, pale, alpha: 0.6)
            canvas.ellipse(x + 0.5 * rx, y + 0.005, 0.2 * rx, 0.003, pale, alpha: 0.6)
        }
        canvas.ellipse(x, y + 0.006, 0.42 * s, 0.035 * s, [0, 0.05, 0.12], alpha: 0.25)
        canvas.line(model.at(0, 0.15), model.at(0, 0.98), 0.012 * s, lit([0.42, 0.28, 0.18]))
        canvas.polygon(
            [model.at(-0.03, 0.24), model.at(-0.03, 0.95), model.at(-0.40, 0.24)], model.main)
        canvas.polygon(
            [model.at(0.03, 0.24), model.at(0.03, 0.86), model.at(0.36, 0.24)],
            color == SceneDrawing.white ? lit([0.86, 0.87, 0.88]) : model.light)
        canvas.polygon(
            [model.at(-0.46, 0.19), model.at(0.46, 0.19), model.at(0.32, 0), model.at(-0.34, 0)],
            lit([0.50, 0.30, 0.17]))
        canvas.polygon(
            [
                model.at(-0.46, 0.19), model.at(0.46, 0.19), model.at(0.44, 0.14),
                model.at(-0.44, 0.14),
            ],
            lit([0.93, 0.90, 0.82]))
        canvas.polygon(
            [model.at(0, 1.0), model.at(0, 0.92), model.at(0.12, 0.96)],
            lit(color == SceneDrawing.red ? [0.95, 0.85, 0.3] : [0.9, 0.25, 0.2]))
    }

    private mutating func drawBalloon(_ canvas: borrowing SceneCanvas, _ model: Model) {
        let (s, x, y) = (model.height, model.x, model.y)
        let (radius, centre): (Float, Float) = (0.335, 0.665)
        for sign: Float in [-1, 1] {
            canvas.line(
                model.at(0.20 * sign, 0.42), model.at(0.075 * sign, 0.17), 0.007 * s,
                lit([0.35, 0.28, 0.22]))
        }
        let main = model.main
        let other = color == SceneDrawing.white ? lit([0.82, 0.84, 0.87]) : model.light
        canvas.fill(
            SceneCanvas.Box(x - radius * s, x + radius * s, y - s, y - 0.25 * s),
            shade: { px, py in
                // Gores: half-widths of the envelope at this height, cut into strips of equal
                // angle.
                let (u, v) = ((px - x) / s, (y - py) / s)
                let above = max(v, centre - 0.05) - centre
                var half = max(radius * radius - above * above, 0.004).squareRoot()
                if v < centre {
                    let share = min(max((v - 0.22) / (centre - 0.22), 0), 1)
                    half = 0.09 + (radius - 0.09) * share.squareRoot()
                }
                let q = (u / half).clamped(
                    lowerBound: Vector(repeating: -1), upperBound: Vector(repeating: 1))
                let turn = q.arcsine * (5 / .pi) + 0.25
                let strip =
                    ((0.25 - ((turn - turn.rounded(.down)) - 0.5).magnitudes)
                    * (14 * s / 0.4) + 0.5).clamped01
                let shadow = 1 - 0.20 * (q * 0.8 + 0.2).clamped01
                return (
                    (main.x + (other.x - main.x) * strip) * shadow,
                    (main.y + (other.y - main.y) * strip) * shadow,
                    (main.z + (other.z - main.z) * strip) * shadow
                )
            },
            distance: { px, py in
                let (u, v) = ((px - x) / s, (y - py) / s)
                let ball = Vector.length(u, Vector(repeating: v - centre)) - radius
                let cone = Vector.maximum(
                    (u.magnitudes - 0.09) * 0.82 - (v - 0.27) * 0.57,
                    Vector(repeating: max(0.27 - v, v - (centre - 0.17))))
                return Vector.minimum(ball, cone) * s
            })
        canvas.rectangle(
            x - 0.085 * s, x + 0.085 * s, y - 0.15 * s, y, lit([0.55, 0.36, 0.20]),
            radius: 0.015 * s)
        canvas.rectangle(
            x - 0.095 * s, x + 0.095 * s, y - 0.17 * s, y - 0.13 * s, lit([0.40, 0.25, 0.14]),
            radius: 0.01 * s)
    }

    private mutating func drawLighthouse(_ canvas: borrowing SceneCanvas, _ model: Model) {
        let (s, x, y, main) = (model.height, model.x, model.y, model.main)
        if isDark {
            let lamp = model.at(0, 0.85).1
            for sign: Float in [-1, 1] {
                canvas.polygon(
                    [(x, lamp), (x + 1.1 * sign, lamp - 0.16), (x + 1.1 * sign, lamp + 0.06)],
                    [1, 0.95, 0.65], alpha: sky == .night ? 0.30 : 0.2, soft: 0.012)
            }
        }
        let (top, foot, tall): (Float, Float, Float) = (0.095, 0.165, 0.74)
        let white = lit(color == SceneDrawing.white ? [0.62, 0.66, 0.72] : [0.97, 0.97, 0.95])
        canvas.polygon([
            model.at(-foot, 0), model.at(foot, 0), model.at(top, tall), model.at(-top, tall),
        ]) { px, py in
            let turn = (y - py) / s / tall * 2.5 + 0.25
            let place = abs(turn - turn.rounded(.down) - 0.5)
            let band = min(
                max((0.25 - place) * (0.4 * tall * s * Float(SceneRenderer.side)) + 0.5, 0), 1)
            let shade = 1 - 0.18 * ((px - x) / (foot * s) + 0.2).clamped01
            let color = main.mixed(white, band)
            return (color.x * shade, color.y * shade, color.z * shade)
        }
        let iron = lit([0.25, 0.26, 0.32])
        canvas.rectangle(
            x - 0.14 * s, x + 0.14 * s, y - (tall + 0.035) * s, y - tall * s, iron)
        canvas.rectangle(
            x - 0.075 * s, x + 0.075 * s, y - 0.89 * s, y - (tall + 0.035) * s,
            sky == .day ? lit([0.95, 0.95, 0.75]) : [1, 0.90, 0.50])
        canvas.rectangle(
            x - 0.008 * s, x + 0.008 * s, y - 0.89 * s, y - (tall + 0.035) * s, iron)
        canvas.polygon(
            [model.at(-0.11, 0.885), model.at(0.11, 0.885), model.at(0, 1.0)],
            color == SceneDrawing.red ? iron : lit([0.72, 0.16, 0.16]))
        canvas.rectangle(
            x - 0.04 * s, x + 0.04 * s, y - 0.13 * s, y, lit([0.36, 0.24, 0.18]),
            radius: 0.02 * s)
    }
}

extension SIMD8<Float> {
    /// The arcsine of numbers from −1 to 1, to 7·10⁻⁵ (Abramowitz and Stegun, 4.4.45).
    fileprivate var arcsine: Self {
        let a = magnitudes
        let polynomial = ((a * -0.0187293 + 0.0742610) * a - 0.2121144) * a + 1.5707288
        let result = Float.pi / 2 - (1 - a).squareRoot() * polynomial
        return result.replacing(with: -result, where: self .< 0)
    }
}
