/* rendered: see rendered.h. A table of chains, and all texts in a ring by their use. */
#include "services/events/rendered.h"

#include <pthread.h>

#include "services/events/filters.h"

enum { CHAINS = 4096, LARGE_SHARE = 8 };

typedef struct Kept Kept;
struct Kept {
    Kept *next;          /* of its chain */
    Kept *newer, *older; /* of the ring */
    Uuid id;
    RenderedForm form;
    int64_t number;
    size_t len;
    char text[];
};

struct Rendered {
    pthread_mutex_t lock;
    size_t max_bytes, bytes;
    Kept ring; /* ring.older is the newest, ring.newer the oldest */
    Kept *chains[CHAINS];
};

Rendered *rendered_new(size_t max_bytes)
{
    Rendered *r;

    if (max_bytes == 0)
        return NULL;
    r = xcalloc(1, sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    r->max_bytes = max_bytes;
    r->ring.newer = r->ring.older = &r->ring;
    return r;
}

/* --- with the lock ----------------------------------------------------------------------------------------------- */
static size_t chain_of(RenderedForm form, Uuid id)
{
    return (size_t)(hash_bytes(HASH_START, id.bytes, sizeof(id.bytes)) + (uint64_t)form) % CHAINS;
}

/* Where the pointer to it stands. */
static Kept **find(Rendered *r, RenderedForm form, Uuid id)
{
    Kept **at = &r->chains[chain_of(form, id)];

    while (*at && ((*at)->form != form || memcmp((*at)->id.bytes, id.bytes, sizeof(id.bytes)) != 0))
        at = &(*at)->next;
    return at;
}

static void leave_ring(Kept *kept)
{
    kept->newer->older = kept->older;
    kept->older->newer = kept->newer;
}

static void join_ring(Rendered *r, Kept *kept)
{
    kept->newer = &r->ring;
    kept->older = r->ring.older;
    kept->older->newer = kept;
    r->ring.older = kept;
}

static void drop(Rendered *r, Kept **at)
{
    Kept *kept = *at;

    *at = kept->next;
    leave_ring(kept);
    r->bytes -= sizeof(*kept) + kept->len;
    free(kept);
}

/* --- for everybody ----------------------------------------------------------------------------------------------- */
void rendered_free(Rendered *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < CHAINS; i++)
        while (r->chains[i])
            drop(r, &r->chains[i]);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

int64_t rendered_find(Rendered *r, Arena *mem, RenderedForm form, Uuid id, Slice *out)
{
    int64_t number = 0;
    Kept *kept;

    if (!r)
        return 0;
    pthread_mutex_lock(&r->lock);
    kept = *find(r, form, id);
    if (kept) {
        number = kept->number;
        *out = slice_of(arena_memdup(mem, kept->text, kept->len), kept->len);
        leave_ring(kept);
        join_ring(r, kept);
    }
    pthread_mutex_unlock(&r->lock);
    return number;
}

void rendered_keep(Rendered *r, RenderedForm form, Uuid id, int64_t number, Slice text)
{
    Kept *kept, **at;

    if (!r || text.len > r->max_bytes / LARGE_SHARE)
        return;
    kept = xmalloc(sizeof(*kept) + text.len);
    *kept = (Kept){.id = id, .form = form, .number = number, .len = text.len};
    memcpy(kept->text, text.ptr, text.len);
    pthread_mutex_lock(&r->lock);
    at = find(r, form, id);
    if (*at)
        drop(r, at);
    while (r->bytes && r->bytes + sizeof(*kept) + text.len > r->max_bytes)
        drop(r, find(r, r->ring.newer->form, r->ring.newer->id));
    at = &r->chains[chain_of(form, id)];
    kept->next = *at;
    *at = kept;
    join_ring(r, kept);
    r->bytes += sizeof(*kept) + text.len;
    pthread_mutex_unlock(&r->lock);
}
