#include "shared/arena.h"

/* Under the address sanitizer what is not handed out is poisoned, and allocations have a poisoned gap between them:
 * a use after arena_reset, or a step beyond the end, stops the program there and then. */
#if defined(__SANITIZE_ADDRESS__)
#define POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONS 1
#endif
#endif
#if defined(POISONS) || defined(ATRIUM_ASAN)
#include <sanitizer/asan_interface.h>
enum { GAP_BYTES = 16 };

/* Not inlined: gcc takes the parameter's const for a read, and warns of memory that nobody has written yet. */
__attribute__((noinline)) static void poison(void *p, size_t len)
{
    __asan_poison_memory_region(p, len);
}

static void unpoison(void *p, size_t len)
{
    __asan_unpoison_memory_region(p, len);
}
#else
enum { GAP_BYTES = 0 };

static inline void poison(void *p, size_t len)
{
    (void)p, (void)len;
}

static inline void unpoison(void *p, size_t len)
{
    (void)p, (void)len;
}
#endif

enum { CHUNK_ALIGN = 16, CHUNK_MIN_BYTES = 256 };

typedef struct Chunk Chunk;
struct Chunk {
    Chunk *next;
    size_t size_bytes;
    _Alignas(CHUNK_ALIGN) char data[];
};

/* The first chunk stands right behind the arena itself, so that a small arena is one malloc. */
struct Arena {
    char *at, *end; /* of the chunk that is being filled */
    char *last;     /* the latest allocation: the only one that can grow in place */
    size_t chunk_bytes;
    size_t used_bytes;
    Chunk *more; /* all but the first */
    _Alignas(CHUNK_ALIGN) char first[];
};

static void fill_from(Arena *a, char *data, size_t size_bytes)
{
    a->at = data;
    a->end = data + size_bytes;
    poison(data, size_bytes);
}

Arena *arena_new(size_t chunk_bytes)
{
    size_t size = (MAX(chunk_bytes, CHUNK_MIN_BYTES) + CHUNK_ALIGN - 1) & ~(size_t)(CHUNK_ALIGN - 1);
    Arena *a = xmalloc(sizeof(*a) + size);

    *a = (Arena){.chunk_bytes = size};
    fill_from(a, a->first, size);
    return a;
}

static void free_more(Arena *a)
{
    for (Chunk *c = a->more; c;) {
        Chunk *next = c->next;
        unpoison(c->data, c->size_bytes);
        free(c);
        c = next;
    }
    a->more = NULL;
}

void arena_free(Arena *a)
{
    if (!a)
        return;
    free_more(a);
    unpoison(a->first, a->chunk_bytes);
    free(a);
}

void arena_reset(Arena *a)
{
    free_more(a);
    fill_from(a, a->first, a->chunk_bytes);
    a->last = NULL;
    a->used_bytes = 0;
}

static char *aligned(char *p, size_t align)
{
    return p + (-(uintptr_t)p & (align - 1));
}

/* A request that does not fit opens a new chunk; one larger than a chunk gets a chunk of its own, and the room left
 * in the current one goes on being used. */
static void *alloc_in_new_chunk(Arena *a, size_t size_bytes, size_t align)
{
    size_t needed = size_bytes + GAP_BYTES + (align > CHUNK_ALIGN ? align : 0);
    bool own = needed > a->chunk_bytes;
    size_t size = own ? needed : a->chunk_bytes;
    Chunk *c = xmalloc(sizeof(*c) + size);
    char *p = aligned(c->data, align);

    c->size_bytes = size;
    c->next = a->more;
    a->more = c;
    if (own) {
        poison(c->data, size);
    } else {
        fill_from(a, c->data, size);
        a->at = p + size_bytes + GAP_BYTES;
        a->last = p;
    }
    unpoison(p, size_bytes);
    return p;
}

void *arena_alloc_raw(Arena *a, size_t size_bytes, size_t align)
{
    char *p = aligned(a->at, align);

    if (size_bytes > PTRDIFF_MAX / 2)
        abort(); /* a size that went below zero */
    a->used_bytes += size_bytes;
    if (p > a->end || size_bytes + GAP_BYTES > (size_t)(a->end - p))
        return alloc_in_new_chunk(a, size_bytes, align);
    a->at = p + size_bytes + GAP_BYTES;
    a->last = p;
    unpoison(p, size_bytes);
    return p;
}

void *arena_alloc(Arena *a, size_t size_bytes, size_t align)
{
    return memset(arena_alloc_raw(a, size_bytes, align), 0, size_bytes);
}

void *arena_grow(Arena *a, void *old, size_t old_bytes, size_t new_bytes)
{
    void *p;

    if (old && new_bytes <= old_bytes)
        return old;
    if (old && old == a->last && new_bytes < PTRDIFF_MAX / 2 && new_bytes + GAP_BYTES <= (size_t)(a->end - a->last)) {
        a->at = a->last + new_bytes + GAP_BYTES;
        a->used_bytes += new_bytes - old_bytes;
        unpoison(a->last, new_bytes);
        return old;
    }
    p = arena_alloc_raw(a, new_bytes, CHUNK_ALIGN);
    if (old)
        memcpy(p, old, old_bytes);
    return p;
}

char *arena_strdup(Arena *a, const char *text)
{
    return text ? arena_strndup(a, text, strlen(text)) : NULL;
}

char *arena_strndup(Arena *a, const char *text, size_t len)
{
    char *copy = arena_alloc_raw(a, len + 1, 1);

    if (len)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void *arena_memdup(Arena *a, const void *data, size_t len)
{
    void *copy = arena_alloc_raw(a, len, CHUNK_ALIGN);

    return len ? memcpy(copy, data, len) : copy;
}

char *arena_printf(Arena *a, const char *format, ...)
{
    char small[256], *text;
    va_list args, again;
    int len;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    if (len < 0)
        abort(); /* a format of ours that printf refuses */
    text = arena_alloc_raw(a, (size_t)len + 1, 1);
    if ((size_t)len < sizeof(small))
        memcpy(text, small, (size_t)len + 1);
    else
        (void)vsnprintf(text, (size_t)len + 1, format, again); /* measured above */
    va_end(again);
    return text;
}

size_t arena_used(const Arena *a)
{
    return a->used_bytes;
}
