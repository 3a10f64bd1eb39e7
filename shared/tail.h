/* tail: follows a stream, or what it has of one subject, in a thread of its own, over a threaded bus connection. Not
 * current until it has caught up; and again after a lost connection, after which it reads on where it was. Thread-safe.
 */
#pragma once
#include "shared/bus.h"
#include "shared/clock.h"

enum { TAIL_FRESH_MS = 3000 };

typedef struct TailMessage {
    const char *subject, *key; /* `key`: its last word */
    uint64_t sequence;         /* in the stream */
    int64_t at_unix_ms;        /* when the stream got it */
    Slice body;
} TailMessage;

/* What is read from here on. */
typedef struct TailBegin {
    int64_t epoch; /* when the stream was made, nanoseconds: another one counts anew */
    uint64_t last; /* its last number now */
} TailBegin;

typedef struct Tail Tail;
typedef struct TailOptions {
    Bus *bus; /* threaded */
    const Clock *clock;
    Log *log;
    const char *name;    /* in log lines */
    const char *stream;  /* "EVT_AUTH" */
    const char *subject; /* "evt.auth.login.ended.*" */
    int64_t back_ms;     /* how far back it begins; 0: with all that there is */
    /* All in the tail's thread; only `take` must be given. What they are given is dead when they return. */
    void (*begin)(void *data, const TailBegin *begin); /* at the start, and when it is another stream, or one that was
                                                          restored from an older state: numbers begin anew */
    void (*take)(void *data, const TailMessage *message);
    void (*caught_up)(void *data); /* all that was there has been taken: after each new subscription */
    void *data;
} TailOptions;
/* Copies `options`; texts are borrowed for as long as the tail lives. */
Err tail_start(const TailOptions *options, Tail **out) MUST_CHECK;
/* Returns when nothing is called any more: a `take` that waits must be woken before. NULL is fine. */
void tail_stop(Tail *t);
CLEANUP_FN(Tail, tail_stop)

/* All that was published has been taken, as confirmed lately. */
bool tail_current(Tail *t);
