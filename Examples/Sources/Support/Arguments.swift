public import ArgumentParser
public import Wuerstchen
public import WuerstchenTraining

// Options of commands that are values of the library.
extension Precision: @retroactive ExpressibleByArgument {}
extension MemoryPolicy: @retroactive ExpressibleByArgument {}
extension SamplingMethod: @retroactive ExpressibleByArgument {}
extension TerminalGraphics: @retroactive ExpressibleByArgument {}
extension FlowSolver: @retroactive ExpressibleByArgument {}
extension WeightElementType: @retroactive ExpressibleByArgument {}
extension CheckpointConversion.ElementType: @retroactive ExpressibleByArgument {}
extension CheckpointConversion.Layout: @retroactive ExpressibleByArgument {}
