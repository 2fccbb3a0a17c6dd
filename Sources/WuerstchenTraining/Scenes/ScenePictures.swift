internal import TensorCore

/// Drawn scenes with captions, fresh ones for every batch.
public struct ScenePictures: PictureSource, CaptionSource {
    /// What everything random depends on.
    public var seed: UInt64
    /// Which combinations are drawn.
    public var split: Scene.Split
    /// The side of a random cutout, in pixels, at most ``SceneRenderer/side``; nil for whole
    /// pictures.
    public var cutout: Int?
    /// Whether captions mention every attribute.
    public var mentionsAll: Bool

    /// Scenes of a split.
    public init(
        seed: UInt64, split: Scene.Split = .training, cutout: Int? = nil, mentionsAll: Bool = false
    ) {
        self.seed = seed
        self.split = split
        self.cutout = cutout
        self.mentionsAll = mentionsAll
    }

    /// A scene, whether it is to be mirrored, its caption and its labels.
    public struct Example: Sendable {
        /// The scene, before it is mirrored.
        public let scene: Scene
        /// Whether the picture is flipped left to right.
        public let isMirrored: Bool
        /// What the flipped picture shows, in words.
        public let caption: String
        /// What the flipped picture shows.
        public let labels: SceneLabels

        /// The picture's samples: red, green and blue of each pixel, row by row.
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

    /// Pictures, captions and labels of a batch.
    public func batch(_ number: Int, count: Int) -> PictureBatch {
        let examples = (0..<count).map { example(number * count + $0) }
        let side = cutout ?? SceneRenderer.side
        precondition(
            (1...SceneRenderer.side).contains(side), "a cutout of \(side) pixels of a scene")
        let margin = SceneRenderer.side - side
        let corners = (0..<count).map { index -> (x: Int, y: Int) in
            var random = RandomStream(seed, 3, UInt64(number * count + index))
            return (random.integer(below: margin + 1), random.integer(below: margin + 1))
        }
        let pixels = Tensor([count, side, side, 3]) { target in
            let target = UnsafeSendable(target)
            parallel(count) { index in
                let corner = corners[index]
                examples[index].draw().withUnsafeBufferPointer { picture in
                    for row in 0..<side {
                        let from = 3 * ((corner.y + row) * SceneRenderer.side + corner.x)
                        let to = 3 * side * (index * side + row)
                        for offset in 0..<3 * side {
                            target.value[to &+ offset] = Float(picture[from &+ offset]) / 255
                        }
                    }
                }
            }
        }
        return PictureBatch(
            pixels: pixels, captions: examples.map(\.caption), labels: examples.map(\.labels))
    }

    /// Captions and labels of a batch, without its pictures.
    public func captions(_ number: Int, count: Int) -> [(text: String, labels: SceneLabels)] {
        (0..<count).map {
            let example = example(number * count + $0)
            return (example.caption, example.labels)
        }
    }
}
