import TensorCore
import Testing
import WuerstchenNN

@Suite("Initialisers")
struct InitializerTests {
    @Test("a parameter begins with what PyTorch gives it, unless its layer says otherwise")
    func roles() {
        let shape: Shape = [6, 4, 3, 3]
        for role in ParameterRole.allCases {
            let request = ParameterRequest("x", shape, role: role)
            let want: Initializer.Distribution =
                switch role {
                case .weight, .inputWeight, .outputWeight, .depthwiseWeight:
                    .uniform(bound: 1.0 / 6)
                case .embedding: .normal(deviation: 1)
                case .bias, .statistic: .constant(0)
                case .norm: .constant(1)
                }
            #expect(request.initializer.distribution(for: shape) == want)
        }
    }

    @Test("Xavier's bounds count inputs, outputs, windows, and matrices that are one")
    func xavier() {
        let kernel = Initializer.xavier().distribution(for: [6, 2, 3, 3])
        #expect(kernel == .uniform(bound: (6.0 / Float(9 * 2 + 9 * 6)).squareRoot()))
        let stacked = Initializer.xavier(gain: 0.5, stacked: 3).distribution(for: [8, 8])
        #expect(stacked == .uniform(bound: 0.5 * (6.0 / Float(8 + 24)).squareRoot()))
    }

    @Test("what has no inputs begins at zero where they would decide")
    func vectors() {
        #expect(Initializer.fanIn().distribution(for: [5]) == .constant(0))
        #expect(Initializer.xavier().distribution(for: [5]) == .constant(0))
        #expect(Initializer.normal(deviation: 2).distribution(for: [5]) == .normal(deviation: 2))
    }
}
