/// What decoders give: red, green, blue and opacity of each pixel.
enum RGBASamples {
    /// Three samples of each pixel: its colours in front of white, blended as they are, or thrice
    /// its opacity.
    static func pixels(_ samples: ArraySlice<UInt8>, showsOpacity: Bool) -> [UInt8] {
        var pixels: [UInt8] = []
        pixels.reserveCapacity(samples.count / 4 * 3)
        append(samples, to: &pixels, showsOpacity: showsOpacity)
        return pixels
    }

    /// Adds three samples of each pixel.
    static func append(
        _ samples: ArraySlice<UInt8>, to pixels: inout [UInt8], showsOpacity: Bool
    ) {
        let count = samples.count / 4
        pixels += [UInt8](unsafeUninitializedCapacity: 3 * count) { pixels, initializedCount in
            samples.withUnsafeBufferPointer { samples in
                for pixel in 0..<count {
                    let alpha = samples[4 * pixel + 3]
                    for place in 0..<3 {
                        let sample = Int(samples[4 * pixel + place])
                        pixels[3 * pixel + place] =
                            showsOpacity
                            ? alpha
                            : UInt8((Int(alpha) * sample + (255 - Int(alpha)) * 255 + 127) / 255)
                    }
                }
            }
            initializedCount = 3 * count
        }
    }
}
