import Foundation
import Wuerstchen

let checkpoint = URL(filePath: "checkpoint")
let studentC = URL(filePath: "stage-c")
let studentB = URL(filePath: "stage-b")
let cascade = try Cascade(contentsOf: checkpoint)
let noise = Tensor(repeating: 0, [1, 24, 24, 16])
