internal import TensorCore

/// What several processes do together.
extension Trainer {
    /// The averages over shards, of which each process computes those that lie next to each other:
    /// a branch of the tree in which gradients are summed.
    mutating func sharded() throws -> Averages {
        let process = communicator.process
        let own = options.parts / process.count
        let first = process.rank * own
        let reducer = reducer()
        var report = ShardReport()
        do {
            for index in first..<first + own {
                try Task.checkCancellation()
                let found = try gradients(of: step(part: index), reducer.add)
                reducer.endShard()
                report.losses.append(found.loss)
                report.statistics.append(found.statistics)
            }
        } catch  where process.count > 1 {
            report = ShardReport(failed: error)
        }
        let reports = try agreed(report, reducer)
        var statistics = RunningMean()
        for shard in reports.flatMap(\.statistics) { statistics.add(shard) }
        return (
            reports.flatMap(\.losses), try summed(reducer, reports.map(\.names)),
            statistics.means()
        )
    }

    /// What sums the gradients of the next step.
    private func reducer() -> GradientReducer {
        let own = options.parts / communicator.process.count
        // Errors are kept only of a step that all processes take.
        let rounding = roundedParts.map {
            GradientRounding(parts: $0, errors: state.gradientErrors)
        }
        return GradientReducer(
            ShardTree(first: communicator.process.rank * own, rounding: rounding), shards: own,
            planned: arrivals, state.parameters.values.mapValues(\.shape), owners.parameters,
            options.reduction, communicator)
    }

    /// The reports of all processes, if none is of a failure.
    private mutating func agreed(
        _ report: ShardReport, _ reducer: GradientReducer
    ) throws -> [ShardReport] {
        var report = report
        let names = try reducer.finish()
        if report.failure == nil { report.names = names }
        return try together { try $0.communicator.agreed(report) }
    }

    /// The averages of gradients over all shards.
    ///
    /// - Parameters:
    ///   - reducer: Their sums.
    ///   - known: Of which parameters each process has gradients.
    /// - Returns: The averages of what this process moves.
    /// - Throws: What communication throws.
    private mutating func summed(
        _ reducer: GradientReducer, _ known: [[String]]
    ) throws -> StepGradients {
        var seen: Set<String> = []
        let names = known.joined().filter { seen.insert($0).inserted }
        var (own, rounding) = try reducer.sums(names)
        if communicator.process.count > 1 {
            (arrivals, reductionTime) = (names, reducer.seconds)
        }
        if let rounding { keep(rounding, names) }
        if options.parts > 1 {
            own = own.mapValues { $0.scaled(by: 1 / Float(options.parts)) }
        }
        return StepGradients(own: own, names: names)
    }

    /// Keeps what was lost of this process's shards: something of every gradient that there was.
    private mutating func keep(_ rounding: GradientRounding, _ names: [String]) {
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

    /// How long the gradients of all processes are.
    ///
    /// - Throws: What communication throws.
    func sizes(of gradients: StepGradients) throws -> GradientSizes {
        let own = GradientSizes(gradients.own)
        var result = own
        for rank in 0..<communicator.process.count where communicator.process.count > 1 {
            let names = gradients.names.filter { owners.parameters[$0] == rank }
            let sent = names.map { own.squares[$0] ?? 0 }.withUnsafeBytes { Array($0) }
            let received = try communicator.shared(sent, from: rank)
            received.withUnsafeBytes {
                for (index, name) in names.enumerated() {
                    result.squares[name] = $0.loadUnaligned(
                        fromByteOffset: 8 * index, as: Double.self)
                }
            }
        }
        return result
    }

    /// Brings all processes what each has moved.
    ///
    /// - Parameter names: What was moved.
    /// - Throws: What communication throws.
    mutating func shareMoved(_ names: [String]) throws {
        let process = communicator.process
        guard process.count > 1 else { return }
        let start = ContinuousClock.now
        for name in names where owners.parameters[name] != process.rank {
            state.optimizer.memories[name, default: OptimizerState.Memory()].count += 1
        }
        let shapes = state.parameters.values.mapValues(\.shape)
        for bucket in ParameterBucket.buckets(names, shapes, owners.parameters, communicator) {
            try bucket.share(&state.parameters.values)
        }
        let seconds = (ContinuousClock.now - start).seconds
        reductionTime = reductionTime.map { ($0.all + seconds, $0.waited + seconds) }
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
            _ = try? agreed(ShardReport(failed: error), reducer())
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
