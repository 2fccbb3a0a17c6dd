/// The memory that tensors keep for reuse.
public enum TensorMemory {
    /// Gives memory that no tensor uses back to the system.
    ///
    /// A cascade does so between stages and after each image if it is more than 64 MB. Worth
    /// calling after other large work, before the process sits idle.
    public static func releaseIdle() {
        BufferPool.shared.releaseIdle()
    }

    /// Gives memory that no tensor uses back to the system if it is more than 64 MB.
    package static func trim() {
        BufferPool.shared.trim()
    }
}
