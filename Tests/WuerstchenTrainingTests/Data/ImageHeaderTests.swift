import Foundation
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@testable import WuerstchenTraining

@Suite struct ImageHeaderTests {
    private func bytes(_ width: Int, _ height: Int) throws -> Data {
        try withFolder { folder in
            let url = folder.appendingPathComponent("image.png")
            try Image.plain(width, height, 7).write(to: url, text: [("key", "value")])
            return try Data(contentsOf: url)
        }
    }

    private func size(_ bytes: Data) throws -> ImageSize {
        try withFolder { folder in
            let url = folder.appendingPathComponent("image.png")
            try bytes.write(to: url)
            return try ImageHeader.size(of: url)
        }
    }

    @Test(arguments: [(1, 1), (300, 2), (5, 700)])
    func sizeIsThatOfTheImage(width: Int, height: Int) throws {
        let file = try bytes(width, height)
        #expect(try size(file) == ImageSize(width: width, height: height))
        #expect(
            try size(file + [1, 2, 3]) == ImageSize(width: width, height: height),
            "what comes after the end does not count")
    }

    @Test func truncationAnywhereIsNoticed() throws {
        let file = try bytes(20, 10)
        // All pixels are there without the twelve bytes of IEND.
        for count in 0..<file.count - 12 {
            expectError(.malformedFile, "image.png") { _ = try size(file.prefix(count)) }
        }
        for count in file.count - 12..<file.count {
            #expect(try size(file.prefix(count)) == ImageSize(width: 20, height: 10))
        }
    }

    @Test func sidesAreThoseOfTheImageAsItStands() throws {
        let file = try bytes(20, 10)
        for (orientation, isTurned): (UInt8, Bool) in [
            (1, false), (3, false), (6, true), (8, true),
        ] {
            let exif: [UInt8] =
                [0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0]
                + [0, 0, 0, 0, 0, 0]
            // The checksum is not looked at here.
            let chunk = [0, 0, 0, UInt8(exif.count)] + Array("eXIf".utf8) + exif + [0, 0, 0, 0]
            let turned = file.prefix(33) + chunk + file.dropFirst(33)
            #expect(
                try size(turned)
                    == ImageSize(width: isTurned ? 10 : 20, height: isTurned ? 20 : 10))
        }
    }

    @Test func otherFilesAreRefused() throws {
        expectError(.malformedFile, "not a PNG") { _ = try size(Data("just some text".utf8)) }
        var file = try bytes(4, 4)
        file.replaceSubrange(16..<20, with: [0, 0, 0, 0])
        expectError(.unreadableFile, "0×4") { _ = try size(file) }
        file.replaceSubrange(16..<20, with: [0xFF, 0xFF, 0xFF, 0xFF])
        expectError(.unreadableFile, "4294967295×4") { _ = try size(file) }
        try withFolder { folder in
            expectError(.unreadableFile, "regular") { _ = try ImageHeader.size(of: folder) }
            expectError(.fileNotFound, "absent") {
                _ = try ImageHeader.size(of: folder.appendingPathComponent("absent.png"))
            }
        }
    }
}
