/// A square image that shapes are painted on, one over the other.
///
/// Coordinates run from 0 to 1, x to the right and y down. A shape is a signed distance in these
/// units, negative inside, and covers a pixel by how far its centre lies within the edge: that
/// gives edges one pixel of antialiasing.
struct SceneCanvas: ~Copyable {
    /// Neighbouring pixels. Eight: sixteen would not leave enough registers for what is computed
    /// from them, and drawing takes three times as long.
    typealias Vector = SIMD8<Float>
    typealias Color = SIMD3<Float>
    /// Red, green and blue of a few pixels.
    typealias Planes = (Vector, Vector, Vector)

    let side: Int
    /// Red, then green, then blue: whole planes, so that neighbouring pixels are computed together.
    private let planes: UnsafeMutablePointer<Vector>
    private var vectorsOfRow: Int { side / Vector.scalarCount }
    private var vectorsOfPlane: Int { side * vectorsOfRow }
    /// The centres of the first pixels of a row, in pixels.
    private let centers: Vector

    init(side: Int) {
        self.side = side
        precondition(side % Vector.scalarCount == 0, "rows of \(side) pixels are not whole vectors")
        let count = 3 * side * side / Vector.scalarCount
        planes = .allocate(capacity: count)
        planes.initialize(repeating: Vector(repeating: 0), count: count)
        var centers = Vector()
        for lane in 0..<Vector.scalarCount { centers[lane] = Float(lane) + 0.5 }
        self.centers = centers
    }

    deinit { planes.deallocate() }

    /// A part of the image, in coordinates.
    struct Box {
        var left, right, top, bottom: Float

        init(_ left: Float, _ right: Float, _ top: Float, _ bottom: Float) {
            (self.left, self.right, self.top, self.bottom) = (left, right, top, bottom)
        }

        init(center x: Float, _ y: Float, radius: Float) {
            self.init(x - radius, x + radius, y - radius, y + radius)
        }
    }

    /// Paints what `paint` gives for a few neighbouring pixels at a time: their coverage and
    /// colour.
    ///
    /// - Parameters:
    ///   - box: What is painted, and a pixel around it.
    ///   - alpha: What the coverage is multiplied by.
    ///   - paint: Gets the first pixel's column, the pixels' x and their y.
    @inline(__always)
    private func paint(
        _ box: Box, alpha: Float = 1,
        _ paint: (_ column: Int, _ x: Vector, _ y: Float) -> (Vector, Planes)
    ) {
        let scale = Float(side)
        func bound(_ value: Float) -> Int { Int(min(max(value, 0), scale)) }
        // A pixel for the edge, and half a one because centres count.
        let left = bound((box.left * scale - 1.5).rounded(.down))
        let right = bound((box.right * scale + 1.5).rounded(.up))
        let top = bound((box.top * scale - 1.5).rounded(.down))
        let bottom = bound((box.bottom * scale + 1.5).rounded(.up))
        guard left < right, top < bottom else { return }
        let lanes = Vector.scalarCount
        let (first, last) = (left / lanes, (right - 1) / lanes)
        let plane = vectorsOfPlane
        for row in top..<bottom {
            let y = (Float(row) + 0.5) / scale
            let target = planes + row * vectorsOfRow
            for index in first...last {
                let column = index * lanes
                let (coverage, color) = paint(column, (centers + Float(column)) / scale, y)
                var share = coverage * alpha
                if index == first || index == last {
                    // Whole vectors reach beyond the box.
                    let places = centers + Float(column)
                    let isMeant = (places .> Float(left)) .& (places .< Float(right))
                    share.replace(with: 0, where: .!isMeant)
                }
                target[index] += share * (color.0 - target[index])
                target[index + plane] += share * (color.1 - target[index + plane])
                target[index + 2 * plane] += share * (color.2 - target[index + 2 * plane])
            }
        }
    }

