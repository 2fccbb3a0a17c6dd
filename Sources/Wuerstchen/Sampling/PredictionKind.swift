/// What a stage's network predicts in noisy latents.
public enum PredictionKind: String, Sendable, Hashable, CaseIterable, Codable {
    /// The noise ε, as published.
    case noise
    /// A flow's velocity `v = u − ε`.
    case velocity
    /// The clean latent u, normalised. Where there is nothing but noise, as for a student of one
    /// step, an error of the noise would be a hundred times as large in the clean latent.
    case clean
}
