#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#else
private import Darwin
#endif

/// The memory behind one or more tensors, or behind what tensors were packed into. It is bound to
/// one type of elements for as long as it lives.
///
/// Marked `@unchecked Sendable` under one rule: the elements change only through a `Tensor` that
/// holds the only reference to the storage, or before the first value over it (a tensor, an
/// operand, a packed matrix) is handed out. Scratch memory is never handed out.
///
/// `@safe`: it owns its memory, or keeps the owner alive; who follows `base` is marked, and minds
/// the count and the rule above.
@safe
final class Storage<Element: BitwiseCopyable>: @unchecked Sendable {
    private enum Owner {
        /// From a pool, to go back there.
        case pool(BufferPool.Buffer, BufferPool)
        /// Someone else's memory, alive as long as the object is, and never written to.
        case borrowed(AnyObject)
    }

    let base: UnsafeMutablePointer<Element>
    let count: Int
    private let owner: Owner

    /// - Parameters:
    ///   - count: How many elements.
    ///   - isLasting: Whether they will be kept for longer than a step.
    init(count: Int, isLasting: Bool = false) {
        let pool = BufferPool.current
        let buffer = pool.take(count * MemoryLayout<Element>.stride, isLasting: isLasting)
        unsafe base = buffer.pointer.bindMemory(to: Element.self, capacity: count)
        self.count = count
        owner = .pool(buffer, pool)
    }

    /// Elements inside memory that `keeper` keeps valid, such as a memory-mapped file.
    init(borrowing elements: UnsafePointer<Element>, count: Int, from keeper: AnyObject) {
        unsafe base = UnsafeMutablePointer(mutating: elements)
        self.count = count
        owner = .borrowed(keeper)
        MemoryMeter.current?.addMapped(count * MemoryLayout<Element>.stride, of: keeper)
    }

    /// Sets some elements, or all, before anybody else sees them.
    func fill(_ range: Range<Int>? = nil, with value: Element) {
        let range = range ?? 0..<count
        precondition(isWritable && range.lowerBound >= 0 && range.upperBound <= count)
        unsafe (base + range.lowerBound).update(repeating: value, count: range.count)
    }

    var isWritable: Bool {
        if case .pool = owner { true } else { false }
    }

    /// Tells the system that some elements inside someone else's memory, which is a mapped file,
    /// are not needed soon.
    func releasePages(_ range: Range<Int>) {
        guard case .borrowed(let keeper) = owner else { return }
        if let meter = MemoryMeter.current {
            meter.addMapped(-range.count * MemoryLayout<Element>.stride, of: keeper)
            return
        }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let first = unsafe (Int(bitPattern: base + range.lowerBound) + page - 1) / page * page
        let last = unsafe Int(bitPattern: base + range.upperBound) / page * page
        guard last > first, let start = unsafe UnsafeMutableRawPointer(bitPattern: first) else {
            return
        }
        unsafe madvise(start, last - first, MADV_DONTNEED)
    }

    deinit {
        if case .pool(let buffer, let pool) = owner { pool.give(buffer) }
    }
}
