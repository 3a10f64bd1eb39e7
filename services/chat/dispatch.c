/* dispatch: from what a handler says to the row of the outbox. */
#include "services/chat/dispatch.h"

#include "atrium/options.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "services/chat/frames.h"

enum { MARK_BYTES = 12 };

/* --- topics ------------------------------------------------------------------------------------------------------ */
char *chat_topic_text(Arena *mem, ChatTopic topic)
{
    switch (topic.kind) {
    case CHAT_TOPIC_GUILD:
        return arena_printf(mem, "g.%" PRId64, topic.id);
    case CHAT_TOPIC_CHANNEL:
        return arena_printf(mem, "g.%" PRId64 ".c.%" PRId64, topic.guild_id, topic.id);
    case CHAT_TOPIC_USER:
        return arena_printf(mem, "u.%" PRId64, topic.id);
    case CHAT_TOPIC_DM:
        break;
    }
    return arena_printf(mem, "d.%" PRId64, topic.id);
}

/* What the topic's events are ordered by. */
static int64_t topic_key(ChatTopic topic)
{
    return topic.guild_id ? topic.guild_id : topic.id;
}

/* --- locks ------------------------------------------------------------------------------------------------------- */
/* The key is the bare number: guilds, channels and DMs are snowflakes, and a user's id is too short to be one. */
static Err lock_one(DbTx *tx, int64_t id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    return db_query(tx, "SELECT " CHAT_LOCK_SQL("$1::bigint"), DB_ARGS(db_int64(id)), &rows);
}

Err chat_lock_channel(DbTx *tx, int64_t guild_id, int64_t channel_id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    return db_query(tx, "SELECT " CHAT_LOCK_SHARED_SQL("$1::bigint") ", " CHAT_LOCK_SQL("$2::bigint"),
                    DB_ARGS(db_int64(guild_id), db_int64(channel_id)), &rows);
}

Err chat_lock_guild(DbTx *tx, int64_t guild_id)
{
    return lock_one(tx, guild_id);
}

Err chat_lock_dm(DbTx *tx, int64_t channel_id)
{
    return lock_one(tx, channel_id);
}

Err chat_lock_user(DbTx *tx, int64_t user_id)
{
    return lock_one(tx, user_id);
}

/* --- the message ------------------------------------------------------------------------------------------------- */
/* Every dialect but W, by number: a variant's list names those that it is for. */
static void set_dialects(Arena *mem, const ChatVariant *from, Atrium__DispatchVariant *to)
{
    static const uint32_t ALL[] = {ATRIUM__DIALECT__ATRIUM,       ATRIUM__DIALECT__RETROCAST,
                                   ATRIUM__DIALECT__MEDIAVAULT,   ATRIUM__DIALECT__STREAMSPACE,
                                   ATRIUM__DIALECT__TOGATHER,     ATRIUM__DIALECT__YOUTUBETALKER,
                                   ATRIUM__DIALECT__RETROCAST_WEB};

    assert(!from->web || !from->not_web);
    if (from->web) {
        to->dialects = arena_memdup(mem, &ALL[ARRAY_LEN(ALL) - 1], sizeof ALL[0]);
        to->n_dialects = 1;
    } else if (from->not_web) {
        to->dialects = arena_memdup(mem, ALL, sizeof ALL - sizeof ALL[0]);
        to->n_dialects = ARRAY_LEN(ALL) - 1;
    }
}

static Atrium__DispatchVariant *make_variant(Arena *mem, const ChatVariant *from)
{
    Atrium__DispatchVariant *to = MESSAGE_NEW(mem, Atrium__DispatchVariant, atrium__dispatch_variant__init);

    /* They are packed before chat_dispatch returns, and packing changes nothing. */
    to->users = (int64_t *)(uintptr_t)from->users;
    to->n_users = from->user_count;
    to->except_users = (int64_t *)(uintptr_t)from->except_users;
    to->n_except_users = from->except_user_count;
    set_dialects(mem, from, to);
    to->frames = chat_frames(mem, from->events, from->event_count);
    to->n_frames = from->event_count;
    return to;
}

static Atrium__AudienceChange *make_change(Arena *mem, const ChatAudienceChange *from)
{
    Atrium__AudienceChange *to = MESSAGE_NEW(mem, Atrium__AudienceChange, atrium__audience_change__init);

    to->users = (int64_t *)(uintptr_t)from->users;
    to->n_users = from->user_count;
    to->topic = (char *)(uintptr_t)from->topic;
    to->except_users = (int64_t *)(uintptr_t)from->except_users;
    to->n_except_users = from->except_user_count;
    to->join = (char **)(uintptr_t)from->join;
    to->n_join = from->join_count;
    to->leave = (char **)(uintptr_t)from->leave;
    to->n_leave = from->leave_count;
    if (from->exact)
        SET(to, exact, true);
    return to;
}

static Atrium__Dispatch *make_dispatch(Arena *mem, const ChatDispatch *d)
{
    Atrium__Dispatch *out = MESSAGE_NEW(mem, Atrium__Dispatch, atrium__dispatch__init);

    out->changes = ARENA_ARRAY(mem, Atrium__AudienceChange *, d->change_count);
    for (; out->n_changes < d->change_count; out->n_changes++)
        out->changes[out->n_changes] = make_change(mem, &d->changes[out->n_changes]);
    out->variants = ARENA_ARRAY(mem, Atrium__DispatchVariant *, d->variant_count + 1);
    for (; out->n_variants < d->variant_count; out->n_variants++)
        out->variants[out->n_variants] = make_variant(mem, &d->variants[out->n_variants]);
    if (d->event)
        out->variants[out->n_variants++] =
            make_variant(mem, &(ChatVariant){.events = &(ChatEvent){d->event, d->data}, .event_count = 1});
    out->mark = (char *)(uintptr_t)d->mark;
    return out;
}

Err chat_dispatch_row(Arena *mem, const ChatDispatch *d, OutboxRow *out)
{
    OutboxRow row = {.id = uuid_v4(),
                     .key = arena_printf(mem, "%" PRId64, topic_key(d->topic)),
                     .subject = arena_printf(mem, "dsp.chat.%s", chat_topic_text(mem, d->topic)),
                     .ce_type = "atrium.Dispatch"};

    assert(d->variant_count <= CHAT_VARIANTS_MAX);
    if (d->change_count > CHAT_CHANGES_MAX)
        return err_make(&INTERNAL, "a dispatch of %zu changes of audience", d->change_count);
    row.payload = message_pack(mem, &make_dispatch(mem, d)->base);
    if (row.payload.len > CHAT_DISPATCH_MAX_BYTES)
        return err_make(&INTERNAL, "a dispatch of %zu bytes", row.payload.len);
    *out = row;
    return OK;
}

Err chat_dispatch(DbTx *tx, Arena *mem, const ChatDispatch *d)
{
    OutboxRow row;

    TRY(chat_dispatch_row(mem, d, &row));
    return outbox_insert(tx, &row, false);
}

char *chat_mark(Arena *mem)
{
    uint8_t bytes[MARK_BYTES];

    random_bytes(bytes, sizeof bytes);
    return base64url_encode(mem, slice_of(bytes, sizeof bytes));
}

char *chat_primed_mark(Request *rq)
{
    return arena_printf(rq->mem, "primed.%s", rq->caller.login_id);
}

void chat_after_primed(Request *rq)
{
    if (strcmp(rq->profile, "chat-web") == 0)
        request_set_after(rq, arena_printf(rq->mem, "user:%s", chat_primed_mark(rq)));
}
