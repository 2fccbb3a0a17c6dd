#define _GNU_SOURCE
#include "wuerstchen_mpi.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { thread_serialized = 2, tag = 1, largest = 1 << 30 };

// Open MPI's handles are pointers to what it exports, MPICH's are numbers that its ABI has fixed;
// the functions are the same but for that.
static bool is_open_mpi;
static struct {
    uintptr_t world, byte, real, sum, in_place, ignored_status;
} handle;
static struct {
    void *rank, *size, *bcast, *isend, *irecv, *test, *allreduce, *abort, *finalize, *version;
} function;
static int process_rank, process_count = 1;

// A call of a function in both of its types. H is what a handle is.
#define MPI_CALL(name, parameters, ...)                                                            \
    do {                                                                                           \
        if (is_open_mpi) {                                                                         \
            typedef void *H;                                                                       \
            ((int(*) parameters)function.name)(__VA_ARGS__);                                       \
        } else {                                                                                   \
            typedef int H;                                                                         \
            ((int(*) parameters)function.name)(__VA_ARGS__);                                       \
        }                                                                                          \
    } while (0)
#define HANDLE(name) (H) handle.name

static void *open_first(const char *const *names) {
    for (; *names; ++names) {
        // Its plug-ins look for its symbols.
        void *library = dlopen(*names, RTLD_NOW | RTLD_GLOBAL);
        if (library)
            return library;
    }
    return NULL;
}

static void *open_library(void) {
    static const char *const open_mpi[] = {"libmpi.so.40", "libmpi.so.80", "libmpi.so", NULL};
    static const char *const mpich[] = {"libmpich.so.12", "libmpi.so.12", "libmpich.so", NULL};
    const char *asked = getenv("WUERSTCHEN_MPI");
    if (asked && *asked)
        return dlopen(asked, RTLD_NOW | RTLD_GLOBAL);
    // A process joins those that its own launcher started.
    const bool is_mpich = getenv("PMI_RANK") && !getenv("OMPI_COMM_WORLD_RANK");
    void *library = open_first(is_mpich ? mpich : open_mpi);
    return library ? library : open_first(is_mpich ? open_mpi : mpich);
}

