internal import TensorCore

/// Receives intermediate results of a network under a name: for finding where two implementations
/// part, and where numbers stop being finite.
package typealias Trace = (_ name: String, _ value: Tensor) -> Void
