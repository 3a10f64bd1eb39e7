/* aside: computations that take long and can wait (hashing a password, say), in processes of their own that stand back
 * for everything else on the machine.
 *
 * Why processes: Linux lets what has the policy SCHED_IDLE run when nobody else in its group wants the CPU, and whoever
 * wakes up there takes it at once. A thread that took this policy could never leave it again, so it would not do for a
 * machine that is busy for long: a computation that has waited for long is ended and begun again in a process
 * without it, so that logins get slow there and do not stop. A group is a session (autogroup) or a container; hence the
 * process stays in its owner's session, and deploy/local starts all servers in one.
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
    int processes;       /* at most so many computations at a time */
    int64_t patience_ms; /* a computation stands back for so long; 0: never */
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
