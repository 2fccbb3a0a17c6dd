private import Foundation
internal import WuerstchenTraining

extension SceneDrawing {
    /// The landscape.
    mutating func drawGround(_ canvas: borrowing SceneCanvas) {
        switch ground {
        case .hills: drawHills(canvas)
        case .mountains: drawMountains(canvas)
        case .desert: drawDesert(canvas)
        case .sea: drawSea(canvas)
        case .city: drawCity(canvas)
        }
    }

    /// A gentle curve: a height for each column of pixels.
    private mutating func wave(
        _ base: Float, _ amplitude: Float, _ frequency: Range<Float>, parts: Int = 3
    ) -> [Float] {
        let side = SceneRenderer.side
        var curve = [Float](repeating: base, count: side)
        for _ in 0..<parts {
            let (f, phase) = (chance(frequency), chance(0..<1))
            for column in 0..<side {
                let x = (Float(column) + 0.5) / Float(side)
                curve[column] +=
                    amplitude / Float(parts) * 1.4 * sinf(2 * .pi * (f * x + phase))
            }
        }
        return curve
    }

    private func level(_ height: Float) -> [Float] {
        [Float](repeating: height, count: SceneRenderer.side)
    }

    private mutating func drawHills(_ canvas: borrowing SceneCanvas) {
        let colors: [Color] = [[0.55, 0.74, 0.50], [0.42, 0.68, 0.34], [0.33, 0.60, 0.24]]
        for (index, amplitude) in [Float(0.045), 0.035, 0.025].enumerated() {
            let curve = wave(horizon - 0.03 + 0.085 * Float(index), amplitude, 0.5..<1.5)
            canvas.fillBelow(
                curve, land(colors[index]).mixed(haze, 0.14 * Float(2 - index)),
                land(colors[index] * 0.8), depth: 0.22)
        }
        for _ in 0..<count(6..<12) {
            let (x, y) = (chance(0..<1), chance(horizon + 0.2..<0.98))
            canvas.circle(x, y, 0.0055, SceneDrawing.palette[count(0..<7)] * tint)
        }
    }

    private mutating func drawMountains(_ canvas: borrowing SceneCanvas) {
        let number = count(3..<5)
        let peaks = (0..<number).map { index in
            (
                x: (Float(index) + 0.5) / Float(number) + chance(-0.08..<0.08),
                height: chance(0.20..<0.33)
            )
        }.sorted { $0.height > $1.height }
        for peak in peaks { drawPeak(canvas, peak.x, peak.height) }
        let curve = wave(horizon + 0.035, 0.02, 0.5..<1.4)
        canvas.fillBelow(
            curve, Color(0.95, 0.97, 1) * (tint * 0.75 + 0.25),
            Color(0.74, 0.82, 0.92) * (tint * 0.8 + 0.2), depth: 0.30)
        for _ in 0..<count(4..<8) {
            let (x, y) = (chance(0.02..<0.98), horizon + chance(0.05..<0.09))
            let q = chance(0.03..<0.05)
            for storey in 0..<3 {
                let j = Float(storey)
                let (half, foot) = (q * (0.42 - 0.08 * j), y - 0.42 * q * j)
                canvas.polygon(
                    [(x - half, foot), (x + half, foot), (x, y - q * (0.42 * j + 0.72))],
                    land([0.16, 0.36, 0.30]))
            }
        }
    }

    private mutating func drawPeak(
        _ canvas: borrowing SceneCanvas, _ x: Float, _ height: Float
    ) {
        let width = height * chance(0.80..<0.98)
        let (top, base) = (horizon + 0.04 - height, horizon + 0.06)
        let foot = x + chance(-0.02..<0.02)
        canvas.polygon(
            [(x - width, base), (x, top), (foot, base)],
            land([0.52, 0.55, 0.63]).mixed(haze, 0.18))
        canvas.polygon(
            [(x, top), (x + width, base), (foot, base)],
            land([0.38, 0.41, 0.52]).mixed(haze, 0.15))
        // Snow above a zigzag, in the light on one side of the ridge and in its shadow on the
        // other.
        let (depth, phase) = (height * chance(0.38..<0.5), chance(0..<1))
        let period = 0.36 * width
        let (slope, ridge) = (width / (base - top), (foot - x) / (base - top))
        for (sign, snow, light): (Float, Color, Float) in [
            (1, [0.98, 0.99, 1], 0.6), (-1, [0.76, 0.83, 0.93], 0.7),
        ] {
            canvas.fill(
                SceneCanvas.Box(x - width, x + width, top, top + 1.4 * depth),
                snow * (tint * light + (1 - light))
            ) { px, py in
                let u = px - x
                let turn = u / period + phase
                let tooth = ((turn - turn.rounded(.down)) - 0.5).magnitudes * 2
                let limit = top + depth + (tooth - 0.5) * (0.42 * depth)
                return Vector.maximum(
                    Vector.maximum(
                        (py - limit) * 0.7, (u.magnitudes - (py - top) * slope) * 0.8),
                    (u - (py - top) * ridge) * sign)
            }
        }
    }

