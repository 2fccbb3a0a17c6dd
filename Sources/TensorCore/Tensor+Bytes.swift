internal import CWuerstchenKernels

extension Tensor {
    /// The elements as bytes: clamped to 0…1, times 255, rounded half to even.
    package var bytes: [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
            if let base = target.baseAddress, !MemoryMeter.isMeasuring {
                unsafe kernels.to_bytes(base, pointer, count)
            }
            initialized = count
        }
    }

    /// Bytes as numbers 0…1.
    package init(bytes: [UInt8], _ shape: Shape) {
        precondition(bytes.count == shape.count, "\(bytes.count) bytes for \(shape)")
        unsafe self.init(shape) { target in
            for index in target.indices { unsafe target[index] = Float(bytes[index]) / 255 }
        }
    }

    /// For each row of the innermost axis the index of the nearest row of `codes`.
    ///
    /// - Parameter codes: `[codes, channels]`.
    /// - Returns: An index for each row, in row-major order; the lowest where several are as near.
    package func nearestRows(of codes: Tensor) -> [Int32] {
        let channels = shape.channels
        let rows = count / max(1, channels)
        precondition(codes.shape[1] == channels, "codes \(codes.shape) for \(shape)")
        return unsafe [Int32](unsafeUninitializedCapacity: rows) { target, initialized in
            if let base = target.baseAddress {
                // Where nothing is computed, one that there is.
                if MemoryMeter.isMeasuring { unsafe base.initialize(repeating: 0, count: rows) }
                forEachRowBlock(rows: rows, channels: codes.shape[0]) { range in
                    unsafe kernels.nearest(
                        base + range.lowerBound, pointer + range.lowerBound * channels,
                        range.count, channels, codes.pointer, codes.shape[0])
                }
            }
            initialized = rows
        }
    }

    /// The rows of a matrix with the given numbers, such as the embeddings of tokens.
    ///
    /// - Precondition: The tensor is a matrix, and each number one of its rows.
    package func embeddingLookup(_ numbers: [Int]) -> Tensor {
        let width = shape[1]
        let result = unsafe Tensor([numbers.count, width]) { target in
            for (row, number) in numbers.enumerated() {
                precondition((0..<shape[0]).contains(number), "row \(number) of \(shape)")
                for column in 0..<width {
                    unsafe target[row * width + column] = pointer[number * width + column]
                }
            }
        }
        guard Recording.isOn(edge) else { return result }
        let whole = shape
        return result.recorded(from: edge) { gradient in
            var sum = Tensor(repeating: 0, whole)
            let target = unsafe sum.mutablePointer()
            for (row, number) in numbers.enumerated() {
                let (place, source) = unsafe (
                    target + number * width, gradient.pointer + row * width
                )
                unsafe kernels.combine(place, 1, place, 1, source, width)
            }
            return [sum]
        }
    }
}
