internal import TensorCore

// Which numbers of neighbouring parts must be equal. Each check names both.

extension CLIPTokenizer {
    /// Refuses a text encoder that has fewer tokens or positions.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidVocabulary`.
    package func requireFit(_ text: CLIPTextModel.Configuration) throws {
        guard vocabularySize <= text.vocabularySize else {
            throw WuerstchenError(
                .invalidVocabulary,
                "the tokenizer has \(vocabularySize) tokens and the text encoder "
                    + "\(text.vocabularySize); they do not belong together")
        }
        guard length <= text.positions else {
            throw WuerstchenError(
                .invalidVocabulary,
                "the tokenizer makes \(length) tokens of a text (model_max_length) and "
                    + "the text encoder takes \(text.positions)")
        }
    }
}

extension StageC.Configuration {
    /// Refuses a text encoder of another width.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidConfiguration`.
    package func requireFit(_ text: CLIPTextModel.Configuration) throws {
        try requireEqual(
            textChannels, "Stage C takes texts of", "c_cond", text.channels,
            "its text encoder makes", "hidden_size")
    }

    /// Refuses semantic latents of other channels.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidConfiguration`.
    package func requireFit(semanticChannels: Int) throws {
        try requireEqual(
            latentChannels, "Stage C makes latents of", "c_in", semanticChannels,
            "the semantic latents have", nil)
    }
}

extension StageB.Configuration {
    /// Refuses a text encoder of another width.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidConfiguration`.
    package func requireFit(_ text: CLIPTextModel.Configuration) throws {
        try requireEqual(
            textChannels, "Stage B takes texts of", "clip_embd", text.channels,
            "its text encoder makes", "hidden_size")
    }

    /// Refuses semantic latents of other channels.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidConfiguration`.
    package func requireFit(semanticChannels channels: Int) throws {
        try requireEqual(
            semanticChannels, "Stage B takes semantic latents of", "effnet_embd", channels,
            "they have", nil)
    }

    /// Refuses a Stage A of other latents.
    ///
    /// - Throws: ``WuerstchenError`` with code `invalidConfiguration`.
    package func requireFit(_ stageA: StageA.Configuration) throws {
        try requireEqual(
            latentChannels, "Stage B makes latents of", "c_in", stageA.latentChannels,
            "Stage A takes", "latent_channels")
    }
}

private func requireEqual(
    _ taken: Int, _ taker: String, _ field: String, _ made: Int, _ maker: String,
    _ otherField: String?
) throws {
    guard taken != made else { return }
    throw WuerstchenError(
        .invalidConfiguration,
        "\(taker) \(taken) channels (\(field)) and \(maker) \(made)"
            + (otherField.map { " (\($0))" } ?? "") + "; take parts that belong together")
}
