import TensorCore
import Testing
import _WuerstchenTestSupport

@Suite("MLP block by block")
struct MLPTests {
    @Test(
        "the same as its parts one after the other", arguments: [1, 3, 17, 257], [6, 15, 50])
    func parts(positions: Int, channels: Int) {
        // Wide layers of odd lengths too.
        for (hidden, hasBias) in [(2 * channels, true), (37, false)] {
            check(
                PackedWeightForm.allCases.map { ($0, $0) }, positions, channels, hidden: hidden,
                hasBias: hasBias)
        }
    }

    @Test("matrices in two forms", arguments: PackedWeightForm.allCases)
    func forms(first: PackedWeightForm) {
        check(PackedWeightForm.allCases.map { (first, $0) }, 5, 21, hidden: 63, hasBias: true)
    }

    private func check(
        _ forms: [(PackedWeightForm, PackedWeightForm)], _ positions: Int, _ channels: Int,
        hidden: Int,
        hasBias: Bool
    ) {
        let x = Tensor.random([2, positions, channels], seed: 1, spread: 2)
        let first = Tensor.random([hidden, channels], seed: 2)
        let second = Tensor.random([channels, hidden], seed: 3)
        let firstBias = hasBias ? Tensor.random([hidden], seed: 4) : nil
        let secondBias = hasBias ? Tensor.random([channels], seed: 5) : nil

        let normed = stride(from: 0, to: x.count, by: channels).flatMap {
            Twin.layerNorm(
                Array(x.doubles[$0..<$0 + channels]), epsilon: 1e-6, scale: 1.25, shift: -0.5)
        }
        let wide = Twin.epilogue(
            Twin.product(Tensor(normed.map { Float($0) }, x.shape), first), samples: 2,
            outputs: hidden, Epilogue(bias: firstBias, activation: .gelu)
        ).values
        let want = Twin.epilogue(
            Twin.product(Tensor(wide.map { Float($0) }, [2, positions, hidden]), second),
            samples: 2, outputs: channels, Epilogue(bias: secondBias, residual: x, gain: 0.75)
        ).values
        for (firstForm, secondForm) in forms {
            poisonIdleMemory()
            expectNear(
                x.addingMLP(
                    (firstForm(first), firstBias), (secondForm(second), secondBias),
                    mixing: Mixing(Tensor([0.25, -0.5, 0.75], [3]))),
                (want, x.shape), squares: max(firstForm.bound(1e-11), secondForm.bound(1e-11)),
                "\(firstForm), \(secondForm), \(hidden)")
        }
    }
}
