#include "services/media/access.h"

#include <pthread.h>

typedef struct Slot {
    char key[ACCESS_KEY_BYTES]; /* what of the ticket the answer depends on */
    StreamAccess access;
    int64_t until_ms; /* monotonic; 0: empty */
} Slot;

/* One slot for each hash; who comes later has it. */
struct AccessCache {
    pthread_mutex_t lock;
    Slot slots[ACCESS_SLOTS];
};

AccessCache *access_cache_new(void)
{
    AccessCache *c = xcalloc(1, sizeof(*c));

    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void access_cache_free(AccessCache *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static bool key_of(const Ticket *ticket, char key[ACCESS_KEY_BYTES])
{
    int len = snprintf(key, ACCESS_KEY_BYTES, "%" PRId64 " %" PRIu64 " %s", ticket->user_id, ticket->generation,
                       ticket->resource);

    return len > 0 && len < ACCESS_KEY_BYTES;
}

static Slot *slot_of(AccessCache *c, const char *key)
{
    uint64_t hash = 0xcbf29ce484222325U; /* FNV-1a: keys are of our own making */

    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 0x100000001b3U;
    return &c->slots[hash % ACCESS_SLOTS];
}

static bool look_up(AccessCache *c, const char *key, int64_t now_ms, StreamAccess *out)
{
    const Slot *slot = slot_of(c, key);
    bool found;

    pthread_mutex_lock(&c->lock);
    found = slot->until_ms > now_ms && strcmp(slot->key, key) == 0;
    if (found)
        *out = slot->access;
    pthread_mutex_unlock(&c->lock);
    return found;
}

static void keep(AccessCache *c, const char *key, int64_t until_ms, const StreamAccess *access)
{
    Slot *slot = slot_of(c, key);

    pthread_mutex_lock(&c->lock);
    memcpy(slot->key, key, ACCESS_KEY_BYTES);
    slot->access = *access;
    slot->until_ms = until_ms;
    pthread_mutex_unlock(&c->lock);
}

Err access_stream(Request *rq, const Ticket *ticket, StreamAccess *out)
{
    AccessCache *c = ((const Media *)rq->service)->access;
    int64_t now_ms = clock_monotonic_ms(rq->clock); /* before the question: the answer is no older than this */
    char key[ACCESS_KEY_BYTES] = "";
    bool keyed = key_of(ticket, key);
    ItemRow item;

    if (keyed && look_up(c, key, now_ms, out))
        return OK;
    TRY(permit_ticket(rq, ticket, &item));
    *out = (StreamAccess){item.rendition_media_id, item.rendition_generation};
    if (keyed)
        keep(c, key, now_ms + ACCESS_TTL_MS, out);
    return OK;
}
