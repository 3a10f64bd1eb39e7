#include "services/media/access.h"

#include <pthread.h>

#include "services/media/store_uploads.h"

typedef struct Slot {
    Access access;
    int64_t until_ms; /* monotonic; 0: empty */
} Slot;

/* A slot for each item by its random bits; who comes later has it. */
struct AccessCache {
    pthread_mutex_t lock;
    Slot slots[ACCESS_ITEMS_MAX];
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

static Slot *slot_of(AccessCache *c, Uuid id)
{
    uint32_t random;

    memcpy(&random, id.bytes + 12, sizeof(random)); /* of a version 7, the end is random */
    return &c->slots[random % ACCESS_ITEMS_MAX];
}

static bool look_up(AccessCache *c, Uuid id, int64_t now_ms, Access *out)
{
    const Slot *slot = slot_of(c, id);
    bool found;

    pthread_mutex_lock(&c->lock);
    found = slot->until_ms > now_ms && memcmp(&slot->access.media_id, &id, sizeof(id)) == 0;
    if (found)
        *out = slot->access;
    pthread_mutex_unlock(&c->lock);
    return found;
}

Err access_of_item(Request *rq, Uuid media_id, Access *out)
{
    AccessCache *c = ((const Media *)rq->service)->access;
    int64_t now_ms = clock_monotonic_ms(rq->clock); /* before the question: the answer is not older than this */
    ItemRow item;

    if (look_up(c, media_id, now_ms, out))
        return OK;
    TRY(media_store_item(rq, media_id, &item));
    *out = (Access){
        .media_id = media_id,
        .there = !uuid_is_nil(item.id) && !item.deleted_us,
        .owner_id = item.owner_id,
        .generation = item.access_generation,
        .rendition_media_id = item.rendition_media_id,
        .rendition_generation = item.rendition_generation,
    };
    pthread_mutex_lock(&c->lock);
    *slot_of(c, media_id) = (Slot){*out, now_ms + ACCESS_TTL_MS};
    pthread_mutex_unlock(&c->lock);
    return OK;
}
