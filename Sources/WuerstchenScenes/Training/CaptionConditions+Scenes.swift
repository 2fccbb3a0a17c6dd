public import WuerstchenTraining

extension CaptionConditions {
    /// The captions of drawn scenes, which need not be drawn for it.
    public init(of scenes: SceneImages) {
        self.init { scenes.example($0).caption }
    }
}
