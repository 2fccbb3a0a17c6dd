import TensorCore
import Testing

/// That the cases are what they say.
@Suite("Cases of gradients") struct GradientCasesTests {
    @Test(arguments: GradientCase.names)
    func everyWeightHasItsGradient(_ name: String) throws {
        let test = try GradientCase(name)
        #expect(!test.purpose.isEmpty && !test.parameters.isEmpty)
        guard test.loss != nil else { return }
        let buffers = ["running_mean", "running_var", "num_batches_tracked"]
        for (name, parameter) in test.parameters
        where !buffers.contains(where: { name.hasSuffix($0) }) {
            let gradient = try #require(test.gradients[name], "\(name)")
            #expect(gradient.shape == parameter.shape, "\(name)")
            let isZero = gradient.elements.allSatisfy { $0 == 0 }
            #expect(isZero == test.zeroGradients.contains(name), "\(name)")
        }
        #expect(Set(test.gradients.keys).isSubset(of: test.parameters.keys))
        for (name, gradient) in test.inputGradients {
            #expect(gradient.shape == test.inputs[name]?.shape, "\(name)")
            #expect(gradient.elements.contains { $0 != 0 }, "\(name)")
        }
    }
}
