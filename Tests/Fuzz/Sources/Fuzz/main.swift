import CFuzzer
import Foundation

// The first argument names what is fuzzed; the others are libFuzzer's. It keeps pointers to them,
// and Swift's arguments are copies.
guard let name = CommandLine.arguments.dropFirst().first, let run = FuzzTarget.all[name] else {
    print("usage: Fuzz TARGET [libFuzzer's options and folders]")
    print("targets: \(FuzzTarget.all.keys.sorted().joined(separator: ", "))")
    exit(2)
}
FuzzTarget.run = run
let arguments = [CommandLine.arguments[0]] + CommandLine.arguments.dropFirst(2)
var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
var count = Int32(arguments.count)
let status = pointers.withUnsafeMutableBufferPointer { pointers -> Int32 in
    guard var first = pointers.baseAddress else { return 2 }
    return LLVMFuzzerRunDriver(&count, &first) { bytes, count in
        FuzzTarget.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
        return 0
    }
}
exit(status)
