import Wuerstchen

extension Image {
    /// How many pixels have a colour that text is drawn in.
    var inkCount: Int {
        stride(from: 0, to: pixels.count, by: 3).count {
            let pixel = Array(pixels[$0..<$0 + 3])
            return pixel == [40, 44, 52] || pixel == [108, 114, 126]
        }
    }

    /// How many pixels have just this colour.
    func count(of color: (UInt8, UInt8, UInt8)) -> Int {
        stride(from: 0, to: pixels.count, by: 3).count {
            (pixels[$0], pixels[$0 + 1], pixels[$0 + 2]) == color
        }
    }
}
