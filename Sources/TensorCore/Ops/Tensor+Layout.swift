internal import CWuerstchenKernels

extension Tensor {
    /// `[batch, channels, height, width]`, as PyTorch lays images out, to channels-last.
    public func channelsLast() -> Tensor {
        let (batch, channels, height, width) = axes4
        return transposed(batch, channels, height * width, to: [batch, height, width, channels])
    }

    /// Channels-last to `[batch, channels, height, width]`.
    public func channelsFirst() -> Tensor {
        let (batch, height, width, channels) = axes4
        return transposed(batch, height * width, channels, to: [batch, channels, height, width])
    }

    /// A part of one image, `[1, rows, columns, channels]`; not recorded for gradients.
    ///
    /// - Precondition: Rows and columns lie in the images, and the number is one of theirs.
    package func cropped(_ image: Int = 0, rows: Range<Int>, columns: Range<Int>) -> Tensor {
        let (batch, height, width, channels) = axes4
        precondition(
            (0..<batch).contains(image) && rows.lowerBound >= 0 && rows.upperBound <= height
                && columns.lowerBound >= 0 && columns.upperBound <= width,
            "rows \(rows) and columns \(columns) of image \(image) of \(shape)")
        guard batch > 1 || rows.count < height || columns.count < width else { return self }
        var result = Tensor(uninitialized: [1, rows.count, columns.count, channels])
        let length = columns.count * channels
        let target = unsafe result.mutablePointer()
        let source =
            unsafe pointer
            + ((image * height + rows.lowerBound) * width
                + columns.lowerBound) * channels
        parallel(rows.count) { row in
            unsafe (target + row * length).update(
                from: source + row * width * channels, count: length)
        }
        return result
    }

    /// The transpose of a matrix.
    public func matrixTransposed() -> Tensor {
        precondition(shape.rank == 2, "\(shape) is not a matrix")
        return transposed(1, shape[0], shape[1], to: [shape[1], shape[0]])
    }

    private func transposed(_ batch: Int, _ a: Int, _ b: Int, to shape: Shape) -> Tensor {
        let result = unsafe Tensor(shape) { target in
            guard let base = target.baseAddress else { return }
            unsafe wk_transpose(base, pointer, batch, a, b)
        }
        guard Recording.isOn(edge) else { return result }
        let original = self.shape
        return result.recorded(from: edge) { [$0.transposed(batch, b, a, to: original)] }
    }

    /// Squares of `factor` × `factor` pixels into the channels of one: output channel
    /// `c · factor² + dy · factor + dx`.
    ///
    /// - Precondition: Height and width are multiples of the factor.
    public func pixelUnshuffled(_ factor: Int) -> Tensor {
        let (batch, height, width, channels) = axes4
        precondition(
            height % factor == 0 && width % factor == 0,
            "\(shape) has sides that are no multiples of \(factor)")
        var result = Tensor(
            uninitialized: [batch, height / factor, width / factor, channels * factor * factor])
        let target = unsafe result.mutablePointer()
        let size = height * width * channels
        let source = unsafe pointer
        parallel(batch) {
            unsafe wk_pixel_unshuffle(
                target + $0 * size, source + $0 * size, height, width, channels, factor)
        }
        guard Recording.isOn(edge) else { return result }
        return result.recorded(from: edge) { [$0.pixelShuffled(factor)] }
    }

    /// The inverse of ``pixelUnshuffled(_:)``.
    ///
    /// - Precondition: The channels are a multiple of the factor squared.
    public func pixelShuffled(_ factor: Int) -> Tensor {
        let (batch, height, width, channels) = axes4
        precondition(
            channels % (factor * factor) == 0, "\(shape): channels are no multiple of \(factor)²")
        var result = Tensor(
            uninitialized: [batch, height * factor, width * factor, channels / (factor * factor)])
        let target = unsafe result.mutablePointer()
        let rowLength = width * channels
        let source = unsafe pointer
        forEachRowBlock(rows: batch * height, channels: rowLength) { rows in
            let start = rows.lowerBound * rowLength
            unsafe wk_pixel_shuffle(
                target + start, source + start, rows.count, width, channels, factor)
        }
        guard Recording.isOn(edge) else { return result }
        return result.recorded(from: edge) { [$0.pixelUnshuffled(factor)] }
    }

    /// The four lengths of a channels-last image or map.
    var axes4: (Int, Int, Int, Int) {
        precondition(shape.rank == 4, "\(shape) has not four axes")
        return (shape[0], shape[1], shape[2], shape[3])
    }
}
