extension Safetensors {
    /// A tensor to be written: what the header says about it, and a closure that produces its bytes
    /// when their turn comes.
    ///
    /// `@safe`: the bytes are the body's own, and nobody keeps the pointer to them.
    @safe
    public struct Source {
        /// Writes the next bytes of a tensor; any number of calls, best of a mebibyte or more each.
        public typealias Write = (UnsafeRawBufferPointer) throws -> Void

        /// The tensor's name, unique in its file.
        public let name: String
        /// The type of the elements.
        public let elementType: ElementType
        /// The dimensions, outermost first; empty for a scalar.
        public let shape: [Int]
        let body: (Write) throws -> Void

        /// Describes a tensor to be written.
        ///
        /// - Parameters:
        ///   - name: The tensor's name, unique in its file.
        ///   - elementType: The type of the elements.
        ///   - shape: The dimensions, outermost first; empty for a scalar.
        ///   - body: Hands the elements, row-major and little-endian, to the function it is given.
        ///     It is called once, and what it throws ends the writing.
        public init(
            name: String, elementType: ElementType, shape: [Int],
            body: @escaping (_ write: Write) throws -> Void
        ) {
            self.name = name
            self.elementType = elementType
            self.shape = shape
            unsafe self.body = body
        }

        /// Hands the elements over as they would be written.
        ///
        /// - Throws: What producing them or taking them throws.
        package func forEachPiece(_ take: Write) throws { try unsafe body(take) }
    }
}
