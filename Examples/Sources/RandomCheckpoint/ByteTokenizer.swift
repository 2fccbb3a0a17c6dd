import Foundation

/// The files of a tokenizer of bytes alone.
enum ByteTokenizer {
    /// Writes the files, with the special tokens at the end of the published vocabulary.
    static func write(vocabularySize: Int, to directory: URL) throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        // Printable bytes stand for themselves, the others for characters from U+0100 on.
        let printable = Set(Array(33...126) + Array(161...172) + Array(174...255))
        var next: UInt32 = 256
        var vocabulary: [String: Int] = [:]
        for byte in 0..<256 {
            var scalar = UInt32(byte)
            if !printable.contains(byte) {
                scalar = next
                next += 1
            }
            guard let character = Unicode.Scalar(scalar) else { continue }
            vocabulary["\(character)"] = byte
            vocabulary["\(character)</w>"] = 256 + byte
        }
        vocabulary["<|startoftext|>"] = vocabularySize - 2
        vocabulary["<|endoftext|>"] = vocabularySize - 1
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(vocabulary).write(
            to: directory.appendingPathComponent("vocab.json"), options: .atomic)
        try Data("#version: 0.2\n".utf8).write(to: directory.appendingPathComponent("merges.txt"))
    }
}
