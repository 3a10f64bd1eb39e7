/* child: runs a program on a stranger's file, confined (confine.c), and waits for it. The child and all that it may
 * have started are gone when child_run returns, and die with the calling thread, should that die first. Any thread. */
#pragma once
#include "shared/err.h"
#include "shared/slice.h"

enum {
    CHILD_ARGS_MAX = 256,
    CHILD_ERROR_TAIL_BYTES = 4096, /* kept of standard error: its end */
    CHILD_LINE_MAX_BYTES = 4096    /* of its output, when read by lines; longer ones are cut */
};

typedef struct ChildSpec {
    const char *program;
    const char *const *args; /* after the program, NULL at the end */
    const char *dir;         /* its folder, and all that it may write */
    int input_fd;            /* -1 none; it finds it as CHILD_INPUT */
    const char *read_path;   /* may be NULL: a file or folder that it may read besides */
    int nice;                /* 0, or positive: also its disk accesses come last */
    int64_t wall_ms;         /* 0: as Children says */
    /* Standard output: each line to `line`, or every piece to `piece`, or all of it, up to `output_max_bytes`, into the
     * result. */
    void (*line)(void *data, Slice line);
    void (*piece)(void *data, Slice piece);
    size_t output_max_bytes;
    /* Asked a few times a second; true kills it. May be NULL. */
    bool (*cancelled)(void *data);
    void *data;
} ChildSpec;
#define CHILD_INPUT "file:/proc/self/fd/3"

typedef enum ChildEnd {
    CHILD_EXITED,    /* see `status` */
    CHILD_LIMIT,     /* a resource limit, or the clock's, ended it */
    CHILD_KILLED,    /* a signal: it crashed, or somebody killed it */
    CHILD_CANCELLED, /* `cancelled` said so */
    CHILD_TOO_MUCH   /* output beyond `output_max_bytes` */
} ChildEnd;

typedef struct ChildResult {
    ChildEnd end;
    int status;   /* exit status, or the signal */
    Slice output; /* of the arena */
    Slice errors; /* the end of standard error; of the arena */
    uint64_t error_lines;
    int64_t cpu_ms, wall_ms;
} ChildResult;

/* How children are run; filled once, in main.c. Borrowed texts. */
typedef struct Children {
    const char *confine; /* the program transcode-confine */
    bool weak;           /* run also where they cannot be confined */
    int64_t wall_ms, cpu_ms;
    int64_t memory_bytes, file_bytes; /* address space; largest file written */
    /* Told of each child that ran, from the thread that ran it. May be NULL. */
    void (*ended)(void *data, const ChildSpec *spec, const ChildResult *result);
    void *data;
} Children;

/* Fails only where the child could not be run as it should: INTERNAL when it cannot be confined, UNAVAILABLE when the
 * machine has no process or descriptor left. What became of a child that ran stands in `out`. */
Err child_run(const Children *children, Arena *mem, const ChildSpec *spec, ChildResult *out) MUST_CHECK;

/* For the start: what keeps children here, as `confine --check` says. */
Err child_check(const Children *children, Arena *mem, Slice *out) MUST_CHECK;
