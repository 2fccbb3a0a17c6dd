/// What decoders give: red, green, blue and opacity of each pixel.
enum RGBASamples {
    /// Three samples of each pixel: its colours in front of white, blended as they are, or what a
    /// mask is made of: its opacity, and twice the brightness of those colours.
    static func pixels(_ samples: ArraySlice<UInt8>, showsMask: Bool) -> [UInt8] {
        var pixels: [UInt8] = []
        pixels.reserveCapacity(samples.count / 4 * 3)
        append(samples, to: &pixels, showsMask: showsMask)
        return pixels
    }

    /// Adds three samples of each pixel.
    static func append(
        _ samples: ArraySlice<UInt8>, to pixels: inout [UInt8], showsMask: Bool
    ) {
        let count = samples.count / 4
        pixels += [UInt8](unsafeUninitializedCapacity: 3 * count) { pixels, initializedCount in
            samples.withUnsafeBufferPointer { samples in
                for pixel in 0..<count {
                    let alpha = Int(samples[4 * pixel + 3])
                    func blended(_ place: Int) -> UInt8 {
                        let sample = Int(samples[4 * pixel + place])
                        return UInt8((alpha * sample + (255 - alpha) * 255 + 127) / 255)
                    }
                    var (first, second, third) = (blended(0), blended(1), blended(2))
                    if showsMask {
                        second = brightness(first, second, third)
                        (first, third) = (UInt8(alpha), second)
                    }
                    pixels[3 * pixel] = first
                    pixels[3 * pixel + 1] = second
                    pixels[3 * pixel + 2] = third
                }
            }
            initializedCount = 3 * count
        }
    }

    /// How bright a colour is.
    static func brightness(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> UInt8 {
        let (red, green, blue) = (Int(red), Int(green), Int(blue))
        return UInt8((77 * red + 150 * green + 29 * blue + 128) >> 8)
    }
}
