internal import TensorCore

/// The numbers that exported weights are stored as.
public enum WeightElementType: String, Sendable, Hashable, CaseIterable {
    /// As they were trained.
    case float32
    /// Half the size, and eleven significant bits; up to 65504.
    case float16
    /// Half the size, and eight significant bits; as large as float32's.
    case bfloat16

    var stored: Safetensors.ElementType {
        switch self {
        case .float32: .f32
        case .float16: .f16
        case .bfloat16: .bf16
        }
    }

    /// A number as it is stored, as float32 again.
    func rounded(_ value: Float) -> Float {
        switch self {
        case .float32: value
        case .float16: Float(Float16(value))
        case .bfloat16: Float(bitPattern: UInt32(Self.bfloat16(value)) << 16)
        }
    }

    /// Rounded to the nearest, ties to even.
    private static func bfloat16(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        guard !value.isNaN else { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits + 0x7fff + (bits >> 16 & 1)) >> 16)
    }

    /// Whether two tensors are stored as the same.
    package func isSame(_ a: Tensor, _ b: Tensor) -> Bool {
        guard a.shape == b.shape else { return false }
        return a.withUnsafeElements { a in
            b.withUnsafeElements { b in
                a.indices.allSatisfy { rounded(a[$0]) == rounded(b[$0]) }
            }
        }
    }

    /// Refuses numbers that would be stored as infinite, or are not finite already.
    ///
    /// - Throws: ``WuerstchenError`` with code `notFinite` that names the tensor.
    package func validate(_ tensor: Tensor, _ name: String) throws {
        let wrong = tensor.withUnsafeElements { $0.first { !rounded($0).isFinite } }
        guard let wrong else { return }
        throw WuerstchenError(
            .notFinite,
            wrong.isFinite
                ? "\(name) has the element \(wrong), which is too large for \(rawValue); store the "
                    + "weights as bfloat16 or float32"
                : "\(name) has the element \(wrong); its training went wrong")
    }

    /// A tensor to be written, made when its turn comes and refused if it does not fit.
    package func source(
        _ name: String, _ shape: Shape, _ tensor: @escaping () throws -> Tensor
    ) -> Safetensors.Source {
        Safetensors.Source(name: name, elementType: stored, shape: shape.array) { write in
            let tensor = try tensor()
            try validate(tensor, name)
            try self.write(tensor, write)
        }
    }

    /// Hands a tensor's elements over as they are stored.
    func write(_ tensor: Tensor, _ write: Safetensors.Source.Write) throws {
        try tensor.withUnsafeElements { elements in
            switch self {
            case .float32: try write(UnsafeRawBufferPointer(elements))
            case .float16:
                let halves = elements.map { Float16($0).bitPattern }
                try halves.withUnsafeBytes { try write($0) }
            case .bfloat16:
                let halves = elements.map(Self.bfloat16)
                try halves.withUnsafeBytes { try write($0) }
            }
        }
    }
}
