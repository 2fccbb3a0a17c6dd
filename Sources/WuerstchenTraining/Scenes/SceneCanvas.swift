/// A square picture that shapes are painted on, one over the other.
///
/// Coordinates run from 0 to 1, x to the right and y down. A shape is a signed distance in these
/// units, negative inside, and covers a pixel by how far its centre lies within the edge: that gives
/// edges one pixel of antialiasing.
struct SceneCanvas: ~Copyable {
    typealias Vector = SIMD16<Float>
    typealias Color = SIMD3<Float>

    let side: Int
    /// Red, then green, then blue: whole planes, so that neighbouring pixels are computed together.
    private let planes: UnsafeMutablePointer<Float>
    private let lanes: Vector

    init(side: Int) {
        self.side = side
        planes = .allocate(capacity: 3 * side * side)
        planes.initialize(repeating: 0, count: 3 * side * side)
        var lanes = Vector()
        for lane in 0..<Vector.scalarCount { lanes[lane] = Float(lane) }
        self.lanes = lanes
    }

    deinit { planes.deallocate() }

    /// A part of the picture, in coordinates.
    struct Box {
        var left, right, top, bottom: Float

        init(_ left: Float, _ right: Float, _ top: Float, _ bottom: Float) {
            (self.left, self.right, self.top, self.bottom) = (left, right, top, bottom)
        }

        init(center x: Float, _ y: Float, radius: Float) {
            self.init(x - radius, x + radius, y - radius, y + radius)
        }
    }

    /// Paints what `paint` gives for sixteen neighbouring pixels at a time, with their coverage.
    @inline(__always)
    func paint(
        _ box: Box, alpha: Float = 1, _ paint: (_ x: Vector, _ y: Float) -> (Vector, (Vector, Vector, Vector))
    ) {
        let scale = Float(side)
        func bound(_ value: Float) -> Int { Int(min(max(value, 0), scale)) }
        let first = bound((box.left * scale - 1.5).rounded(.down))
        let last = bound((box.right * scale + 1.5).rounded(.up))
        let top = bound((box.top * scale - 1.5).rounded(.down))
        let bottom = bound((box.bottom * scale + 1.5).rounded(.up))
        guard first < last, top < bottom else { return }
        let plane = side * side
        for row in top..<bottom {
            let y = (Float(row) + 0.5) / scale
            var column = first
            while column < last {
                // The last vector is moved back to end with the row, and the lanes that are not meant
                // are left as they are.
                let start = min(column, side - Vector.scalarCount)
                let places = lanes + Float(start)
                let (coverage, color) = paint((places + 0.5) / scale, y)
                let isMeant = (places .>= Float(column)) .& (places .< Float(last))
                let m = Vector(repeating: 0).replacing(with: coverage * alpha, where: isMeant)
                let target = planes + row * side + start
                func blend(_ place: UnsafeMutablePointer<Float>, _ color: Vector) {
                    let raw = UnsafeMutableRawPointer(place)
                    let before = raw.loadUnaligned(as: Vector.self)
                    raw.storeBytes(of: before + m * (color - before), as: Vector.self)
                }
                blend(target, color.0)
                blend(target + plane, color.1)
                blend(target + 2 * plane, color.2)
                column = start + Vector.scalarCount
            }
        }
    }

    /// Fills a shape with a colour for each pixel.
    @inline(__always)
    func fill(
        _ box: Box, alpha: Float = 1, soft: Float? = nil,
        shade: (_ x: Vector, _ y: Float) -> (Vector, Vector, Vector),
        distance: (_ x: Vector, _ y: Float) -> Vector
    ) {
        let sharpness = soft.map { 1 / $0 } ?? Float(side)
        paint(box, alpha: alpha) { x, y in
            ((0.5 - distance(x, y) * sharpness).clamped01, shade(x, y))
        }
    }

    /// Fills a shape with one colour.
    @inline(__always)
    func fill(
        _ box: Box, _ color: Color, alpha: Float = 1, soft: Float? = nil,
        distance: (_ x: Vector, _ y: Float) -> Vector
    ) {
        let planes = color.planes
        fill(box, alpha: alpha, soft: soft, shade: { _, _ in planes }, distance: distance)
    }

