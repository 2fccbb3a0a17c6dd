package import TensorCore

extension CheckpointParameters {
    /// How much of a tensor's beginning, middle and end is read, in bytes.
    private static let sample = 1 << 10

    /// Adds what tells these parameters from others: the names, types and shapes of all tensors,
    /// and a kibibyte at the beginning, the middle and the end of each.
    ///
    /// A training changes nearly every element of the tensors that it changes, so that this finds
    /// it without reading gigabytes. How tensors are spread over files does not matter.
    package func add(to hash: inout FNV1a) throws {
        for name in storedNames.sorted() {
            guard let type = elementType(of: name), let shape = storedShape(of: name) else {
                continue
            }
            hash.add(Array("\(name) \(type.rawValue)".utf8))
            hash.add(Array("\(shape)".utf8))
            try unsafe withBytes(of: name) { bytes in
                for range in Self.samples(of: bytes.count) {
                    unsafe hash.addWords(UnsafeRawBufferPointer(rebasing: bytes[range]))
                }
            }
        }
    }

    private static func samples(of count: Int) -> [Range<Int>] {
        guard count > 3 * sample else { return [0..<count] }
        return [0, (count - sample) / 2, count - sample].map { $0..<$0 + sample }
    }
}
