/* ring_frames: a dispatch as one connection sees it. */
#include "services/gateway/ring_internal.h"

static bool has_dialect(const Atrium__DispatchVariant *v, int dialect)
{
    for (size_t i = 0; i < v->n_dialects; i++)
        if (v->dialects[i] == (uint32_t)dialect)
            return true;
    return v->n_dialects == 0;
}

static bool fits(const Atrium__DispatchVariant *v, int64_t user, int dialect)
{
    return has_dialect(v, dialect) && (v->n_users == 0 || ring_users_have(v->users, v->n_users, user)) &&
           !ring_users_have(v->except_users, v->n_except_users, user);
}

/* The frames of a variant in a dialect, made when they are wanted first. */
static SharedFrame *const *frames_of(Ring *ring, RingEntry *entry, size_t variant, int dialect)
{
    const Atrium__DispatchVariant *v = entry->dispatch->variants[variant];
    size_t place = variant * DIALECT_COUNT + (size_t)dialect;
    SharedFrame **made = entry->made[place];

    if (made)
        return made;
    made = entry->made[place] = ARENA_ARRAY(entry->mem, SharedFrame *, v->n_frames + 1);
    for (size_t i = 0; i < v->n_frames; i++) {
        SharedFrame *frame = shared_frame_build(tables_types(ring->g->tables), dialect, v->frames[i], entry->position);
        size_t cost = frame ? sizeof(*frame) + frame->len : 0;

        made[i] = frame;
        entry->bytes += cost;
        ring->bytes += cost;
        if (!frame) {
            counter_add(ring->metrics.unreadable, 1);
            LOG_ERROR(ring->g->service->log, "dispatch_unwritable", "domain", ring->domain, "topic", entry->name,
                      "position", entry->position);
        }
    }
    return made;
}

void ring_write(Ring *ring, RingEntry *entry, RingSocket *rs)
{
    const Atrium__Dispatch *d = entry->dispatch;
    int64_t user = rs->follower.user;
    int dialect = socket_dialect(rs->socket);
    SharedFrame *const *frames;

    for (size_t i = 0; i < d->n_variants; i++) {
        if (!fits(d->variants[i], user, dialect))
            continue;
        frames = frames_of(ring, entry, i, dialect);
        for (size_t j = 0; j < d->variants[i]->n_frames; j++)
            if (frames[j] && socket_write_shared(rs->socket, frames[j], entry->position))
                counter_add(ring->metrics.writes, 1);
        return;
    }
}

void ring_free_frames(RingEntry *entry)
{
    const Atrium__Dispatch *d = entry->dispatch;

    for (size_t i = 0; i < d->n_variants * DIALECT_COUNT; i++)
        for (size_t j = 0; entry->made[i] && j < d->variants[i / DIALECT_COUNT]->n_frames; j++)
            shared_frame_unref(entry->made[i][j]);
}
