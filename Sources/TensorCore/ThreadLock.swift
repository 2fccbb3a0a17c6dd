#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#else
private import Darwin
#endif

/// A lock whose holder can wait for an event under it.
///
/// `@safe` and `@unchecked Sendable`: the system's mutex and its conditions lie at one address
/// from `init` to `deinit`, which is all that they ask for, and nobody else gets to see them.
@safe
final class ThreadLock: @unchecked Sendable {
    /// What a thread can wait for.
    @safe
    final class Event: @unchecked Sendable {
        fileprivate let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

        init() { unsafe pthread_cond_init(condition, nil) }

        deinit {
            unsafe pthread_cond_destroy(condition)
            unsafe condition.deallocate()
        }

        /// Wakes every thread that waits for this.
        func announce() { unsafe pthread_cond_broadcast(condition) }
    }

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    init() { unsafe pthread_mutex_init(mutex, nil) }

    deinit {
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    func lock() { unsafe pthread_mutex_lock(mutex) }

    func unlock() { unsafe pthread_mutex_unlock(mutex) }

    /// Lets others have the lock until the event, or a false alarm. Called with the lock held.
    func wait(for event: Event) { unsafe pthread_cond_wait(event.condition, mutex) }
}

/// A mark that each thread can set for itself.
struct ThreadMark: Sendable {
    private let key: pthread_key_t

    init() {
        var key = pthread_key_t()
        unsafe pthread_key_create(&key, nil)
        self.key = key
    }

    /// Whether the current thread is inside ``set(during:)``.
    var isSet: Bool { unsafe pthread_getspecific(key) != nil }

    /// Sets the current thread's mark while `body` runs.
    func set(during body: () -> Void) {
        // Any pointer but nil will do; it is never followed.
        unsafe pthread_setspecific(key, UnsafeRawPointer(bitPattern: 1))
        body()
        pthread_setspecific(key, nil)
    }
}
