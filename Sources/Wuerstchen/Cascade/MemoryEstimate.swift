public import Foundation
public import TensorCore

/// The memory that some work will take, found out before any of it is done.
///
/// The work is gone through with tensors that have shapes and no elements: networks are built from
/// the headers of their files, and every buffer is counted that the work would ask for, with the
/// time it is kept. That takes a fraction of a second and hardly any memory, whatever the sizes.
///
/// ```swift
/// let request = GenerationRequest("a red house", size: ImageSize(width: 1024, height: 1024))
/// let estimate = try MemoryEstimate(
///     for: request, contentsOf: directory, precision: .bfloat16, memory: .sequential)
/// print(estimate.peak)
/// ```
public struct MemoryEstimate: Sendable, Hashable {
    /// Bytes that the work takes at its worst moment: weights, activations and images.
    public let work: Int
    /// Bytes that the process has besides: what it has now, and what threads set aside.
    public let process: Int

    /// The most bytes of physical memory that the process will have.
    public var peak: Int { work + process }

    /// The memory for some work.
    ///
    /// - Parameter work: What is done with stages, cascades and tensors. It is called once. No
    ///   elements are computed, so that what it gets of them means nothing; whatever else it does,
    ///   such as writing files, it does.
    /// - Throws: What the work throws.
    public init(of work: () throws -> Void) rethrows {
        let bytes = try MemoryMeter.measure(work)
        self.work = bytes
        process = (TensorMemory.resident ?? Self.usual) + Threads.count * Self.scratch
    }

    /// The memory for a request to a checkpoint, none of whose weights are loaded.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - directory: The checkpoint's folder; this and all others as for
    ///     ``Cascade/init(contentsOf:variant:precision:memory:replacing:loras:)``.
    ///   - variant: Which of several variants of the weights is taken.
    ///   - precision: The precision that networks are loaded at.
    ///   - memory: Whether all networks stay in memory.
    ///   - replacements: Folders of stages in place of the checkpoint's.
    ///   - loras: Files of adapters.
    /// - Throws: ``WuerstchenError``, as loading and making images would.
    public init(
        for request: GenerationRequest, contentsOf directory: URL, variant: String? = nil,
        precision: Precision = .float32, memory: MemoryPolicy = .resident,
        replacing replacements: StageFolders = StageFolders(), loras: [LoRAFile] = []
    ) throws {
        try self.init {
            let cascade = try Cascade(
                contentsOf: directory, variant: variant, precision: precision, memory: memory,
                replacing: replacements, loras: loras)
            try cascade.rehearse(request)
        }
    }

    /// What a process has that has done nothing yet.
    private static let usual = 40_000_000
    /// What an operation needs on a thread of its own while it works.
    private static let scratch = 700_000
}

extension Cascade {
    /// The memory that the process will have at most when it makes a request's images, beside the
    /// networks that are in memory already.
    ///
    /// - Parameter request: The request.
    /// - Returns: The bytes; see ``MemoryEstimate``.
    /// - Throws: ``WuerstchenError``, as making the images would.
    public func peakMemory(for request: GenerationRequest) throws -> MemoryEstimate {
        try MemoryEstimate { try rehearse(request) }
    }

    /// Goes through a request where memory is measured. Batches are alike; the second begins with
    /// what the first left.
    func rehearse(_ request: GenerationRequest) throws {
        var run = try GenerationRun(self, request)
        var batches = 0
        while batches < 2, let event = try run.next() {
            if case .images = event { batches += 1 }
        }
    }
}