    /// The whole picture, each row in one colour.
    func fillRows(_ color: (_ y: Float) -> Color) {
        paint(Box(0, 1, 0, 1)) { _, y in (Vector(repeating: 1), color(y).planes) }
    }

    // MARK: Shapes

    func circle(
        _ x: Float, _ y: Float, _ radius: Float, _ color: Color, alpha: Float = 1,
        soft: Float? = nil
    ) {
        let box = Box(center: x, y, radius: radius + (soft ?? 0) / 2)
        fill(box, color, alpha: alpha, soft: soft) { px, py in
            Vector.length(px - x, Vector(repeating: py - y)) - radius
        }
    }

    func ellipse(
        _ x: Float, _ y: Float, _ radiusX: Float, _ radiusY: Float, _ color: Color,
        alpha: Float = 1, soft: Float? = nil
    ) {
        let e = (soft ?? 0) / 2
        let box = Box(x - radiusX - e, x + radiusX + e, y - radiusY - e, y + radiusY + e)
        fill(box, color, alpha: alpha, soft: soft) { px, py in
            let u = (px - x) / radiusX
            let v = Vector(repeating: (py - y) / radiusY)
            let k0 = Vector.length(u, v)
            return k0 * (k0 - 1) / (Vector.length(u / radiusX, v / radiusY) + 1e-6)
        }
    }

    func rectangle(
        _ left: Float, _ right: Float, _ top: Float, _ bottom: Float, _ color: Color,
        alpha: Float = 1, radius: Float = 0
    ) {
        let planes = color.planes
        rectangle(left, right, top, bottom, alpha: alpha, radius: radius) { _, _ in planes }
    }

    @inline(__always)
    func rectangle(
        _ left: Float, _ right: Float, _ top: Float, _ bottom: Float, alpha: Float = 1,
        radius: Float = 0, shade: (_ x: Vector, _ y: Float) -> (Vector, Vector, Vector)
    ) {
        let (x, y) = ((left + right) / 2, (top + bottom) / 2)
        let (width, height) = ((right - left) / 2 - radius, (bottom - top) / 2 - radius)
        fill(Box(left, right, top, bottom), alpha: alpha, shade: shade) { px, py in
            Vector.maximum(
                (px - x).magnitudes - width, Vector(repeating: abs(py - y) - height)) - radius
        }
    }

    /// A convex polygon: where all its edges' half-planes meet.
    func polygon(_ points: [(Float, Float)], _ color: Color, alpha: Float = 1, soft: Float? = nil) {
        let planes = color.planes
        polygon(points, alpha: alpha, soft: soft) { _, _ in planes }
    }

    @inline(__always)
    func polygon(
        _ points: [(Float, Float)], alpha: Float = 1, soft: Float? = nil,
        shade: (_ x: Vector, _ y: Float) -> (Vector, Vector, Vector)
    ) {
        var points = points
        func next(_ index: Int) -> (Float, Float) { points[(index + 1) % points.count] }
        let area = points.indices.reduce(Float(0)) {
            $0 + points[$1].0 * next($1).1 - next($1).0 * points[$1].1
        }
        if area < 0 { points.reverse() }
        let edges = points.indices.map { index -> (Float, Float, Float) in
            let (p, q) = (points[index], next(index))
            let length = ((q.0 - p.0) * (q.0 - p.0) + (q.1 - p.1) * (q.1 - p.1)).squareRoot()
            let (nx, ny) = ((q.1 - p.1) / length, -(q.0 - p.0) / length)
            return (nx, ny, nx * p.0 + ny * p.1)
        }
        let xs = points.map(\.0)
        let ys = points.map(\.1)
        let e = (soft ?? 0) / 2
        let box = Box(
            (xs.min() ?? 0) - e, (xs.max() ?? 0) + e, (ys.min() ?? 0) - e, (ys.max() ?? 0) + e)
        fill(box, alpha: alpha, soft: soft, shade: shade) { x, y in
            var distance = Vector(repeating: -.infinity)
            for edge in edges {
                distance = Vector.maximum(distance, x * edge.0 + (y * edge.1 - edge.2))
            }
            return distance
        }
    }

