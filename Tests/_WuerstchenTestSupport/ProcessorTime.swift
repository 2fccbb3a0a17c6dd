import Foundation

/// The time that this thread kept a processor busy while it ran `body`. Tests measure with it
/// instead of a clock: other tests, which take the processors in between, do not count.
package func processorTime(of body: () throws -> Void) rethrows -> Duration {
    func now() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
    let start = now()
    try body()
    return now() - start
}
