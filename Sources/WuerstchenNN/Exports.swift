// Layers take and give tensors: `import WuerstchenNN` brings them along.
@_exported public import TensorCore
