/// What a server allows.
public struct ServerSettings: Sendable {
    /// How many requests may wait while one is worked on.
    public var waitingLimit = 32
    /// The longest side of an image that is made, in pixels.
    public var maximumSide = 1024
    /// The most images of a request.
    public var maximumImages = 4
    /// The most steps of a stage that a request may ask for.
    public var maximumSteps = 100
    /// The longest prompt and negative prompt, in bytes of UTF-8.
    public var maximumPrompt = 8192
    /// The longest side of an image that is sent, in pixels.
    public var maximumImageSide = 4096
    /// How long the body of a request may take to come: meanwhile it has a place in the queue.
    public var maximumReading = Duration.seconds(60)
    /// The longest body of a request, in bytes.
    public var maximumBody = 16 << 20
    /// The most connections at once; further ones wait to be accepted.
    public var maximumConnections = 512
    /// What clients must send as a bearer token; nil for nothing.
    public var token: String?

    /// The settings above.
    public init() {}
}
