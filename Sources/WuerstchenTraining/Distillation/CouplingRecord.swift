internal import Foundation
public import TensorCore
public import Wuerstchen

/// How couplings were made. Those of one folder are all alike in it.
public struct CouplingRecord: Sendable, Hashable, Codable {
    /// How the teacher's flow was followed.
    public struct Solver: Sendable, Hashable, Codable {
        /// How it steps.
        public var method: FlowSolver
        /// The number of steps, equal in the flow's time.
        public var steps: Int
        /// The numbers that the teacher multiplied.
        public var precision: Precision

        /// A solver of the given values.
        public init(_ method: FlowSolver, steps: Int, precision: Precision) {
            self.method = method
            self.steps = steps
            self.precision = precision
        }
    }

    /// What the images were conditioned on.
    public struct Conditions: Sendable, Hashable, Codable {
        /// What identifies the captions or images, such as the name of a data set, or the contents
        /// of a folder, whatever it is called.
        public var source: String
        /// Columns of the images in pixels.
        public var width: Int
        /// Rows of the images in pixels.
        public var height: Int
        /// Where semantic latents are from; nil for a stage that takes none.
        public var semantics: Semantics?

        /// Conditions of the given values.
        public init(source: String, size: ImageSize, semantics: Semantics? = nil) {
            self.source = source
            (width, height) = (size.width, size.height)
            self.semantics = semantics
        }

        /// Conditions from captions of a folder. Other captions there are other conditions.
        public init(_ folder: CaptionFolder, size: ImageSize) {
            self.init(
                source: "\(folder.captions.count) captions \(folder.fingerprint)", size: size)
        }

        /// Conditions from the images and captions of a folder. Others there are other conditions.
        public init(_ folder: ImageFolder, size: ImageSize, semantics: Semantics) {
            self.init(
                source: "\(folder.imageCount) images \(folder.fingerprint)", size: size,
                semantics: semantics)
        }
    }

    /// Where semantic latents are from.
    public struct Semantics: Sendable, Hashable, Codable {
        /// The fingerprint of the compressor's file.
        public var compressor: String
        /// The fingerprint of Stage C, which makes every other latent.
        public var stageC: String
        /// Stage C's steps; nil for how it was made to sample.
        public var steps: Int?

        /// Latents of the given networks.
        public init(compressor: String, stageC: String, steps: Int? = nil) {
            self.compressor = compressor
            self.stageC = stageC
            self.steps = steps
        }
    }

    /// The stage's name, such as `stage-c`.
    public var stage: String
    /// The fingerprint of the teacher's folder; see `weightsFingerprint(of:)`.
    public var teacher: String
    /// What the noise depends on.
    public var seed: UInt64
    /// The teacher's guidance.
    public var guidance: Float
    /// The share of pairs that are made without caption and guidance, 0 to 1.
    public var captionDropout: Float
    /// What the images were conditioned on.
    public var conditions: Conditions
    /// How the flow was followed.
    public var solver: Solver
    /// Pairs of each file.
    public var shardSize: Int

    /// A record of the given values.
    public init(
        stage: String, teacher: String, seed: UInt64, guidance: Float, captionDropout: Float,
        conditions: Conditions, solver: Solver, shardSize: Int = 256
    ) {
        self.stage = stage
        self.teacher = teacher
        self.seed = seed
        self.guidance = guidance
        self.captionDropout = captionDropout
        self.conditions = conditions
        self.solver = solver
        self.shardSize = shardSize
    }

    /// The fields in which another record differs, in words and with both values.
    func differences(from other: CouplingRecord) -> String {
        TrainingSettings(of: self).differences(from: TrainingSettings(of: other))
            .joined(separator: ", ")
    }

    /// The noise that the pair of a number begins with.
    func noise(_ number: Int, _ shape: Shape) -> Tensor {
        var random = RandomStream(seed, 11, UInt64(number))
        return random.normal(shape)
    }

    /// Whether the pair of a number has no caption.
    func isUnconditional(_ number: Int) -> Bool {
        var random = RandomStream(seed, 12, UInt64(number))
        return random.uniform() < captionDropout
    }
}
