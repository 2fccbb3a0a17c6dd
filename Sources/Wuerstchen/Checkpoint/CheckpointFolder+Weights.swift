private import Foundation
internal import TensorCore

extension CheckpointFolder {
    /// What the weights of a network are told from others by: its tensors with what decides how
    /// they are used. For a stage that is its configuration, the schedule and the pipeline's index,
    /// and for a text encoder its configuration and the tokenizer.
    func weights(of network: CheckpointLayout.Network) -> PartWeights {
        let layout = CheckpointLayout.published
        let isText = [layout.priorTextEncoder, layout.decoderTextEncoder].contains(network)
        let names =
            isText
            ? TokenizerFiles.names.map { "\(layout.tokenizer)/\($0)" }
            : network == layout.stageA
                ? [] : [layout.index, "\(layout.scheduler)/\(layout.schedulerConfiguration)"]
        // Nothing of networks that come and go stays.
        var folder = reopening
        folder.adapters = [:]
        return PartWeights(precision, adapters: adapterRecords[network.folder] ?? []) {
            [folder] hash in
            for name in [folder.configuration(network)] + names {
                guard let data = try readSmallFile(folder.location(name)) else { continue }
                hash.add(Array(name.utf8))
                data.withUnsafeBytes { hash.addWords($0) }
            }
            try folder.parameters(network).add(to: &hash)
        }
    }
}
