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
        for index in stride(from: samples.startIndex, to: samples.endIndex, by: 4) {
            let alpha = Int(samples[index + 3])
            if showsOpacity {
                pixels += [samples[index + 3], samples[index + 3], samples[index + 3]]
                continue
            }
            for sample in samples[index..<(index + 3)] {
                pixels.append(UInt8((alpha * Int(sample) + (255 - alpha) * 255 + 127) / 255))
            }
        }
    }
}
