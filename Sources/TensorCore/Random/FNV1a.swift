/// The hash FNV-1a of 64 bits (Fowler, Noll and Vo): short, and the same on every machine.
package struct FNV1a: Sendable {
    /// What the published hash begins with.
    package static let offsetBasis: UInt64 = 0xcbf2_9ce4_8422_2325

    /// The hash of what was added so far.
    package private(set) var value: UInt64

    /// The hash of nothing, which may begin with a seed in place of the published value.
    package init(_ value: UInt64 = FNV1a.offsetBasis) {
        self.value = value
    }

    /// The hash in sixteen hexadecimal digits.
    package var digits: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Adds bytes.
    package mutating func add(_ bytes: some Sequence<UInt8>) {
        // One by one through an iterator that is not known, a large image would take a minute.
        let isContiguous: Void? = bytes.withContiguousStorageIfAvailable { bytes in
            for index in 0..<bytes.count {
                value = unsafe (value ^ UInt64(bytes[index])) &* 0x100_0000_01b3
            }
        }
        guard isContiguous == nil else { return }
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }

    /// Adds bytes in memory eight at a time, for large files: faster, and not the published hash.
    package mutating func addWords(_ bytes: UnsafeRawBufferPointer) {
        let words = bytes.count / 8
        for place in 0..<words {
            let word = unsafe bytes.loadUnaligned(fromByteOffset: 8 * place, as: UInt64.self)
            value = (value ^ word) &* 0x100_0000_01b3
            // A product only carries upwards.
            value ^= value >> 32
        }
        unsafe add(bytes.dropFirst(8 * words))
    }
}
