internal import TensorCore
public import WuerstchenTraining

/// Drawn scenes with captions, fresh ones for every batch.
public struct SceneImages: ImageSource, SceneLabelSource, CaptionSource {
    /// What everything random depends on.
    public var seed: UInt64
    /// Which combinations are drawn.
    public var split: Scene.Split
    /// The side of a random crop, in pixels, at most ``SceneRenderer/side``; nil for whole
    /// images.
    public var crop: Int?
    /// Whether captions mention every attribute.
    public var mentionsAll: Bool

    /// Scenes of a split.
    public init(
        seed: UInt64, split: Scene.Split = .training, crop: Int? = nil, mentionsAll: Bool = false
    ) {
        self.seed = seed
        self.split = split
        self.crop = crop
        self.mentionsAll = mentionsAll
    }

    /// What tells the first so many scenes from others, for files of what was computed of them.
    func record(of count: Int) -> String {
        "\(count) scenes of seed \(seed), split \(split) and side \(crop ?? SceneRenderer.side)"
    }

    /// A scene, whether it is to be mirrored, its caption and its labels.
    public struct Example: Sendable {
        /// The scene, before it is mirrored.
        public let scene: Scene
        /// Whether the image is flipped left to right.
        public let isMirrored: Bool
        /// What the flipped image shows, in words.
        public let caption: String
        /// What the flipped image shows.
        public let labels: SceneLabels

        /// The image's samples: red, green and blue of each pixel, row by row.
        public func draw() -> [UInt8] { SceneRenderer.draw(scene, mirrored: isMirrored) }
    }

    /// An example, the same for the same number.
    public func example(_ number: Int) -> Example {
        var random = RandomStream(seed, 2, UInt64(number))
        let scene = Scene(&random, split: split)
        let isMirrored = random.uniform() < 0.5
        let classes = isMirrored ? scene.mirroredClasses : scene.classes
        let (text, isMentioned) = SceneCaption.draw(classes, &random, mentionsAll: mentionsAll)
        return Example(
            scene: scene, isMirrored: isMirrored, caption: text,
            labels: SceneLabels(classes: classes, isMentioned: isMentioned))
    }

    /// Images and captions of a batch.
    public func batch(_ number: Int, count: Int) -> ImageBatch {
        let examples = (0..<count).map { example(number * count + $0) }
        let side = crop ?? SceneRenderer.side
        precondition(
            (1...SceneRenderer.side).contains(side), "a crop of \(side) pixels of a scene")
        let margin = SceneRenderer.side - side
        let corners = (0..<count).map { index -> (x: Int, y: Int) in
            var random = RandomStream(seed, 3, UInt64(number * count + index))
            return (random.integer(below: margin + 1), random.integer(below: margin + 1))
        }
        let pixels = Tensor([count, side, side, 3]) { target in
            let target = UnsafeSendable(target)
            parallel(count) { index in
                let corner = corners[index]
                examples[index].draw().withUnsafeBufferPointer { image in
                    for row in 0..<side {
                        let from = 3 * ((corner.y + row) * SceneRenderer.side + corner.x)
                        let to = 3 * side * (index * side + row)
                        for offset in 0..<3 * side {
                            target.value[to &+ offset] = Float(image[from &+ offset]) / 255
                        }
                    }
                }
            }
        }
        return ImageBatch(pixels: pixels, captions: examples.map(\.caption))
    }

    /// What the images of a batch show, and what their captions say of it.
    public func labels(_ number: Int, count: Int) -> [SceneLabels] {
        (0..<count).map { example(number * count + $0).labels }
    }

    /// Captions and labels of a batch, without its images.
    public func captions(_ number: Int, count: Int) -> [(text: String, labels: SceneLabels)] {
        (0..<count).map {
            let example = example(number * count + $0)
            return (example.caption, example.labels)
        }
    }
}
