import TensorCore
import Testing

@Suite("The hash FNV-1a") struct FNV1aTests {
    @Test("published values, whatever the bytes lie in")
    func values() {
        for (text, value) in [
            ("", 0xCBF2_9CE4_8422_2325), ("a", 0xAF63_DC4C_8601_EC8C),
            ("foobar", 0x8594_4171_F739_67E8),
        ] as [(String, UInt64)] {
            var (array, lazy) = (FNV1a(), FNV1a())
            array.add(Array(text.utf8))
            // Has no memory of its own.
            lazy.add(text.utf8.lazy.map { $0 })
            #expect(array.value == value && lazy.value == value, "\(text)")
        }
    }
}
