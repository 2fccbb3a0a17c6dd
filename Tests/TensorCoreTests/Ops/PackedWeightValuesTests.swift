import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("Values of packed weights") struct PackedWeightValuesTests {
    @Test(
        "are read back as they were rounded, the same from every form",
        arguments: [(1, 1), (5, 7), (16, 32), (33, 50), (70, 129)] as [(Int, Int)])
    func unpacked(_ outputs: Int, _ features: Int) throws {
        let weight = Tensor.random([outputs, features], seed: 7)
        for form in [PackedWeightForm.plain, .float32] {
            #expect(form(weight).unpacked()?.elements == weight.elements, "\(form)")
        }
        let widened = try #require(PackedWeightForm.widenedBFloat16(weight).unpacked())
        #expect(widened.shape == [outputs, features])
        #expect(PackedWeightForm.bfloat16(weight).unpacked()?.elements == widened.elements)
        #expect(zip(widened.elements, weight.elements).allSatisfy { abs($0 - $1) <= abs($1) / 256 })
    }
}
