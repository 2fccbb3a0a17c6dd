extension SceneDrawing {
    /// The sky and what is in it.
    mutating func drawSky(_ canvas: borrowing SceneCanvas) {
        let (air, horizon) = (air, horizon)
        canvas.fillRows { y in
            let t = min(max(y / (horizon + 0.04), 0), 1)
            return t < 0.5
                ? air.top.mixed(air.middle, 2 * t) : air.middle.mixed(air.bottom, 2 * t - 1)
        }
        if sky == .night { drawStars(canvas) }
        drawCelestial(canvas)
        switch sky {
        case .day:
            drawClouds(canvas, count(1..<4), [1, 1, 1], scale: 0.9, height: 0.10..<0.42)
        case .overcast:
            let gray = shaken([0.88, 0.89, 0.91])
            drawClouds(canvas, count(5..<8), gray, scale: 1.5, height: 0.10..<0.40)
        case .sunset:
            for _ in 0..<count(3..<6) {
                let (x, y) = (chance(0..<1), chance(0.08..<0.48))
                canvas.ellipse(
                    x, y, chance(0.08..<0.2), chance(0.006..<0.012),
                    air.bottom.mixed(air.middle, chance(0..<0.6)), alpha: 0.75)
            }
        case .night: break
        }
        if sky == .day || sky == .sunset, chance(0..<1) < 0.4 { drawBirds(canvas) }
    }

    private mutating func drawStars(_ canvas: borrowing SceneCanvas) {
        for _ in 0..<count(24..<40) {
            let (x, y, alpha) = (chance(0.01..<0.99), chance(0.01..<0.58), chance(0.45..<1))
            let radius: Float = (chance(0..<1) < 0.25 ? 1.7 : 1.05) / 256
            canvas.circle(x, y, radius, [1, 1, 0.92], alpha: alpha)
        }
    }

    private mutating func drawCelestial(_ canvas: borrowing SceneCanvas) {
        let ranges: [Range<Float>] = [0.13..<0.23, 0.45..<0.55, 0.77..<0.87]
        let x = chance(ranges[side + 1])
        let isSetting = celestial == .sun && sky == .sunset
        let y = chance(isSetting ? 0.30..<0.38 : 0.13..<0.21)
        let r = chance(0.062..<0.076) * (isSetting ? 1.2 : 1)
        celestialX = x
        switch celestial {
        case .none: break
        case .sun:
            let (glow, alpha, soft): (Color, Float, Float) =
                isSetting ? ([1, 0.86, 0.55], 0.50, 1.6) : ([1, 0.96, 0.75], 0.45, 1.7)
            canvas.circle(x, y, 1.9 * r, glow, alpha: alpha, soft: soft * r)
            canvas.circle(x, y, r, shaken(isSetting ? [1, 0.91, 0.50] : [1, 0.88, 0.25]))
        case .full:
            canvas.circle(x, y, 1.8 * r, [0.75, 0.80, 0.95], alpha: 0.22, soft: 1.8 * r)
            canvas.circle(x, y, r, shaken([0.96, 0.95, 0.86]))
            for (dx, dy, q): (Float, Float, Float) in [
                (-0.3, -0.25, 0.24), (0.32, 0.12, 0.18), (-0.1, 0.42, 0.14),
            ] {
                canvas.circle(x + dx * r, y + dy * r, q * r, [0.83, 0.82, 0.76])
            }
        case .crescent:
            let shift = 0.48 * r
            let light = shaken([0.99, 0.95, 0.74])
            canvas.fill(SceneCanvas.Box(center: x, y, radius: r), light) { px, py in
                let v = Vector(repeating: py - y)
                return Vector.maximum(
                    Vector.length(px - x, v) - r,
                    0.86 * r - Vector.length(px - (x + shift), v + 0.35 * shift))
            }
        }
    }

    private mutating func drawClouds(
        _ canvas: borrowing SceneCanvas, _ number: Int, _ color: Color, scale: Float,
        height: Range<Float>
    ) {
        for _ in 0..<number {
            let (x, y) = (chance(0.02..<0.98), chance(height))
            let width = chance(0.07..<0.13) * scale
            let count = count(3..<5)
            let discs = (0..<count).map { index -> (x: Float, y: Float, r: Float) in
                let e = 2 * Float(index) / Float(count - 1) - 1
                let r = width * (chance(0.30..<0.40) + 0.20 * (1 - abs(e)))
                return (x + 0.75 * e * width + chance(-0.1..<0.1) * width, y - 0.35 * r, r)
            }
            let reach = 1.5 * width
            let base = color * 0.86
            canvas.fill(
                SceneCanvas.Box(x - reach, x + reach, y - reach, y), alpha: 0.95,
                shade: { _, py in
                    base.mixed(color, min(max((y - py) / (0.55 * width), 0), 1)).planes
                },
                distance: { px, py in
                    var distance = Vector(repeating: .infinity)
                    for disc in discs {
                        let v = Vector(repeating: py - disc.y)
                        distance = Vector.minimum(
                            distance, Vector.length(px - disc.x, v) - disc.r)
                    }
                    return Vector.maximum(distance, Vector(repeating: py - y))
                })
        }
    }

    private mutating func drawBirds(_ canvas: borrowing SceneCanvas) {
        let (x, y) = (chance(0.25..<0.75), chance(0.12..<0.32))
        for _ in 0..<3 {
            let (u, v) = (x + chance(-0.08..<0.08), y + chance(-0.05..<0.05))
            let q = chance(0.010..<0.016)
            for wing: Float in [-1, 1] {
                canvas.line(
                    (u + wing * q, v - 0.6 * q), (u, v), 0.0022, [0.2, 0.2, 0.28], alpha: 0.8)
            }
        }
    }
}
