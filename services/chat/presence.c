/* presence: see presence.h. */
#include "services/chat/presence.h"

#include "services/chat/store_live.h"

enum { SWEEP_TIMEOUT_MS = 10000 };

const ProtobufCMessage *presence_update(Arena *mem, int64_t user_id, Status shown)
{
    Chat__V1__PresenceUpdate *update = MESSAGE_NEW(mem, Chat__V1__PresenceUpdate, chat__v1__presence_update__init);

    SET(update, user_id, user_id);
    update->status = (char *)(uintptr_t)status_name(shown);
    return &update->base;
}

/* A dispatch for each guild, see presence.h. */
static Err tell(DbTx *tx, Arena *mem, int64_t user_id, Status shown)
{
    ChatEvent event = {"PRESENCE_UPDATE", presence_update(mem, user_id, shown)};
    PresenceAudience *list;
    size_t count, next;

    TRY(chat_store_presence_audience(tx, mem, user_id, &list, &count));
    for (size_t i = 0; i < count; i = next) {
        int64_t *except = ARENA_ARRAY(mem, int64_t, count);
        ChatVariant variant = {.except_users = except, .events = &event, .event_count = 1};

        for (next = i; next < count && list[next].guild_id == list[i].guild_id; next++)
            if (list[next].except_user_id)
                except[variant.except_user_count++] = list[next].except_user_id;
        TRY(chat_dispatch(
            tx, mem,
            &(ChatDispatch){.topic = chat_guild_topic(list[i].guild_id), .variants = &variant, .variant_count = 1}));
    }
    return OK;
}

/* Under his lock. */
static Err refresh(DbTx *tx, Arena *mem, int64_t user_id)
{
    Status was, is;

    TRY(chat_store_refresh_presence(tx, user_id, &was, &is));
    return was == is ? OK : tell(tx, mem, user_id, is);
}

static const char *edge_of(Arena *mem, const char *connection)
{
    const char *dot = strrchr(connection, '.');

    return dot ? arena_strndup(mem, connection, (size_t)(dot - connection)) : connection;
}

Err presence_connected(DbTx *tx, Arena *mem, const char *connection, int64_t user_id, Status status)
{
    TRY(chat_lock_user(tx, user_id));
    TRY(chat_store_put_connection(tx, connection, edge_of(mem, connection), user_id, status));
    return refresh(tx, mem, user_id);
}

/* Whoever is shown as offline while his presence stands has chosen to be. */
Err presence_resumed(DbTx *tx, Arena *mem, const char *connection, int64_t user_id, Status *out_status)
{
    bool stands;
    Status shown;

    TRY(chat_lock_user(tx, user_id));
    TRY(chat_store_presence(tx, user_id, &stands, &shown));
    *out_status = !stands ? STATUS_ONLINE : shown == STATUS_OFFLINE ? STATUS_INVISIBLE : shown;
    TRY(chat_store_put_connection(tx, connection, edge_of(mem, connection), user_id, *out_status));
    return refresh(tx, mem, user_id);
}

Err presence_disconnected(DbTx *tx, Arena *mem, const char *connection)
{
    int64_t user_id, dropped;

    TRY(chat_store_connection_user(tx, connection, &user_id));
    if (!user_id)
        return OK;
    TRY(chat_lock_user(tx, user_id));
    TRY(chat_store_drop_connection(tx, connection, &dropped));
    return dropped ? refresh(tx, mem, user_id) : OK;
}

Err presence_renew(DbTx *tx, const char *edge, int64_t lease_ms)
{
    return chat_store_renew_edge(tx, edge, lease_ms);
}

/* --- the sweep --------------------------------------------------------------------------------------------------- */
/* Who connected just when his grace ended has his row put right. */
static Err go_offline(DbTx *tx, Arena *mem, int64_t user_id)
{
    Status was;
    bool ended;

    TRY(chat_store_end_presence(tx, user_id, &ended, &was));
    if (!ended)
        return refresh(tx, mem, user_id);
    return was == STATUS_OFFLINE ? OK : tell(tx, mem, user_id, STATUS_OFFLINE);
}

/* One user's own transaction: his lock is held for no longer than it takes. */
static Err settle_user(Db *db, Arena *mem, int64_t user_id, bool leaves)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin_with(db, SWEEP_TIMEOUT_MS, &tx));
    TRY(chat_lock_user(&tx, user_id));
    TRY(leaves ? go_offline(&tx, mem, user_id) : refresh(&tx, mem, user_id));
    return db_tx_commit(&tx);
}

static Err end_edges(Db *db, Arena *mem, int64_t **out_users, size_t *out_count)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin_with(db, SWEEP_TIMEOUT_MS, &tx));
    TRY(chat_store_end_edges(&tx, mem, out_users, out_count));
    return db_tx_commit(&tx);
}

static Err due(Db *db, Arena *mem, int64_t **out_users, size_t *out_count)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin_with(db, SWEEP_TIMEOUT_MS, &tx));
    TRY(chat_store_due_presences(&tx, mem, out_users, out_count));
    return db_tx_commit(&tx);
}

Err presence_sweep(Db *db, Log *log, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    int64_t *users;
    size_t count, ended;

    TRY(end_edges(db, mem, &users, &ended));
    if (ended)
        LOG_WARN(log, "edge_lease_over", "users", (int64_t)ended);
    for (size_t i = 0; i < ended; i++)
        TRY(settle_user(db, mem, users[i], false));
    TRY(due(db, mem, &users, &count));
    for (size_t i = 0; i < count; i++)
        TRY(settle_user(db, mem, users[i], true));
    *out_more = count == PRESENCE_SWEEP_MAX || ended > 0;
    return OK;
}
