import TensorCore

let input = Tensor(repeating: 1, [1, 4, 2])
