/// A property on which no step of a training depends, such as images that are only looked at. It
/// is no part of ``TrainingSettings``, and may be another when a training is resumed.
@propertyWrapper public struct Incidental<Value: Sendable>: Sendable {
    /// The property's value.
    public var wrappedValue: Value

    /// A property of the given value.
    public init(wrappedValue: Value) {
        self.wrappedValue = wrappedValue
    }
}

/// Tells incidental properties of any type.
protocol AnyIncidental {}

extension Incidental: AnyIncidental {}
