import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Files of killed writes") struct PartialFileTests {
    @Test("are removed by the next write to their folder, unless they are still being written")
    func removal() throws {
        let folder = try TemporaryFolder()
        func name() -> String { ".\(UUID().uuidString).partial" }
        let (abandoned, locked) = (name(), name())
        let others = [".notes.partial", "\(UUID().uuidString).partial", ".\(UUID().uuidString)"]
        for name in [abandoned, locked] + others {
            try Data("left".utf8).write(to: folder.url.appendingPathComponent(name))
        }
        let descriptor = open(folder.url.appendingPathComponent(locked).path, O_RDONLY)
        defer { close(descriptor) }
        #expect(flock(descriptor, LOCK_EX) == 0)
        let source = Safetensors.Source(name: "x", elementType: .u8, shape: [1]) { write in
            try [UInt8(7)].withUnsafeBytes { try write($0) }
        }
        try Safetensors.write([source], to: folder.url.appendingPathComponent("x.safetensors"))
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
        #expect(Set(left) == Set([locked, "x.safetensors"] + others))
    }
}
