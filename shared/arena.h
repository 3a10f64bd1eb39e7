/* arena: memory that is given back all at once. One request, one arena: what a handler builds
 * lives until the reply is sent. Not thread-safe: it belongs to the worker that runs the request. */
#pragma once
#include "shared/base.h"

typedef struct Arena Arena;

/* Owned by the caller. Grows by `chunk_bytes` (larger requests get a chunk of their own); aborts the process
 * when memory is out. */
Arena *arena_new(size_t chunk_bytes);
void arena_free(Arena *a); /* NULL is fine */
CLEANUP_FN(Arena, arena_free)

/* Every pointer handed out is dead from here on; address-sanitizer builds stop at a use of one.
 * The first chunk is kept, the others are freed. */
void arena_reset(Arena *a);

/* Borrowed from `a`: zeroed, never NULL. `align` is a power of two. */
void *arena_alloc(Arena *a, size_t size_bytes, size_t align);
/* Not zeroed, for buffers that are filled at once. */
void *arena_alloc_raw(Arena *a, size_t size_bytes, size_t align);
/* Extends in place where `old` was the latest allocation, else copies. `old` may be NULL. Not zeroed. */
void *arena_grow(Arena *a, void *old, size_t old_bytes, size_t new_bytes);
char *arena_strdup(Arena *a, const char *text); /* NULL gives NULL */
char *arena_strndup(Arena *a, const char *text, size_t len);
void *arena_memdup(Arena *a, const void *data, size_t len);
char *arena_printf(Arena *a, const char *format, ...) PRINTF_LIKE(2, 3);
/* Bytes handed out since the last reset. */
size_t arena_used(const Arena *a);

#define ARENA_NEW(a, T) ((T *)arena_alloc((a), sizeof(T), _Alignof(T)))
#define ARENA_ARRAY(a, T, count) ((T *)arena_alloc((a), sizeof(T) * (size_t)(count), _Alignof(T)))
