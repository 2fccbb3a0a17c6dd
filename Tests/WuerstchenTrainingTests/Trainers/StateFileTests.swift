import Foundation
import TensorCore
import Testing
import Wuerstchen
import WuerstchenTraining
import _WuerstchenTestSupport

/// Changes the numbers beside a state's tensors.
func changeRecord(of file: URL, _ change: (inout [String: Any]) throws -> Void) throws {
    let state = try Safetensors(contentsOf: file)
    let text = try #require(state.metadata["training"])
    var record = try #require(
        JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    try change(&record)
    let sources = try state.entries.map { name, entry in
        let bytes = try state.withBytes(of: entry) { Data($0) }
        return Safetensors.Source(name: name, elementType: .f32, shape: entry.shape) { write in
            try bytes.withUnsafeBytes { try write($0) }
        }
    }
    let data = try JSONSerialization.data(withJSONObject: record)
    try Safetensors.write(
        sources, metadata: ["training": String(decoding: data, as: UTF8.self)], to: file)
}

@Suite("Files of states") struct StateFileTests {
    private var options: TrainingOptions {
        var options = TrainingOptions(steps: 3, batchSize: 3, peakRate: 3e-3)
        options.precision = .float32
        options.checkpointInterval = 0
        return options
    }

    @Test(
        "numbers that no training can have come to are refused, all of them",
        arguments: [
            "step", "averageCount", "batchSize", "microBatches", "momentCounts", "seconds",
        ])
    func numbers(_ field: String) throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        var trainer = try Trainer(TinyStageC(), options, file: file)
        _ = try trainer.next()
        let good = try Data(contentsOf: file)
        for value in [Int.max, Int.max - 1, 1 << 41, -1, Int.min] {
            try good.write(to: file)
            try changeRecord(of: file) { record in
                guard field == "momentCounts" else {
                    record[field] = value
                    return
                }
                let counts = try #require(record[field] as? [String: Int])
                record[field] = counts.mapValues { _ in value }
            }
            // A number of seconds may be large.
            if field == "seconds", value > 0 { continue }
            if ["batchSize", "microBatches"].contains(field), value > 0 {
                expectError(.invalidRequest) {
                    _ = try Trainer(TinyStageC(), options, file: file, resumes: true)
                }
                continue
            }
            expectError(.malformedFile, file.path) {
                _ = try TrainingState(contentsOf: file)
            }
        }
        try good.write(to: file)
        var resumed = try Trainer(TinyStageC(), options, file: file, resumes: true)
        while try resumed.next() != nil {}
    }

    @Test("a number of another kind is no state")
    func kinds() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("state.safetensors")
        var trainer = try Trainer(TinyStageC(), options, file: file)
        _ = try trainer.next()
        let good = try Data(contentsOf: file)
        for value in [1.5, 1e300, "one", NSNull(), [1]] as [Any] {
            for field in ["step", "averageCount", "seed", "batchSize", "momentCounts"] {
                try good.write(to: file)
                try changeRecord(of: file) { $0[field] = value }
                expectError(.malformedFile, file.path) {
                    _ = try TrainingState(contentsOf: file)
                }
            }
        }
    }
}
