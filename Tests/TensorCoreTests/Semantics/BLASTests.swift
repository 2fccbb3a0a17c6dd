import TensorCore
import Testing

@Suite("OpenBLAS")
struct BLASTests {
    @Test("it says which processor's kernels it uses, and how it was built")
    func report() throws {
        let blas = try BLAS.load()
        #expect(!blas.coreName.isEmpty)
        #expect(blas.configuration.contains("OpenBLAS"))
        let again = try BLAS.load()
        #expect(again.coreName == blas.coreName)
    }

    @Test("errors say what went wrong and why")
    func errors() {
        let cause = WuerstchenError(.unreadableFile, "no permission")
        let error = WuerstchenError(.missingLibrary, "install it", underlying: cause)
        #expect(error.description == "missing library: install it (unreadable file: no permission)")
        #expect(cause.description == "unreadable file: no permission")
        #expect(WuerstchenError.Code(rawValue: "missing library") == .missingLibrary)
    }
}
