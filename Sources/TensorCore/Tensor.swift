private import CWuerstchenKernels

/// A dense array of 32-bit floats, row-major, with value semantics.
///
/// Copies share their elements until one of them is changed. A slice along the first axis shares
/// its elements too. Networks run *channels-last*; see ``Shape``.
public struct Tensor: Sendable {
    /// The lengths of the axes.
    public let shape: Shape
    private var storage: Storage<Float>
    private let offset: Int
    /// What the tensor was computed by, where that is recorded.
    package var edge: GradientEdge?

    /// The number of elements.
    public var count: Int { shape.count }

    /// A tensor whose elements `initialize` sets, all of them. Where memory is only measured,
    /// nobody calls it.
    ///
    /// - Parameters:
    ///   - shape: The lengths of the axes.
    ///   - initialize: Gets the uninitialised elements in row-major order.
    public init(
        _ shape: Shape,
        initializedBy initialize: (UnsafeMutableBufferPointer<Float>) throws -> Void
    ) rethrows {
        self.init(uninitialized: shape)
        if MemoryMeter.isMeasuring { return }
        try unsafe initialize(UnsafeMutableBufferPointer(start: storage.base, count: shape.count))
    }

    /// A tensor with all elements equal.
    public init(repeating value: Float, _ shape: Shape) {
        unsafe self.init(shape) { unsafe $0.initialize(repeating: value) }
    }

    /// A tensor with the given elements in row-major order.
    ///
    /// - Precondition: There are as many elements as the shape says.
    public init(_ elements: [Float], _ shape: Shape) {
        precondition(elements.count == shape.count, "\(elements.count) elements for \(shape)")
        unsafe self.init(shape) { _ = unsafe $0.initialize(from: elements) }
    }

    init(uninitialized shape: Shape) {
        self.shape = shape
        storage = Storage<Float>(count: shape.count)
        offset = 0
    }

    /// Elements inside memory that `keeper` keeps valid and nobody writes to.
    init(_ shape: Shape, borrowing elements: UnsafePointer<Float>, from keeper: AnyObject) {
        self.shape = shape
        storage = unsafe Storage<Float>(borrowing: elements, count: shape.count, from: keeper)
        offset = 0
    }

    private init(_ shape: Shape, storage: Storage<Float>, offset: Int) {
        self.shape = shape
        self.storage = storage
        self.offset = offset
    }

    // MARK: Elements

    /// The elements in row-major order; zeros where memory is only measured.
    public var elements: [Float] {
        MemoryMeter.isMeasuring
            ? [Float](repeating: 0, count: count)
            : unsafe withUnsafeElements { unsafe Array($0) }
    }

