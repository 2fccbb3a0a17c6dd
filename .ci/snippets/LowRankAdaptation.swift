import Foundation
import Wuerstchen
import WuerstchenNN
import WuerstchenTraining

let checkpoint = URL(filePath: "checkpoint")
let windmill = URL(filePath: "windmill.safetensors")
let style = URL(filePath: "style.safetensors")
let a = Tensor(repeating: 0, [4, 16])
let b = Tensor(repeating: 0, [16, 4])
let parameters = RandomParameters(seed: 1)
let images = try ImageFolder(URL(filePath: "windmills"), options: .crops(side: 128))
let compressor = try SemanticCompressor(contentsOf: URL(filePath: "compressor.safetensors"))
