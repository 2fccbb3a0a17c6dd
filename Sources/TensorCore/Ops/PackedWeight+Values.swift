extension PackedWeight {
    /// The weight's elements as they are multiplied, rounded to the precision: `[outputs,
    /// features]`, the same on every processor. Nil for 8 bits in the order of a processor's
    /// products, which cannot be read back.
    package func unpacked() -> Tensor? {
        switch form {
        case .plain(let weight): weight
        case .transposed(let weight): weight.matrixTransposed()
        case .panels(let panels):
            precision == .int8 ? nil : panels.unpackedTransposed(features).matrixTransposed()
        case .lowPrecision(let rows): rows.widened()
        }
    }
}
