/* erase: see erase.h. */
#include "services/chat/erase.h"

#include "services/chat/members.h"
#include "services/chat/messages.h"
#include "services/chat/store_dms.h"
#include "services/chat/store_erase.h"
#include "services/chat/store_guilds.h"
#include "services/chat/tell.h"

enum { ERASE_TIMEOUT_MS = 30000 };

/* As himself: what he leaves, he leaves. */
static Request request_of(const Eraser *e, Arena *mem, int64_t user_id)
{
    return (Request){.mem = mem,
                     .service = e->chat,
                     .caller = {.kind = CALLER_SERVICE, .user_id = user_id, .service = "chat"},
                     .profile = "all",
                     .clock = e->clock,
                     .db = e->db,
                     .log = e->log,
                     .deadline_ms = clock_monotonic_ms(e->clock) + ERASE_TIMEOUT_MS};
}

static Err delete_guild(Request *rq, DbTx *tx, int64_t guild_id)
{
    TRY(chat_announce_guild_deleted(tx, rq->mem, guild_id));
    TRY(tell_guild_deleted(tx, rq, guild_id));
    return chat_store_delete_guild(tx, guild_id);
}

static Err pass_on(Request *rq, DbTx *tx, int64_t guild_id, int64_t heir)
{
    Chat__V1__Guild guild;
    Audience seen;

    TRY(audience_look(tx, rq->mem, guild_id, 0, heir, &seen));
    TRY(chat_store_update_guild(tx, rq->mem, guild_id, NULL, NULL, 0, heir, &guild));
    TRY(chat_announce_visibility(tx, rq->mem, &seen));
    return tell_guild(tx, rq, guild_id, "GUILD_UPDATE", &guild.base);
}

/* A guild of his passes to another member, and goes with him when there is none. */
static Err leave_guild(const Eraser *e, int64_t guild_id, int64_t user_id)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(e, mem, user_id);
    Standing standing;
    int64_t heir = 0;
    bool was;

    TRY(db_tx_begin(&rq, &tx));
    TRY(chat_lock_guild(&tx, guild_id));
    TRY(permissions_standing(&rq, &tx, guild_id, user_id, &standing));
    if (standing.is_owner)
        TRY(chat_store_heir(&tx, guild_id, user_id, &heir));
    if (standing.is_owner && !heir) {
        TRY(delete_guild(&rq, &tx, guild_id));
        return db_tx_commit(&tx);
    }
    if (standing.is_owner)
        TRY(pass_on(&rq, &tx, guild_id, heir));
    TRY(members_remove(&rq, &tx, guild_id, user_id, &was));
    return db_tx_commit(&tx);
}

static Err leave_dm(const Eraser *e, int64_t channel_id, int64_t user_id)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(e, mem, user_id);
    Chat__V1__DMChannel before, after;
    int left;

    TRY(db_tx_begin(&rq, &tx));
    TRY(chat_lock_dm(&tx, channel_id));
    TRY(chat_store_dm(&rq, &tx, channel_id, &before));
    TRY(chat_store_remove_recipient(&tx, channel_id, user_id, &left));
    TRY(chat_store_dm(&rq, &tx, channel_id, &after));
    TRY(chat_announce_dm_recipient_removed(&tx, mem, channel_id, user_id, left ? &after.base : NULL, &before.base));
    if (left == 0)
        TRY(chat_store_delete_dm(&tx, channel_id));
    return db_tx_commit(&tx);
}

/* His guilds, or his direct channels and groups. */
static Err leave_all(const Eraser *e, int64_t user_id, bool guilds, int64_t *rows)
{
    size_t count;

    do {
        CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
        Request rq = request_of(e, mem, user_id);
        int64_t *ids;

        TRY(guilds ? chat_store_guild_ids_of(&rq, user_id, &ids, &count)
                   : chat_store_dm_ids_of(&rq, user_id, &ids, &count));
        for (size_t i = 0; i < count; i++)
            TRY(guilds ? leave_guild(e, ids[i], user_id) : leave_dm(e, ids[i], user_id));
        *rows += (int64_t)count;
    } while (count == ERASE_BATCH);
    return OK;
}

static Err erase_messages(const Eraser *e, int64_t user_id, int64_t *rows)
{
    WrittenMessages written;

    do {
        CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
        Request rq = request_of(e, mem, user_id);

        TRY(chat_store_written_by(&rq, user_id, &written));
        if (written.count > 0)
            TRY(messages_erase(&rq, written.channel_id, written.guild_id, written.ids, written.count));
        *rows += (int64_t)written.count;
    } while (written.count > 0);
    return OK;
}

/* In small transactions, so that no lock lasts: stopped anywhere, the next call goes on. */
Err erase_user(void *context, Arena *mem, int64_t user_id, int64_t *out_rows)
{
    const Eraser *e = context;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(e, mem, user_id);
    int64_t rows = 0, rest;

    TRY(leave_all(e, user_id, true, &rows));
    TRY(leave_all(e, user_id, false, &rows));
    TRY(erase_messages(e, user_id, &rows));
    TRY(db_tx_begin(&rq, &tx));
    TRY(chat_store_erase_rest(&tx, user_id, &rest));
    TRY(db_tx_commit(&tx));
    outbox_nudge(e->chat->outbox);
    *out_rows = rows + rest;
    return OK;
}
