// `import Wuerstchen` is all that a user of the cascade needs: tensors and errors come with it.
@_exported public import TensorCore
