import TensorCore
import Testing

@Suite("Shapes and tensors")
struct ShapeTests {
    @Test("lengths, counted from both ends")
    func lengths() {
        let shape: Shape = [2, 3, 4, 5]
        #expect(shape.rank == 4)
        #expect((0..<4).map { shape[$0] } == [2, 3, 4, 5])
        #expect((1...4).map { shape[-$0] } == [5, 4, 3, 2])
        #expect(shape.count == 120)
        #expect(shape.count(of: 1..<3) == 12)
        #expect(shape.count(of: 2..<2) == 1)
        #expect(shape.channels == 5)
        #expect(shape.withChannels(7) == [2, 3, 4, 7])
        #expect(shape.array == [2, 3, 4, 5])
        #expect("\(shape)" == "[2, 3, 4, 5]")
    }

    @Test("a scalar, an empty axis and the largest rank")
    func limits() {
        let scalar: Shape = []
        #expect(scalar.rank == 0 && scalar.count == 1 && scalar.channels == 1)
        #expect(Tensor([7], scalar).elements == [7])
        #expect(Tensor([7], scalar)[] == 7)
        #expect(Shape([3, 0, 2]).count == 0)
        #expect(Tensor([], [3, 0, 2]).elements.isEmpty)
        #expect(Shape([1, 2, 3, 1, 2, 3, 1, 2]).count == 72)
    }

    @Test("shapes are equal when rank and lengths are")
    func equality() {
        #expect(Set<Shape>([[1, 2], [1, 2], [2, 1], [1, 2, 1], [1, 2, 0], []]).count == 5)
    }

    @Test("elements by their position")
    func positions() {
        let x = Tensor((0..<24).map { Float($0) }, [2, 3, 4])
        #expect(x[1, 2, 3] == 23)
        #expect(x[1, 0, 2] == 14)
        #expect(x[1..<2][0, 0, 2] == 14)
    }

    @Test("a tensor describes itself briefly")
    func description() {
        #expect("\(Tensor([1, 2.5], [2]))" == "Tensor[2](1.0, 2.5)")
        #expect(
            "\(Tensor(repeating: 0, [2, 4]))" == "Tensor[2, 4](0.0, 0.0, 0.0, 0.0, 0.0, 0.0, …)")
    }

    @Test("what throws while a tensor is made comes through")
    func throwing() {
        struct Problem: Error {}
        #expect(throws: Problem.self) { _ = try Tensor([3]) { _ in throw Problem() } }
    }

    @Test("shapes that do not fit stop the program")
    func preconditions() async {
        await #expect(processExitsWith: .failure) { _ = Tensor([1, 2, 3], [2, 2]) }
        await #expect(processExitsWith: .failure) { _ = Shape([1, 1, 1, 1, 1, 1, 1, 1, 1]) }
        await #expect(processExitsWith: .failure) { _ = Shape([2, -1]) }
        await #expect(processExitsWith: .failure) { _ = Tensor([1, 2, 3], [3])[2..<4] }
        await #expect(processExitsWith: .failure) { _ = Tensor([1], [1])[1] }
    }
}
