/* aside: computations that take long and can wait (hashing a password, say), in processes of their own that stand back
 * for everything else on the machine.
 *
 * Why processes: Linux shares a CPU between groups first (sessions, by autogroup), and only then between the threads in
 * one, by their nice values. A thread that hashes at nice 19 still takes its group's full share, and those whom it
 * holds up are in other groups: the gateway, the bus, the database. A process in a session of its own is a group of its
 * own, and a group can have a nice value, too. It is raised again for a computation that has waited for its CPU long
 * enough: a machine that is busy for long makes logins slow, and does not end them. In a container, whose group is its
 * control group, what remains is the nice value among the container's own threads.
 *
 * A computation is a function from bytes to bytes of the same executable, which the process runs as `<name> aside`. */
#pragma once
#include "shared/arena.h"
#include "shared/err.h"
#include "shared/log.h"
#include "shared/slice.h"

/* Of what goes in and of what comes out. */
enum { ASIDE_BYTES_MAX = 4096 };

/* In the process aside: nothing but memory and CPU is there. Returns how many bytes it has put to `out`; 0: it could
 * not. */
typedef size_t (*AsideFunction)(Slice in, uint8_t out[ASIDE_BYTES_MAX]);

typedef struct AsideOptions {
    int processes; /* at most so many computations at a time */
    Log *log;
} AsideOptions;

typedef struct Aside Aside;
/* The processes are started when they are first needed, and anew after one ended. */
Aside *aside_new(const AsideOptions *options);
/* Ends the processes; when no computation runs. */
void aside_free(Aside *aside); /* NULL is fine */
CLEANUP_FN(Aside, aside_free)

/* Blocks: from threads that may wait, never from a loop's or a fiber. What came out is borrowed from `mem`. At
 * `deadline_ms` (monotonic) the computation is ended: DEADLINE_EXCEEDED. UNAVAILABLE: it could not, or its process was
 * lost. The bytes are wiped wherever they were copied, except in `in` and `out`. */
Err aside_run(Aside *aside, int64_t deadline_ms, Slice in, Arena *mem, Slice *out) MUST_CHECK;

/* What `<name> aside` is: computes until whoever started it is gone. The exit code. */
int aside_serve(AsideFunction function);
