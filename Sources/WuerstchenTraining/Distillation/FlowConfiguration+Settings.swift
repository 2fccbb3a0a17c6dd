public import Wuerstchen

extension FlowConfiguration: CustomTrainingSettings {
    /// What every flow has, and what else is other than usual: a training that was begun when there
    /// was nothing else can be resumed.
    public var trainingSettings: TrainingSettings {
        var result = TrainingSettings()
        result.add(steps as Any, at: "steps")
        result.add(guidance, at: "guidance")
        result.add(mean, at: "mean")
        result.add(deviation, at: "deviation")
        if let windows { result.add(windows, at: "windows") }
        if prediction != .velocity { result.add(prediction, at: "prediction") }
        return result
    }
}