static bool find_functions(void *library) {
    struct {
        void **function;
        const char *name;
    } wanted[] = {
        {&function.rank, "MPI_Comm_rank"},     {&function.size, "MPI_Comm_size"},
        {&function.bcast, "MPI_Bcast"},        {&function.isend, "MPI_Isend"},
        {&function.irecv, "MPI_Irecv"},        {&function.test, "MPI_Test"},
        {&function.allreduce, "MPI_Allreduce"}, {&function.abort, "MPI_Abort"},
        {&function.finalize, "MPI_Finalize"},  {&function.version, "MPI_Get_library_version"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; ++i)
        if (!(*wanted[i].function = dlsym(library, wanted[i].name)))
            return false;
    return true;
}

static bool find_handles(void *library) {
    is_open_mpi = dlsym(library, "ompi_mpi_comm_world") != NULL;
    if (!is_open_mpi) {
        handle.world = 0x44000000;
        handle.byte = 0x4c00010d;
        handle.real = 0x4c00040a;
        handle.sum = 0x58000003;
        handle.in_place = (uintptr_t)-1;
        handle.ignored_status = 1;
        return true;
    }
    handle.world = (uintptr_t)dlsym(library, "ompi_mpi_comm_world");
    handle.byte = (uintptr_t)dlsym(library, "ompi_mpi_byte");
    handle.real = (uintptr_t)dlsym(library, "ompi_mpi_float");
    handle.sum = (uintptr_t)dlsym(library, "ompi_mpi_op_sum");
    handle.in_place = 1;
    handle.ignored_status = 0;
    return handle.byte && handle.real && handle.sum;
}

// A process that ends well waits for the others; one that fails ends them, so that nobody waits for
// what it will never send.
static void leave(int status, void *unused) {
    (void)unused;
    fflush(NULL);
    if (status == 0)
        ((int (*)(void))function.finalize)();
    else
        MPI_CALL(abort, (H, int), HANDLE(world), status);
}

const char *wmpi_open(void) {
    // Open MPI's processes spin while they wait, at the cost of those that compute beside them.
    setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
    void *library = open_library();
    if (!library)
        return "MPI is not installed; install Open MPI (apt-get install openmpi-bin) or MPICH "
               "(apt-get install mpich) on every machine";
    int (*init)(int *, char ***, int, int *) = dlsym(library, "MPI_Init_thread");
    if (!init || !find_functions(library) || !find_handles(library))
        return "the MPI library is neither Open MPI nor of MPICH's ABI; name another file in "
               "WUERSTCHEN_MPI";
    int provided = 0;
    if (init(NULL, NULL, thread_serialized, &provided) != 0)
        return "MPI could not be started; start the processes with its mpirun";
    if (provided < thread_serialized)
        return "MPI was built without threads; install another build of it";
    MPI_CALL(rank, (H, int *), HANDLE(world), &process_rank);
    MPI_CALL(size, (H, int *), HANDLE(world), &process_count);
#if defined(__GLIBC__)
    on_exit(leave, NULL);
#else
    (void)leave;
#endif
    return NULL;
}

const char *wmpi_version(void) {
    // The longest that any MPI's is.
    static char text[8192];
    int length = 0;
    ((int (*)(char *, int *))function.version)(text, &length);
    text[strcspn(text, "\n,")] = 0;
    return text;
}

int wmpi_rank(void) { return process_rank; }

int wmpi_size(void) { return process_count; }

// MPI counts in int, so that large messages go in parts.
static int part(size_t count) { return count < largest ? (int)count : largest; }

void wmpi_broadcast(void *bytes, size_t count, int root) {
    char *place = bytes;
    while (count > 0) {
        const int now = part(count);
        MPI_CALL(bcast, (void *, int, H, int, H), place, now, HANDLE(byte), root, HANDLE(world));
        place += now;
        count -= (size_t)now;
    }
}

typedef union {
    void *open_mpi;
    int mpich;
} message;

// Waits for a message that is under way, in pieces: MPI's own waiting takes a processor from
// threads that compute meanwhile.
static void wait_for(message *message) {
    int is_done = 0;
    for (int polls = 0; !is_done; ++polls) {
        if (polls > 200)
            usleep(50);
        else if (polls > 0)
            sched_yield();
        MPI_CALL(test, (H *, int *, void *), (H *)message, &is_done,
                 (void *)handle.ignored_status);
    }
}

void wmpi_exchange(const void *sent, size_t sent_count, void *received, size_t received_count,
                   int peer) {
    const char *from = sent;
    char *to = received;
    while (sent_count > 0 || received_count > 0) {
        const int out = part(sent_count), in = part(received_count);
        message arrival, departure;
        if (in > 0)
            MPI_CALL(irecv, (void *, int, H, int, int, H, H *), to, in, HANDLE(byte), peer, tag,
                     HANDLE(world), (H *)&arrival);
        if (out > 0) {
            MPI_CALL(isend, (const void *, int, H, int, int, H, H *), from, out, HANDLE(byte), peer,
                     tag, HANDLE(world), (H *)&departure);
            wait_for(&departure);
        }
        if (in > 0)
            wait_for(&arrival);
        from += out;
        to += in;
        sent_count -= (size_t)out;
        received_count -= (size_t)in;
    }
}

void wmpi_sum(float *values, size_t count) {
    while (count > 0) {
        const int now = part(count);
        MPI_CALL(allreduce, (const void *, void *, int, H, H, H), (const void *)handle.in_place,
                 values, now, HANDLE(real), HANDLE(sum), HANDLE(world));
        values += now;
        count -= (size_t)now;
    }
}
