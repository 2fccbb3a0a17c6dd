import Foundation
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@testable import WuerstchenTraining

@Suite struct PNGHeaderTests {
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
            return try PNGHeader.size(of: url)
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
        for count in 0..<file.count {
            expectError(.malformedFile, "image.png") { _ = try size(file.prefix(count)) }
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
            expectError(.unreadableFile, "regular") { _ = try PNGHeader.size(of: folder) }
            expectError(.fileNotFound, "absent") {
                _ = try PNGHeader.size(of: folder.appendingPathComponent("absent.png"))
            }
        }
    }
}