    /// A line with round ends.
    func line(
        _ from: (Float, Float), _ to: (Float, Float), _ radius: Float, _ color: Color,
        alpha: Float = 1
    ) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1)
        let inverse = 1 / (dx * dx + dy * dy + 1e-9)
        let box = Box(
            min(from.0, to.0) - radius, max(from.0, to.0) + radius, min(from.1, to.1) - radius,
            max(from.1, to.1) + radius)
        fill(box, color, alpha: alpha) { x, y in
            let (u, v) = (x - from.0, Vector(repeating: y - from.1))
            let t = ((u * dx + v * dy) * inverse).clamped01
            return Vector.length(u - t * dx, v - t * dy) - radius
        }
    }

    /// Everything below a curve, from one colour at the curve to another at a depth.
    ///
    /// - Parameters:
    ///   - curve: y for each column of pixels.
    ///   - color: The colour at the curve.
    ///   - deep: The colour at the depth and below it; nil for the same.
    ///   - depth: The distance over which the colour changes.
    func fillBelow(_ curve: [Float], _ color: Color, _ deep: Color? = nil, depth: Float = 0.3) {
        let count = curve.count
        let slopes = curve.indices.map { index -> Float in
            let (low, high) = (max(0, index - 1), min(count - 1, index + 1))
            let slope = (curve[high] - curve[low]) / Float(max(1, high - low)) * Float(side)
            return Float(side) / (1 + slope * slope).squareRoot()
        }
        let change = (deep ?? color) - color
        let top = curve.min() ?? 0
        curve.withUnsafeBytes { curve in
            slopes.withUnsafeBytes { slopes in
                paint(Box(0, 1, top, 1)) { x, y in
                    let offset = 4 * Int(x[0] * Float(side))
                    let below = y - curve.loadUnaligned(fromByteOffset: offset, as: Vector.self)
                    let slope = slopes.loadUnaligned(fromByteOffset: offset, as: Vector.self)
                    let share = (below / depth).clamped01
                    return (
                        (0.5 + below * slope).clamped01,
                        (
                            color.x + change.x * share, color.y + change.y * share,
                            color.z + change.z * share
                        )
                    )
                }
            }
        }
    }

    /// The picture as bytes: red, green and blue of each pixel, row by row.
    func bytes(mirrored: Bool, into target: UnsafeMutablePointer<UInt8>) {
        let plane = side * side
        for row in 0..<side {
            for column in 0..<side {
                let from = row * side + (mirrored ? side - 1 - column : column)
                let to = 3 * (row * side + column)
                for channel in 0..<3 {
                    let value = min(max(planes[channel * plane + from], 0), 1)
                    target[to + channel] = UInt8(value * 255 + 0.5)
                }
            }
        }
    }
}

extension SIMD16<Float> {
    static func length(_ x: Self, _ y: Self) -> Self { (x * x + y * y).squareRoot() }

    static func maximum(_ a: Self, _ b: Self) -> Self { a.replacing(with: b, where: a .< b) }

    static func minimum(_ a: Self, _ b: Self) -> Self { a.replacing(with: b, where: b .< a) }

    var magnitudes: Self { replacing(with: -self, where: self .< 0) }

    var clamped01: Self { clamped(lowerBound: Self(repeating: 0), upperBound: Self(repeating: 1)) }
}

extension SIMD3<Float> {
    /// One colour for sixteen pixels.
    var planes: (SIMD16<Float>, SIMD16<Float>, SIMD16<Float>) {
        (SIMD16(repeating: x), SIMD16(repeating: y), SIMD16(repeating: z))
    }

    /// The colour with each part within 0…1.
    var visible: Self { clamped(lowerBound: Self(repeating: 0), upperBound: Self(repeating: 1)) }

    /// Some of the way to another colour.
    func mixed(_ other: Self, _ share: Float) -> Self { self * (1 - share) + other * share }
}