    private mutating func drawDesert(_ canvas: borrowing SceneCanvas) {
        let colors: [Color] = [[0.93, 0.78, 0.52], [0.90, 0.70, 0.42], [0.86, 0.62, 0.34]]
        for (index, amplitude) in [Float(0.04), 0.045, 0.035].enumerated() {
            let curve = wave(horizon - 0.02 + 0.09 * Float(index), amplitude, 0.4..<1.1, parts: 2)
            canvas.fillBelow(
                curve, land(colors[index] * 1.05).mixed(haze, 0.1 * Float(2 - index)),
                land(colors[index] * 0.82), depth: 0.16)
        }
        for _ in 0..<count(1..<4) {
            let (x, y) = (chance(0.04..<0.96), horizon + chance(0.06..<0.14))
            let (q, green) = (chance(0.04..<0.06), land([0.28, 0.50, 0.28]))
            canvas.line((x, y), (x, y - q), 0.12 * q, green)
            for (reach, low, high): (Float, Float, Float) in [(-0.32, 0.4, 0.75), (0.3, 0.5, 0.85)]
            {
                let elbow = (x + reach * q, y - low * q)
                canvas.line((x, y - low * q), elbow, 0.09 * q, green)
                canvas.line(elbow, (x + reach * q, y - high * q), 0.09 * q, green)
            }
        }
    }

    private mutating func drawSea(_ canvas: borrowing SceneCanvas) {
        let near = land([0.30, 0.62, 0.80]).mixed(air.bottom, 0.35)
        let deep = land([0.07, 0.32, 0.58]).mixed(air.middle, 0.12)
        canvas.fillBelow(level(horizon), near, deep, depth: 0.36)
        let pale = near.mixed([1, 1, 1], 0.35)
        for _ in 0..<count(14..<22) {
            let y = horizon + 0.02 + (0.98 - horizon) * powf(chance(0..<1), 1.3)
            let (x, length) = (chance(0..<1), chance(0.02..<0.05) * (1 + 2 * (y - horizon)))
            canvas.ellipse(x, y, length, 0.0028 + 0.006 * (y - horizon), pale, alpha: 0.5)
        }
        guard celestial != .none else { return }
        let glitter: Color = celestial == .sun ? [1, 0.93, 0.70] : [0.92, 0.94, 1]
        for row in 0..<9 {
            let j = Float(row)
            let x = celestialX + chance(-0.015..<0.015)
            canvas.ellipse(
                x, horizon + 0.015 + 0.035 * j, chance(0.02..<0.05) * (1 + 0.12 * j), 0.0045,
                glitter, alpha: 0.6)
        }
    }

    private mutating func drawCity(_ canvas: borrowing SceneCanvas) {
        let far = land([0.50, 0.56, 0.68]).mixed(haze, 0.5)
        for isNear in [false, true] {
            var x: Float = -0.03
            while x < 1.02 {
                let width = chance(0.055..<0.10)
                let top = horizon + 0.05 - chance(isNear ? 0.06..<0.18 : 0.10..<0.26)
                if isNear {
                    let wall = land([0.36, 0.41, 0.54], 0.05).mixed(haze, 0.1)
                    canvas.rectangle(x, x + width, top, horizon + 0.08, wall)
                    drawWindows(canvas, x, width, top)
                } else {
                    canvas.rectangle(x, x + width, top, horizon + 0.08, far)
                    if chance(0..<1) < 0.35 {
                        let middle = x + width / 2
                        canvas.line((middle, top), (middle, top - 0.035), 0.002, far)
                    }
                }
                x += width + chance(0..<(isNear ? 0.05 : 0.012))
            }
        }
        let curve = wave(horizon + 0.055, 0.008, 0.5..<1.2)
        canvas.fillBelow(curve, land([0.46, 0.62, 0.42]), land([0.34, 0.52, 0.34]), depth: 0.25)
        let road = horizon + 0.125
        canvas.fillBelow(level(road), land([0.42, 0.43, 0.47]))
        canvas.fillBelow(
            level(road + 0.055), land([0.38, 0.56, 0.34]), land([0.28, 0.46, 0.28]), depth: 0.2)
        for dash in 0..<8 {
            let x = Float(dash) / 7
            canvas.rectangle(
                x - 0.03, x + 0.03, road + 0.025, road + 0.030, land([0.9, 0.88, 0.75]))
        }
    }

    /// Panes on a grid, four of seven of which can be seen.
    private mutating func drawWindows(
        _ canvas: borrowing SceneCanvas, _ left: Float, _ width: Float, _ top: Float
    ) {
        let pitch: Float = 0.021
        let offset = Float(random.integer(below: 1 << 12))
        canvas.fill(
            SceneCanvas.Box(left + 0.008, left + width - 0.010, top + 0.01, horizon + 0.05),
            isDark ? [1, 0.86, 0.45] : [0.72, 0.82, 0.92], alpha: 0.85
        ) { px, py in
            let (u, v) = (px - (left + 0.008), py - (top + 0.01))
            let column = (u / pitch).rounded(.down)
            let row = (v / pitch).rounded(.down)
            let number = column * 73 + (row * 151 + offset)
            let rest = number - (number / 7).rounded(.down) * 7
            let distance = Vector.maximum(
                (u - column * pitch - pitch / 2).magnitudes - 0.26 * pitch,
                Vector(repeating: abs(v - row * pitch - pitch / 2) - 0.30 * pitch))
            return distance.replacing(with: 1, where: rest .> 3.5)
        }
    }
}
