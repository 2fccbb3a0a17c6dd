import Foundation
import Testing

extension ExamplesTests {
    @Test("The network of a single file learns, and draws in the colours that it was asked for")
    func trainTiny() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let trained = try run("train-tiny", "400")
        #expect(trained.status == 0, "\(trained.errors)")
        let lines = trained.output.split(separator: "\n").map(String.init)
        let losses = lines.compactMap { line in
            line.split(separator: "loss ").count == 2
                ? Float(line.split(separator: "loss ")[1]) : nil
        }
        try #require(losses.count == 8)
        #expect(losses[7] < 0.5 * losses[0], "\(losses)")
        // Six images of 16×16 characters side by side, two of each colour.
        let rows = lines.suffix(16)
        #expect(rows.allSatisfy { $0.count == 96 && $0.allSatisfy { "RGB.".contains($0) } })
        for (number, color) in "RGB".enumerated() {
            let pixels: [Character] = rows.flatMap { row in
                Array(row.dropFirst(32 * number).prefix(32))
            }.filter { $0 != "." }
            #expect(2 * pixels.count { $0 == color } > pixels.count, "\(color): \(pixels)")
        }
    }
}
