internal import TensorCore

/// One latent's three principal components as brightness and two colour contrasts,
/// `[1, rows, columns, 3]`.
func principalColors(_ latent: Tensor) -> Tensor {
    let channels = latent.shape.channels
    let positions = latent.count / max(1, channels)
    let values = latent.elements
    let means = (0..<channels).map { channel in
        (0..<positions).reduce(Float(0)) { $0 + values[$1 * channels + channel] }
            / Float(max(1, positions))
    }
    var rest = values.indices.map { values[$0] - means[$0 % channels] }
    var components: [[Float]] = []
    for number in 0..<3 {
        // Power iteration on the covariance; the component found is then taken off the data.
        var direction = (0..<channels).map { Float($0 % 3 == number ? 1.5 : 1) }
        var scores = [Float](repeating: 0, count: positions)
        for _ in 0..<24 {
            let length = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
            direction = direction.map { $0 / max(length, 1e-12) }
            for position in 0..<positions {
                scores[position] = (0..<channels).reduce(0) {
                    $0 + rest[position * channels + $1] * direction[$1]
                }
            }
            let found = (0..<channels).map { channel in
                (0..<positions).reduce(Float(0)) {
                    $0 + rest[$1 * channels + channel] * scores[$1]
                }
            }
            if found.allSatisfy({ abs($0) < 1e-12 }) { break }
            direction = found
        }
        for index in rest.indices {
            let length = direction.reduce(0) { $0 + $1 * $1 }
            rest[index] -=
                length > 0
                ? scores[index / channels] * direction[index % channels] / length.squareRoot() : 0
        }
        let deviation = (scores.reduce(0) { $0 + $1 * $1 } / Float(max(1, positions))).squareRoot()
        components.append(scores.map { $0 / max(deviation, 1e-6) })
    }
    return Tensor([1, latent.shape[1], latent.shape[2], 3]) { target in
        for position in 0..<positions {
            let bright = 0.5 + 0.2 * components[0][position]
            let (warm, green) = (0.1 * components[1][position], 0.1 * components[2][position])
            target[3 * position] = bright + warm - green / 2
            target[3 * position + 1] = bright + green
            target[3 * position + 2] = bright - warm - green / 2
        }
    }
}
