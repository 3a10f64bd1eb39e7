/* store_audit: see store_audit.h. */
#include "services/chat/store_audit.h"

#include "services/chat/persons.h"

static const char INSERT_AUDIT[] =
    "INSERT INTO audit_entry (id, guild_id, user_id, target_id, action_type, reason, changes)"
    " VALUES ($1, $2, $3, $4, $5::bigint::smallint, $6, $7)";

Err chat_store_insert_audit(DbTx *tx, const AuditRow *row)
{
    return db_exec(tx, INSERT_AUDIT,
                   DB_ARGS(db_int64(row->id), db_int64(row->guild_id), db_int64(row->user_id), db_int64(row->target_id),
                           db_int64(row->action), db_text_or_null(row->reason), db_bytes(row->changes)));
}

/* $6: the oldest of what is after $5, for who reads upwards. */
#define AUDIT_PAGE(direction)                                                                                          \
    "SELECT e.id, e.user_id, e.target_id, e.action_type, e.reason, e.changes, " PERSON_COLUMNS(                        \
        "p") ", " PERSON_COLUMNS("t") " FROM ("                                                                        \
                                      "  SELECT * FROM audit_entry WHERE guild_id = $1 AND id < $4 AND id > $5"        \
                                      "   AND ($2 = 0 OR user_id = $2) AND ($3 = 0 OR action_type = $3)"               \
                                      "  ORDER BY id " direction " LIMIT $6"                                           \
                                      " ) e LEFT JOIN person p ON p.user_id = e.user_id"                               \
                                      " LEFT JOIN person t ON t.user_id = e.target_id ORDER BY e.id DESC"
static const char AUDIT_LATEST[] = AUDIT_PAGE("DESC");
static const char AUDIT_OLDEST[] = AUDIT_PAGE("ASC");
enum { ACTOR_AT = 6, TARGET_AT = ACTOR_AT + PERSON_COLUMN_COUNT };

static Err read_entry(Arena *mem, const DbRows *rows, int row, Chat__V1__AuditEntry *out)
{
    const Chat__V1__AuditChanges *changes;
    ProtobufCMessage *message;
    Slice stored = db_get_bytes(rows, row, 5);

    SET(out, id, db_get_int64(rows, row, 0));
    if (db_get_int64(rows, row, 1))
        SET(out, user_id, db_get_int64(rows, row, 1));
    if (db_get_int64(rows, row, 2))
        SET(out, target_id, db_get_int64(rows, row, 2));
    SET(out, action_type, (int32_t)db_get_int64(rows, row, 3));
    out->reason = db_get_cstr_or_null(mem, rows, row, 4);
    TRY(message_unpack(mem, &chat__v1__audit_changes__descriptor, stored, &message));
    changes = (const Chat__V1__AuditChanges *)message;
    out->changes = changes->changes;
    out->n_changes = changes->n_changes;
    return OK;
}

static void add_user(Chat__V1__AuditLog *out, Chat__V1__User *user)
{
    if (!user)
        return;
    for (size_t i = 0; i < out->n_users; i++)
        if (out->users[i]->id == user->id)
            return;
    out->users[out->n_users++] = user;
}

Err chat_store_audit_log(Request *rq, const Chat__V1__ListAuditLogRequest *in, int64_t limit, Chat__V1__AuditLog *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    bool upwards = in->has_after && !in->has_before;

    TRY(db_read(rq, upwards ? AUDIT_OLDEST : AUDIT_LATEST,
                DB_ARGS(db_int64(in->guild_id), db_int64(in->user_id), db_int64(in->action_type),
                        db_int64(in->has_before ? in->before : INT64_MAX), db_int64(in->has_after ? in->after : 0),
                        db_int64(limit)),
                &rows));
    out->audit_log_entries = ARENA_ARRAY(rq->mem, Chat__V1__AuditEntry *, rows.count + 1);
    out->users = ARENA_ARRAY(rq->mem, Chat__V1__User *, 2 * rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        out->audit_log_entries[i] = MESSAGE_NEW(rq->mem, Chat__V1__AuditEntry, chat__v1__audit_entry__init);
        TRY(read_entry(rq->mem, &rows, i, out->audit_log_entries[i]));
        add_user(out, persons_read(rq->mem, &rows, i, ACTOR_AT));
        add_user(out, persons_read(rq->mem, &rows, i, TARGET_AT));
    }
    out->n_audit_log_entries = (size_t)rows.count;
    return OK;
}
