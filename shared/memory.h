/* memory: what a burst of work left behind goes back to the system. malloc keeps what was freed below memory that is
 * still in use: a gateway that once held 5,000 connections would stay at 85 MB for ever. */
#pragma once
#include "shared/base.h"

/* How often memory_rest is worth its while. */
enum { MEMORY_REST_MS = 10000 };

/* At start, before the first thread: large blocks are mapped, each by itself, and so go back when they are freed. */
void memory_open(void);

/* What is known between two calls; zeroed at first. */
typedef struct MemoryRest {
    size_t resident_bytes; /* after memory was given back last */
} MemoryRest;

/* Gives back what malloc holds free when the process has grown by some megabytes since it did so last. Costs
 * microseconds when there is nothing to do; else some milliseconds, in which other threads may wait for malloc. True:
 * it was done. */
bool memory_rest(MemoryRest *rest);
