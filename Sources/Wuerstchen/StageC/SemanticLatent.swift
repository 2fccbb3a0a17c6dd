private import Foundation
public import TensorCore

/// Images in the 42:1 compressed semantic space, as Stage C makes them.
public struct SemanticLatent: Sendable {
    /// `[batch, rows, columns, channels]`, of about unit variance.
    public var values: Tensor
    /// How the values relate to images and to what Stage B takes.
    public var space: SemanticLatentSpace

    /// Latents `[batch, rows, columns, channels]` of about unit variance.
    public init(values: Tensor, space: SemanticLatentSpace = SemanticLatentSpace()) {
        self.values = values
        self.space = space
    }

    /// Latents from what Stage B takes and the semantic compressor makes.
    public init(embedding: Tensor, space: SemanticLatentSpace = SemanticLatentSpace()) {
        values = embedding.scaled(by: 1 / space.scale, shift: space.offset / space.scale)
        self.space = space
    }

    /// The latents as Stage B takes them and the semantic compressor makes them.
    public var embedding: Tensor { values.scaled(by: space.scale, shift: -space.offset) }

    /// Rows and columns.
    public var grid: SemanticGrid {
        SemanticGrid(rows: values.shape[1], columns: values.shape[2])
    }
}

/// Rows and columns of a semantic latent.
public struct SemanticGrid: Sendable, Hashable {
    /// Positions from top to bottom.
    public var rows: Int
    /// Positions from left to right.
    public var columns: Int

    /// A grid of the given sides.
    public init(rows: Int, columns: Int) {
        self.rows = rows
        self.columns = columns
    }
}

/// How semantic latents relate to images and to what Stage B takes and makes.
public struct SemanticLatentSpace: Sendable, Hashable {
    /// Pixels per position along a side; 42.67 as published (`resolution_multiple`).
    public var pixelsPerPosition: Double
    /// Factor from latents to what Stage B takes; 42 as published (`latent_mean`).
    public var scale: Float
    /// What is then subtracted; 1 as published (`latent_std`).
    public var offset: Float
    /// Positions of Stage B's image latent per position along a side; 10.67 as published
    /// (`latent_dim_scale`).
    public var latentsPerPosition: Double

    /// A space of the given numbers; the published ones by default.
    public init(
        pixelsPerPosition: Double = 42.67, scale: Float = 42, offset: Float = 1,
        latentsPerPosition: Double = 10.67
    ) {
        self.pixelsPerPosition = pixelsPerPosition
        self.scale = scale
        self.offset = offset
        self.latentsPerPosition = latentsPerPosition
    }

    /// The smallest side of a grid that covers a number of pixels.
    public func gridSide(covering pixels: Int) -> Int {
        max(1, Int((Double(pixels) / pixelsPerPosition).rounded(.up)))
    }

    func validate() throws {
        guard (1...4096).contains(pixelsPerPosition), scale.isFinite, scale != 0, offset.isFinite
        else {
            throw WuerstchenError(
                .invalidConfiguration,
                "resolution_multiple is \(pixelsPerPosition), latent_mean \(scale) and latent_std "
                    + "\(offset); they must be from 1 to 4096, not 0, and finite")
        }
        guard latentsPerPosition > 0, latentsPerPosition <= 100 else {
            throw WuerstchenError(
                .invalidConfiguration,
                "latent_dim_scale is \(latentsPerPosition); it must be positive and at most 100")
        }
    }
}
