/* store_audit: see store_audit.h. */
#include "services/auth/store_audit.h"

#include "services/auth/pages.h"

static DbValue uuid_or_null(Uuid id)
{
    return uuid_is_nil(id) ? db_null() : db_uuid(id);
}

static DbValue id_or_null(int64_t id)
{
    return id ? db_int64(id) : db_null();
}

static const char INSERT_AUDIT[] =
    "INSERT INTO audit_entry (id, at, actor_id, actor_key_id, action, target_kind, target_id, detail, address,"
    "  request_id) VALUES ($1, $2, coalesce((SELECT impersonator_id FROM login WHERE id = $11), $3), $4, $5, $6, $7, "
    "$8::text::jsonb, $9, $10)";

Err auth_store_insert_audit(DbTx *tx, const AuditRow *row)
{
    return db_exec(tx, INSERT_AUDIT,
                   DB_ARGS(db_uuid(row->id), db_time_us(row->at_us), id_or_null(row->actor_id),
                           uuid_or_null(row->actor_key_id), db_text(slice(row->action)),
                           db_text(slice(row->target_kind)), db_text(slice(row->target_id)),
                           db_text(slice(row->detail)), db_text(slice(row->address)), db_text(slice(row->request_id)),
                           uuid_or_null(row->login_id)));
}

#define LIST_AUDIT(which)                                                                                              \
    "SELECT id, at, actor_id, actor_key_id, action, target_kind, target_id, detail::text, address, request_id"         \
    " FROM audit_entry WHERE ($1::uuid IS NULL OR id < $1) AND ($3::text IS NULL OR action = $3)"                      \
    "  AND ($4::text IS NULL OR target_id = $4) AND ($5::bigint IS NULL OR actor_id = $5)" which                       \
    " ORDER BY id DESC LIMIT $2"
static const char LIST_ALL[] = LIST_AUDIT("");
static const char LIST_CONCERNED[] =
    LIST_AUDIT(" AND (actor_id = $6 OR (target_kind = 'user' AND target_id = $6::text))");

static AuditRow read_row(Arena *mem, const DbRows *rows, int row)
{
    return (AuditRow){
        .id = db_get_uuid(rows, row, 0),
        .at_us = db_get_time_us(rows, row, 1),
        .actor_id = db_get_int64(rows, row, 2),
        .actor_key_id = db_is_null(rows, row, 3) ? (Uuid){{0}} : db_get_uuid(rows, row, 3),
        .action = db_get_cstr(mem, rows, row, 4),
        .target_kind = db_get_cstr(mem, rows, row, 5),
        .target_id = db_get_cstr(mem, rows, row, 6),
        .detail = db_get_cstr(mem, rows, row, 7),
        .address = db_get_cstr(mem, rows, row, 8),
        .request_id = db_get_cstr(mem, rows, row, 9),
    };
}

Err auth_store_list_audit(Request *rq, const AuditFilter *filter, AuditRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DbValue args[] = {uuid_or_null(filter->before),       db_int64(filter->limit),      db_text_or_null(filter->action),
                      db_text_or_null(filter->target_id), id_or_null(filter->actor_id), db_int64(filter->concerned_id)};
    AuditRow *list;

    if (filter->concerned_id)
        TRY(db_read(rq, LIST_CONCERNED, (DbArgs){args, ARRAY_LEN(args)}, &rows));
    else
        TRY(db_read(rq, LIST_ALL, (DbArgs){args, ARRAY_LEN(args) - 1}, &rows));
    list = ARENA_ARRAY(rq->mem, AuditRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        list[i] = read_row(rq->mem, &rows, i);
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}
