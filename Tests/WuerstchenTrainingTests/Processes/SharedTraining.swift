import Foundation
import TensorCore
import Testing
import Wuerstchen
import _WuerstchenTestSupport

@testable import WuerstchenTraining

/// Trains by several processes, here threads, and gives what each process has in the end.
func trainTogether<Objective: TrainingObjective>(
    _ objective: Objective, _ options: TrainingOptions, on processes: Int,
    start: [String: Tensor] = [:], file: URL? = nil, resumes: Bool = false,
    until last: Int? = nil
) throws -> [TrainingState] {
    try ThreadGroup.run(processes) { member in
        var trainer = try Trainer(
            objective, options, file: file, resumes: resumes, start: start,
            communicator: member)
        while trainer.state.step < last ?? .max, try trainer.next() != nil {}
        return trainer.state
    }.map { try $0.get() }
}

func expectSame(
    _ one: TrainingState, _ other: TrainingState,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(one.step == other.step, sourceLocation: sourceLocation)
    #expect(one.loss == other.loss, sourceLocation: sourceLocation)
    for (first, second) in [
        (one.parameters.values, other.parameters.values),
        (one.average.values, other.average.values),
    ] {
        #expect(
            first.mapValues(\.elements) == second.mapValues(\.elements),
            sourceLocation: sourceLocation)
    }
    #expect(
        one.optimizer.memories.mapValues { $0.tensors.mapValues(\.elements) }
            == other.optimizer.memories.mapValues { $0.tensors.mapValues(\.elements) },
        sourceLocation: sourceLocation)
}

func expectAlike<Objective: TrainingObjective>(
    _ objective: Objective, _ options: TrainingOptions, start: [String: Tensor] = [:],
    on counts: [Int] = [2, 4], sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let alone = try trainTogether(objective, options, on: 1, start: start)[0]
    for processes in counts {
        let states = try trainTogether(objective, options, on: processes, start: start)
        for state in states {
            var state = state
            state.optimizer = try remembered(states)
            expectSame(alone, state, sourceLocation: sourceLocation)
        }
    }
}

/// What processes remember together, each of its own parameters.
func remembered(
    _ states: [TrainingState], sourceLocation: SourceLocation = #_sourceLocation
) throws -> OptimizerState {
    var result = OptimizerState()
    for state in states {
        for (name, memory) in state.optimizer.memories {
            var found = result.memories[name] ?? OptimizerState.Memory(count: memory.count)
            #expect(found.count == memory.count, sourceLocation: sourceLocation)
            #expect(
                found.tensors.isEmpty || memory.tensors.isEmpty, "two remember \(name)",
                sourceLocation: sourceLocation)
            found.tensors.merge(memory.tensors) { $1 }
            result.memories[name] = found
        }
    }
    return result
}