    /// Fills a shape with a colour for each pixel.
    @inline(__always)
    func fill(
        _ box: Box, alpha: Float = 1, soft: Float? = nil,
        shade: (_ x: Vector, _ y: Float) -> Planes,
        distance: (_ x: Vector, _ y: Float) -> Vector
    ) {
        let sharpness = soft.map { 1 / $0 } ?? Float(side)
        paint(box, alpha: alpha) { _, x, y in
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

    /// The whole image, each row in one colour.
    func fillRows(_ color: (_ y: Float) -> Color) {
        paint(Box(0, 1, 0, 1)) { _, _, y in (Vector(repeating: 1), color(y).planes) }
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
        radius: Float = 0, shade: (_ x: Vector, _ y: Float) -> Planes
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
        shade: (_ x: Vector, _ y: Float) -> Planes
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
        let steepness = 1 / depth
        let top = curve.min() ?? 0
        curve.withUnsafeBytes { curve in
            slopes.withUnsafeBytes { slopes in
                paint(Box(0, 1, top, 1)) { column, _, y in
                    let offset = 4 * column
                    let below = y - curve.loadUnaligned(fromByteOffset: offset, as: Vector.self)
                    let slope = slopes.loadUnaligned(fromByteOffset: offset, as: Vector.self)
                    let share = (below * steepness).clamped01
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

    /// The image as bytes: red, green and blue of each pixel, row by row.
    ///
    /// - Parameter mirrored: Whether to flip it left to right.
    /// - Returns: The samples, 0 to 255.
    func bytes(mirrored: Bool) -> [UInt8] {
        let count = 3 * side * side
        // One byte more than there are, because pixels are written four bytes at a time.
        return [UInt8](unsafeUninitializedCapacity: count + 1) { bytes, initialized in
            if let first = bytes.baseAddress { write(to: first, mirrored: mirrored) }
            initialized = count
        }
    }

    private func write(to first: UnsafeMutablePointer<UInt8>, mirrored: Bool) {
        let (row, plane) = (vectorsOfRow, vectorsOfPlane)
        let last = Vector.scalarCount - 1
        var target = UnsafeMutableRawPointer(first)
        for place in 0..<plane {
            let source = planes + (mirrored ? place + row - 1 - 2 * (place % row) : place)
            let (red, green, blue) = (source[0], source[plane], source[2 * plane])
            let pixels = red.bytes | green.bytes &<< 8 | blue.bytes &<< 16
            for lane in 0...last {
                // The fourth byte is the next pixel's, which comes right after.
                target.storeBytes(of: pixels[mirrored ? last - lane : lane], as: UInt32.self)
                target += 3
            }
        }
    }
}

extension SIMD8<Float> {
    @inline(__always)
    static func length(_ x: Self, _ y: Self) -> Self { (x * x + y * y).squareRoot() }

    @inline(__always)
    static func maximum(_ a: Self, _ b: Self) -> Self { a.replacing(with: b, where: a .< b) }

    @inline(__always)
    static func minimum(_ a: Self, _ b: Self) -> Self { a.replacing(with: b, where: b .< a) }

    @inline(__always)
    var magnitudes: Self { .maximum(self, -self) }

    // The library's own `clamped` and `pointwiseMax` are calls of generic functions.
    @inline(__always)
    var clamped01: Self { .minimum(.maximum(self, Self(repeating: 0)), Self(repeating: 1)) }

    /// Samples from 0 to 1 as whole numbers from 0 to 255.
    @inline(__always)
    fileprivate var bytes: SIMD8<UInt32> {
        // Floats from 2²³ on have a whole number in their lowest bits.
        unsafeBitCast(clamped01 * 255 + 0x1p23, to: SIMD8<UInt32>.self) & 0xff
    }
}

extension SIMD3<Float> {
    /// One colour for eight pixels.
    var planes: (SIMD8<Float>, SIMD8<Float>, SIMD8<Float>) {
        (SIMD8(repeating: x), SIMD8(repeating: y), SIMD8(repeating: z))
    }

    /// The colour with each part within 0…1.
    var visible: Self { clamped(lowerBound: Self(repeating: 0), upperBound: Self(repeating: 1)) }

    /// Some of the way to another colour.
    func mixed(_ other: Self, _ share: Float) -> Self { self * (1 - share) + other * share }
}
