#include "services/media/writers.h"

#include <pthread.h>

#include "services/media/store_uploads.h"
#include "shared/lease.h"

typedef struct Sitting {
    Uuid upload_id;
    struct Sitting *next;
} Sitting;

struct Writers {
    Uuid name;
    Lease *lease;
    pthread_mutex_t lock;
    Sitting *sittings; /* of this process: as many as there are connections, at most */
};

Writers *writers_new(Db *db, Log *log, IdSource *ids)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Writers *w = xcalloc(1, sizeof(*w));

    w->name = uuid_v7(ids);
    w->lease = lease_new(db, log, arena_printf(mem, WRITER_LEASE "%s", uuid_text(mem, w->name)), WRITERS_LEASE_MS);
    pthread_mutex_init(&w->lock, NULL);
    return w;
}

static void end_here(Writers *w, Uuid upload_id)
{
    Sitting **at, *gone;

    pthread_mutex_lock(&w->lock);
    for (at = &w->sittings; memcmp(&(*at)->upload_id, &upload_id, sizeof(upload_id)) != 0;)
        at = &(*at)->next;
    gone = *at;
    *at = gone->next;
    pthread_mutex_unlock(&w->lock);
    free(gone);
}

void writers_free(Writers *w)
{
    if (!w)
        return;
    lease_free(w->lease);
    while (w->sittings)
        end_here(w, w->sittings->upload_id);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static bool begin_here(Writers *w, Uuid upload_id)
{
    Sitting *mine = xcalloc(1, sizeof(*mine));
    bool taken = false;

    mine->upload_id = upload_id;
    pthread_mutex_lock(&w->lock);
    for (const Sitting *s = w->sittings; s && !taken; s = s->next)
        taken = memcmp(&s->upload_id, &upload_id, sizeof(upload_id)) == 0;
    if (!taken) {
        mine->next = w->sittings;
        w->sittings = MOVE(mine);
    }
    pthread_mutex_unlock(&w->lock);
    free(mine);
    return !taken;
}

static Err claim(Writers *w, Request *rq, Uuid upload_id)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool claimed;

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_claim_upload(&tx, upload_id, w->name, &claimed));
    TRY(db_tx_commit(&tx));
    return claimed ? OK : err_make(&CONFLICT, "another instance has this upload");
}

Err writers_take(Writers *w, Request *rq, Uuid upload_id)
{
    Err e;

    if (!lease_held(w->lease))
        return err_make(&CONFLICT, "this instance cannot write yet");
    if (!begin_here(w, upload_id))
        return err_make(&CONFLICT, "another request has this upload");
    e = claim(w, rq, upload_id);
    if (err_failed(e))
        end_here(w, upload_id);
    return e;
}

Err writers_check(const Writers *w)
{
    return lease_held(w->lease) ? OK : err_make(&UNAVAILABLE, "another instance may have this upload by now");
}

static Err disclaim(Writers *w, Request *rq, Uuid upload_id)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_disclaim_upload(&tx, upload_id, w->name));
    return db_tx_commit(&tx);
}

/* In this order: until the row is written, nobody here begins with it. */
void writers_leave(Writers *w, Request *rq, Uuid upload_id)
{
    err_ignore(disclaim(w, rq, upload_id)); /* the next sitting here does it */
    end_here(w, upload_id);
}
