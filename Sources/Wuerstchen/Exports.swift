// `import Wuerstchen` is all that a user of the cascade needs: tensors, errors, parameters and
// layers come with it.
@_exported public import TensorCore
@_exported public import WuerstchenNN
