extension Cascade {
    /// Checks everything that can be wrong with a request to this cascade before any work is done,
    /// so that what the request says, and what the stages can do, need not be found out later.
    ///
    /// - Parameter request: The request.
    /// - Throws: ``WuerstchenError`` with code `invalidRequest` that says what is wrong, and what
    ///   loading the stages throws, where they have to be for it.
    public func validate(_ request: GenerationRequest) throws {
        _ = try GenerationRun(self, request)
        // Stages without a blueprint beside them are asked by nobody before their sampler.
        if let options = request.stageC {
            try stageC.description().validate(options)
        }
        if let options = request.stageB, let decoder = decoder as? DiffusionDecoder {
            try decoder.stageB.description().validate(options)
        }
    }
}
