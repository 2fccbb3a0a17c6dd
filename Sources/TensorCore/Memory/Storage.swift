/// The memory behind one or more tensors.
///
/// Marked `@unchecked Sendable` under one rule: the elements change only through a `Tensor` that
/// holds the only reference to the storage, or before the first `Tensor` over it is handed out.
final class Storage: @unchecked Sendable {
    private enum Owner {
        /// From the pool, to go back there.
        case pool
        /// Someone else's memory, alive as long as the object is, and never written to.
        case borrowed(AnyObject)
    }

    let base: UnsafeMutablePointer<Float>
    let count: Int
    private let owner: Owner

    init(count: Int) {
        base = BufferPool.shared.take(count * MemoryLayout<Float>.stride)
            .bindMemory(to: Float.self, capacity: count)
        self.count = count
        owner = .pool
    }

    /// Elements inside memory that `keeper` keeps valid, such as a memory-mapped file.
    init(borrowing elements: UnsafePointer<Float>, count: Int, from keeper: AnyObject) {
        base = UnsafeMutablePointer(mutating: elements)
        self.count = count
        owner = .borrowed(keeper)
    }

    var isWritable: Bool {
        if case .pool = owner { true } else { false }
    }

    deinit {
        if case .pool = owner {
            BufferPool.shared.give(base, bytes: count * MemoryLayout<Float>.stride)
        }
    }
}
