import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

/// JPEG and WebP files, where the system's libraries are there.
@Suite(
    "Photographs",
    .enabled(
        if: ImageFileFormat.allCases.allSatisfy(\.isReadable),
        "libturbojpeg0 and libwebp7 read them")
)
struct PhotoTests {
    private func decoded(_ file: Data) throws -> Image {
        try withFolder { folder in
            // The contents count, and not the name.
            let url = folder.appending(path: "photo.png")
            try file.write(to: url)
            return try Image(contentsOf: url)
        }
    }

    private func expectMalformed(_ file: Data, _ words: String) {
        let error = #expect(throws: WuerstchenError.self) { try decoded(file) }
        #expect(error?.code == .malformedFile)
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "nothing")")
    }

    /// The colours of the picture, as far as a format keeps them.
    private func expectPicture(_ image: Image, within tolerance: Int) {
        #expect(image.size == ImageSize(width: 20, height: 12))
        for y in 0..<image.height {
            for x in 0..<image.width {
                let pixel = image[x, y]
                #expect(abs(Int(pixel.red) - 12 * x) <= tolerance)
                #expect(abs(Int(pixel.green) - 16 * y) <= tolerance)
                #expect(abs(Int(pixel.blue) - 128) <= tolerance)
            }
        }
    }

    @Test("JPEG", arguments: [SmallPhotos.jpeg, SmallPhotos.progressive, SmallPhotos.cmyk])
    func jpeg(file: Data) throws {
        expectPicture(try decoded(file), within: 6)
    }

    @Test("grey JPEG")
    func grey() throws {
        let image = try decoded(SmallPhotos.grey)
        let pixel = image[10, 6]
        #expect(pixel.red == pixel.green && pixel.green == pixel.blue)
        #expect(abs(Int(pixel.red) - 107) <= 3)
    }

    @Test("WebP, in front of white, and its opacity as a mask")
    func webp() throws {
        let image = try decoded(SmallPhotos.webp)
        #expect(image[0, 0] == (255, 255, 255) && image[4, 11] == (255, 255, 255))
        #expect(image[5, 11] == (60, 176, 128) && image[19, 0] == (228, 0, 128))
    }

    @Test("Exif turns an image upright, and the size in the header with it")
    func orientation() throws {
        // A segment for the camera's block, right after the start of the image: big-endian, one
        // entry, tag 0x0112, a SHORT, one of them, 6.
        let block: [UInt8] =
            Array("Exif\0\0MM".utf8) + [0, 42, 0, 0, 0, 8, 0, 1]
            + [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0] + [0, 0, 0, 0]
        var jpeg = SmallPhotos.jpeg
        jpeg.insert(
            contentsOf: [0xFF, 0xE1, 0, UInt8(block.count + 2)] + block, at: jpeg.startIndex + 2)
        for (file, tolerance) in [(jpeg, 6), (SmallPhotos.turned, 0)] {
            let image = try decoded(file)
            #expect(image.size == ImageSize(width: 12, height: 20))
            // The left column was the last row, from the bottom.
            let corner = image[0, 0]
            #expect(abs(Int(corner.red)) <= tolerance)
            #expect(abs(Int(corner.green) - 176) <= tolerance)
        }
    }

    @Test("what is damaged, cut off or an animation is an error", arguments: [20, 200, 500, 700])
    func damage(count: Int) {
        expectMalformed(SmallPhotos.jpeg.prefix(count), "cannot be decoded")
        expectMalformed(SmallPhotos.webp.prefix(min(count, 100)), "cannot be decoded")
        expectMalformed(SmallPhotos.animated, "animation")
    }

    @Test("a few bytes that claim gigabytes are an error at once")
    func claims() throws {
        let files: [(Data, UInt8)] = [(SmallPhotos.jpeg, 0xC0), (SmallPhotos.progressive, 0xC2)]
        for (file, marker) in files {
            // After the marker two bytes of length and one of bits come height and width.
            var large = file
            let place = try #require(file.range(of: Data([0xFF, marker]))).upperBound + 3
            large.replaceSubrange(place..<place + 4, with: [0x40, 0, 0x40, 0])
            let time = processorTime { expectMalformed(large, "claims 16384×16384 pixels") }
            #expect(time < .seconds(1), "no memory for the pixels was filled")
        }
    }

    @Test("a JPEG file of more scans than any needs is not gone through")
    func scans() throws {
        let file = SmallPhotos.progressive
        // The last scan again and again, in front of the marker that ends the file.
        let scan = try #require(file.range(of: Data([0xFF, 0xDA]), options: .backwards))
        let end = try #require(file.range(of: Data([0xFF, 0xD9]), options: .backwards))
        var long = file[..<end.lowerBound]
        for _ in 0..<600 { long += file[scan.lowerBound..<end.lowerBound] }
        expectMalformed(Data(long + file[end.lowerBound...]), "scans")
    }

    @Test("any changed byte gives an image or an error")
    func fuzz() throws {
        for file in [SmallPhotos.jpeg, SmallPhotos.progressive, SmallPhotos.webp] {
            for index in file.indices.dropFirst(12) {
                var changed = file
                changed[index] ^= 0xFF
                _ = try? decoded(changed)
            }
        }
    }
}
