/// The memory that tensors keep for reuse.
public enum TensorMemory {
    /// Gives memory that no tensor uses back to the system.
    ///
    /// A cascade does so between stages and after each picture. Worth calling after other large work,
    /// before the process sits idle.
    public static func releaseIdle() {
        BufferPool.shared.releaseIdle()
    }
}
