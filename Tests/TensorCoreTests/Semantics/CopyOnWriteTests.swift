import Foundation
import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Value semantics")
struct CopyOnWriteTests {
    private let numbers = Tensor((0..<12).map { Float($0) }, [4, 3])

    private func address(_ tensor: Tensor) -> UnsafePointer<Float>? {
        tensor.withUnsafeElements { $0.baseAddress }
    }

    private func fill(_ tensor: inout Tensor, _ value: Float) {
        tensor.withUnsafeMutableElements { $0.update(repeating: value) }
    }

    @Test("a copy that is written to leaves the original alone, and the other way round")
    func copies() {
        var original = numbers
        var copy = original
        fill(&copy, -1)
        #expect(original.elements == numbers.elements)
        let another = original
        fill(&original, -2)
        #expect(another.elements == numbers.elements)
        #expect(copy.elements.allSatisfy { $0 == -1 })
        #expect(original.elements.allSatisfy { $0 == -2 })
    }

    @Test("a slice that is written to leaves its tensor alone, and the other way round")
    func slices() {
        var whole = numbers
        var slice = whole[1..<3]
        let neighbour = whole[2..<4]
        #expect(address(slice) == address(whole).map { $0 + 3 }, "slices share elements")
        fill(&slice, -1)
        #expect(whole.elements == numbers.elements)
        #expect(neighbour.elements == [6, 7, 8, 9, 10, 11])
        let kept = whole[0..<2]
        fill(&whole, -2)
        #expect(kept.elements == [0, 1, 2, 3, 4, 5])
        #expect(neighbour.elements == [6, 7, 8, 9, 10, 11])
        #expect(slice.elements.allSatisfy { $0 == -1 })
    }

    @Test("a slice that outlives its tensor is written to in its own place")
    func orphan() {
        func lastRows() -> Tensor { Tensor(numbers.elements, [4, 3])[2..<4] }
        var slice = lastRows()
        slice.withUnsafeMutableElements { $0[1] = -1 }
        #expect(slice.elements == [6, -1, 8, 9, 10, 11])
        #expect(slice[0..<1].elements == [6, -1, 8])
    }

    @Test("another shape of the same elements is a copy too")
    func reshaped() {
        var flat = numbers.reshaped(to: [12])
        fill(&flat, -1)
        #expect(numbers.elements == (0..<12).map { Float($0) })
        var single = Tensor.concatenating([numbers])
        fill(&single, -1)
        #expect(numbers.elements == (0..<12).map { Float($0) })
    }

    @Test("a tensor that nobody shares is written to in place")
    func inPlace() {
        var tensor = Tensor(numbers.elements, [4, 3])
        let before = address(tensor)
        fill(&tensor, 5)
        #expect(address(tensor) == before)
        #expect(tensor.elements.allSatisfy { $0 == 5 })
    }

    @Test("operations leave their inputs alone")
    func operations() {
        let x = Tensor.random([2, 3, 4, 5], seed: 1)
        let before = x.elements
        let rows = Tensor.random([2, 5], seed: 2)
        let matrix = Tensor.random([5, 5], seed: 3)
        _ = x.modulated(by: Epilogue.Modulation(scale: rows, shift: rows))
        _ = x.linear(matrix, Epilogue(residual: x, gain: 2))
        _ = x.layerNormalized()
        let layer = (matrix: PackedWeight(plain: matrix), bias: nil as Tensor?)
        _ = x.addingMLP(layer, layer, mixing: Mixing(Tensor([0, 0, 1], [3])))
        #expect(x.elements == before)
    }

    @Test("elements in a mapped file are copied before they are written to")
    func mapped() throws {
        let folder = try SafetensorsFolder()
        let file = folder.file("x.safetensors")
        let bytes = numbers.withUnsafeElements { Array(UnsafeRawBufferPointer($0)) }
        try Safetensors.write(
            [.init(name: "x", elementType: .f32, shape: [4, 3], bytes: bytes)], to: file)
        let before = try Data(contentsOf: file)
        func read() throws -> (Tensor, Tensor) {
            let open = try Safetensors(contentsOf: file)
            let entry = try #require(open.entries["x"])
            return (
                try open.floats(of: entry, as: [4, 3]), try open.floats(of: entry, as: [4, 3])
            )
        }
        // The file's object is gone by now; the tensors keep what they need of it.
        var (tensor, untouched) = try read()
        #expect(address(tensor) == address(untouched), "the file is used where it lies")
        fill(&tensor, -1)
        #expect(untouched.elements == numbers.elements)
        var slice = untouched[1..<2]
        untouched = Tensor(repeating: 0, [1])
        fill(&slice, -2)
        #expect(slice.elements == [-2, -2, -2])
        #expect(try read().0.elements == numbers.elements)
        #expect(try Data(contentsOf: file) == before)
    }

    @Test("tasks share a tensor, and each writes to its own")
    func tasks() async {
        let shared = Tensor.random([64, 9], seed: 1)
        let matrix = Tensor.random([9, 9], seed: 2)
        let want = shared.linear(matrix).elements
        await withTaskGroup(of: Bool.self) { group in
            for task in 0..<8 {
                group.addTask {
                    (0..<50).allSatisfy { _ in
                        var mine = shared
                        mine.withUnsafeMutableElements { $0.update(repeating: Float(task)) }
                        let isMine = mine[3..<9].elements.allSatisfy { $0 == Float(task) }
                        return isMine && shared.linear(matrix).elements == want
                    }
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }
}
