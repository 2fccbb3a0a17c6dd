internal import TensorCore

/// What several processes do together.
extension Trainer {
    /// The averages over shards, of which each process computes those that lie next to each other:
    /// a branch of the tree in which gradients are summed.
    mutating func sharded() throws -> Averages {
        let process = communicator.process
        let own = options.parts / process.count
        let first = process.rank * own
        // Errors are kept only of a step that all processes take.
        let rounding = roundedParts.map {
            GradientRounding(parts: $0, errors: state.gradientErrors)
        }
        var (tree, report) = (ShardTree(first: first, rounding: rounding), ShardReport())
        do {
            for index in first..<first + own {
                try Task.checkCancellation()
                let found = try gradients(of: step(part: index))
                tree.add(found.gradients)
                report.names.formUnion(found.gradients.keys)
                report.losses.append(found.loss)
                report.statistics.append(found.statistics)
            }
        } catch  where process.count > 1 {
            report = ShardReport(failed: error)
        }
        let reports = try together { try $0.communicator.agreed(report) }
        var statistics = RunningMean()
        for shard in reports.flatMap(\.statistics) { statistics.add(shard) }
        return (
            reports.flatMap(\.losses),
            try summed(&tree, reports.map(\.names)),
            statistics.means()
        )
    }

    /// The averages of gradients over all shards.
    ///
    /// - Parameters:
    ///   - tree: Their sum over this process's shards. Nothing is left of it.
    ///   - known: Of which parameters each process has gradients.
    /// - Returns: The averages of what this process moves.
    /// - Throws: What communication throws.
    private mutating func summed(
        _ tree: inout ShardTree, _ known: [Set<String>]
    ) throws -> StepGradients {
        let names = known.reduce(into: Set()) { $0.formUnion($1) }
        let shapes = state.parameters.values.mapValues(\.shape)
        var result = StepGradients(own: tree.takeTotal())
        if communicator.process.count > 1 {
            let start = ContinuousClock.now
            let buffer = StepBuffer(names, shapes, owners.parameters, communicator)
            if var rounding = tree.rounding {
                result.own = try buffer.sum(&result.own, by: &rounding, where: known)
                tree.rounding = rounding
            } else {
                result.own = try buffer.sum(&result.own, by: options.reduction)
            }
            result.buffer = buffer
            reductionTime = (ContinuousClock.now - start).seconds
        }
        if let rounding = tree.rounding { keep(rounding, names) }
        if options.parts > 1 {
            result.own = result.own.mapValues { $0.scaled(by: 1 / Float(options.parts)) }
        }
        return result
    }

    /// Keeps what was lost of this process's shards: something of every gradient that there was.
    private mutating func keep(_ rounding: GradientRounding, _ names: Set<String>) {
        state.gradientErrors = rounding.errors
        let own = options.parts / communicator.process.count
        let first = communicator.process.rank * own
        for name in names {
            guard let shape = state.parameters.values[name]?.shape else { continue }
            for shard in rounding.parts.others(than: name)
            where (first..<first + own).contains(shard)
                && state.gradientErrors[shard]?[name] == nil
            {
                state.gradientErrors[shard, default: [:]][name] = Tensor(repeating: 0, shape)
            }
        }
    }

    /// Brings all processes what each has moved.
    mutating func shareMoved(_ buffer: StepBuffer?) throws {
        guard let buffer else { return }
        let start = ContinuousClock.now
        for name in buffer.others {
            state.optimizer.memories[name, default: OptimizerState.Memory()].count += 1
        }
        try buffer.share(&state.parameters.values)
        reductionTime = (reductionTime ?? 0) + (ContinuousClock.now - start).seconds
    }

    /// Ends the training early in all processes, and saves the state as ``save()`` does.
    ///
    /// - Parameters:
    ///   - error: Why. The other processes, which are at their next step, are told so unless they
    ///     know, and then call this too.
    ///   - saves: Whether there is something to save.
    /// - Throws: What ``save()`` throws.
    mutating func end(_ error: any Error, saves: Bool = true) throws {
        if communicator.process.count > 1, !isFinished, !hasEndedTogether {
            _ = try? together { try $0.communicator.agreed(ShardReport(failed: error)) }
        }
        try save(isWanted: saves)
    }

    /// What goes wrong in all processes alike, and is said by the first.
    mutating func together<Value>(
        _ work: (inout Trainer) throws -> Value
    ) throws -> Value {
        do {
            return try work(&self)
        } catch {
            hasEndedTogether = true
            throw communicator.process.isFirst ? error : EndedTogether()
        }
    }

    // MARK: Saving

    /// Saves the state now, such as when work is about to stop. After a step that failed when it
    /// had its gradients, what was saved before stays instead: parameters may not be numbers, or
    /// only half of them moved.
    ///
    /// Of several processes all call it, also in the end of ``EndedTogether``. After the last step
    /// they have saved what there is.
    ///
    /// - Throws: `WuerstchenError` with code `unwritableFile`; what was saved before stays.
    public func save() throws { try save(isWanted: true) }

    private func save(isWanted: Bool) throws {
        guard communicator.process.count == 1 || !isFinished else { return }
        _ = try write(where: isWanted && isSound && file != nil)
    }

    /// Writes the state, which all processes know a part of.
    ///
    /// - Parameter isDue: Whether to do so, in the process that has a file.
    /// - Returns: Whether it was done.
    /// - Throws: In the process that has a file `WuerstchenError` with code `unwritableFile`.
    func write(where isDue: Bool) throws -> Bool {
        guard communicator.process.count > 1 else {
            guard isDue, let file else { return false }
            try state.write(to: file)
            return true
        }
        guard try communicator.decided(isDue) else { return false }
        try state.write(to: file, communicator: communicator, owners: owners) { name in
            let parameters = state.parameters
            let kinds = options.optimizer.tensorKinds(
                of: parameters.roles[name], parameters.values[name]?.shape ?? [])
            let shards = roundedParts?.others(than: name) ?? []
            return kinds + shards.map(TrainingState.Kind.error)
        }
        return true
    }
}
