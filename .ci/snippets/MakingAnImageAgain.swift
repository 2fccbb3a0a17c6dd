import Foundation
import Wuerstchen

let cascade = try Cascade(contentsOf: URL(filePath: "checkpoint"))