    /// Calls `body` with the elements in row-major order; the pointer is valid during the call.
    public func withUnsafeElements<Result, Failure: Error>(
        _ body: (UnsafeBufferPointer<Float>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe body(UnsafeBufferPointer(start: pointer, count: count))
    }

    /// Calls `body` with the elements in row-major order, for it to change in place. Elements that
    /// other tensors share are copied first.
    public mutating func withUnsafeMutableElements<Result, Failure: Error>(
        _ body: (UnsafeMutableBufferPointer<Float>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe body(UnsafeMutableBufferPointer(start: mutablePointer(), count: count))
    }

    /// The first element. For operations, which keep the tensor alive while they use it.
    var pointer: UnsafePointer<Float> { unsafe UnsafePointer(storage.base + offset) }

    /// The first element, after making sure that no other tensor sees it.
    mutating func mutablePointer() -> UnsafeMutablePointer<Float> {
        // Other elements are not what was recorded.
        edge = nil
        if !isKnownUniquelyReferenced(&storage) || !storage.isWritable {
            self = unsafe Tensor(shape) {
                _ = unsafe $0.initialize(from: UnsafeBufferPointer(start: pointer, count: count))
            }
        }
        return unsafe storage.base + offset
    }

    /// One element by its place in row-major order.
    func element(_ place: Int) -> Float {
        precondition((0..<count).contains(place), "element \(place) of \(shape)")
        return MemoryMeter.isMeasuring ? 0 : unsafe pointer[place]
    }

    /// The element at a position, one index for each axis.
    public subscript(position: Int...) -> Float {
        precondition(position.count == shape.rank, "\(position.count) indices for \(shape)")
        var index = 0
        for (axis, place) in position.enumerated() {
            precondition((0..<shape[axis]).contains(place), "\(position) is outside \(shape)")
            index = index * shape[axis] + place
        }
        return element(index)
    }

    /// Gives back the memory of elements that lie in a mapped file; looked at again, they are read
    /// again. Other tensors keep what they have.
    package func releasePages() { storage.releasePages(offset..<offset + count) }

    // MARK: Shape

    /// The same elements under another shape.
    ///
    /// - Precondition: Both shapes have the same number of elements.
    public func reshaped(to shape: Shape) -> Tensor {
        precondition(shape.count == count, "\(self.shape) cannot become \(shape)")
        let result = Tensor(shape, storage: storage, offset: offset)
        guard Recording.isOn(edge) else { return result }
        let original = self.shape
        return result.recorded(from: edge) { [$0.reshaped(to: original)] }
    }

    /// Part of the tensor along its first axis, such as some images of a batch. Shares elements.
    public subscript(range: Range<Int>) -> Tensor {
        precondition(
            shape.rank > 0 && range.lowerBound >= 0 && range.upperBound <= shape[0],
            "\(range) of the first axis of \(shape)")
        let part = Shape([range.count] + shape.array.dropFirst())
        let rest = shape.count(of: 1..<shape.rank)
        let result = Tensor(part, storage: storage, offset: offset + range.lowerBound * rest)
        guard Recording.isOn(edge) else { return result }
        let whole = shape
        return result.recorded(from: edge) { gradient in
            var sum = Tensor(repeating: 0, whole)
            unsafe (sum.mutablePointer() + range.lowerBound * rest)
                .update(from: gradient.pointer, count: gradient.count)
            return [sum]
        }
    }

    /// Tensors one after the other along their first axis.
    ///
    /// - Precondition: There is at least one part, and they agree in all other axes.
    public static func concatenating(_ parts: [Tensor]) -> Tensor {
        precondition(!parts.isEmpty, "nothing to concatenate")
        if parts.count == 1 { return parts[0] }
        let rest = parts[0].shape.array.dropFirst()
        precondition(
            parts.allSatisfy { $0.shape.array.dropFirst() == rest },
            "parts differ in more than the first axis: \(parts.map(\.shape))")
        let length = parts.reduce(0) { $0 + $1.shape[0] }
        let result = unsafe Tensor(Shape([length] + rest)) { target in
            var rest = unsafe target
            for part in parts {
                _ = unsafe rest.initialize(
                    from: UnsafeBufferPointer(start: part.pointer, count: part.count))
                unsafe rest = UnsafeMutableBufferPointer(rebasing: rest.dropFirst(part.count))
            }
        }
        let edges = parts.map(\.edge)
        guard Recording.isOn(edges) else { return result }
        let lengths = parts.map { $0.shape[0] }
        return result.recorded(fromAll: edges) { gradient in
            var first = 0
            return lengths.map { length in
                defer { first += length }
                return gradient[first..<first + length]
            }
        }
    }

    /// Whether every element is finite.
    public var isFinite: Bool {
        MemoryMeter.isMeasuring ? true : unsafe kernels.all_finite(pointer, count)
    }
}

extension Tensor: CustomStringConvertible {
    /// The shape and the first few elements.
    public var description: String {
        let shown = unsafe withUnsafeElements { unsafe Array($0.prefix(6)) }
        let rest = count > shown.count ? ", …" : ""
        return "Tensor\(shape)(\(shown.map { "\($0)" }.joined(separator: ", "))\(rest))"
    }
}
