/* store_read: see store_read.h. */
#include "services/events/store_read.h"

#include "services/events/rendered.h"

/* The document itself only where another one is known. */
#define DOCUMENT_COLUMNS                                                                                               \
    "version, rendered, lifecycle, CASE WHEN rendered <> $2 THEN doc END, name, created_at, updated_at, deleted_at, "  \
    "deletion_reason, superseded_by"
/* The next occurrence that is not over, else the last one. */
static const char EVENT[] =
    "SELECT " DOCUMENT_COLUMNS ", submitter_key, takedown_at IS NOT NULL, o.start_at, o.end_at, o.door_at"
    " FROM event e LEFT JOIN LATERAL ("
    "  (SELECT start_at, end_at, door_at FROM occurrence WHERE event_id = e.id AND coalesce(end_at, start_at) >= $3"
    "   ORDER BY start_at LIMIT 1)"
    "  UNION ALL"
    "  (SELECT start_at, end_at, door_at FROM occurrence WHERE event_id = e.id ORDER BY start_at DESC LIMIT 1)"
    "  LIMIT 1) o ON true"
    " WHERE e.id = $1";
static const char PLACE[] = "SELECT " DOCUMENT_COLUMNS " FROM place WHERE id = $1";
static const char ORGANIZATION[] = "SELECT " DOCUMENT_COLUMNS " FROM organization WHERE id = $1";

static Slice copied(Arena *mem, Slice text)
{
    return slice_of(arena_memdup(mem, text.ptr, text.len), text.len);
}

static void read_document(const Events *events, Arena *mem, const DbRows *rows, EntityKind kind, Uuid id, Slice known,
                          Document *out)
{
    Slice doc = db_is_null(rows, 0, 3) ? known : copied(mem, db_get_text(rows, 0, 3));

    *out = (Document){
        .kind = kind,
        .id = id,
        .version = db_get_int64(rows, 0, 0),
        .rendered = db_get_int64(rows, 0, 1),
        .doc = doc,
        .name = db_get_cstr(mem, rows, 0, 4),
        .submitter_key = "",
        .created_us = db_get_time_us(rows, 0, 5),
        .updated_us = db_get_time_us(rows, 0, 6),
        .deleted_us = db_get_time_us(rows, 0, 7),
        .deletion_reason = db_get_cstr(mem, rows, 0, 8),
        .superseded_by = db_is_null(rows, 0, 9) ? (Uuid){{0}} : db_get_uuid(rows, 0, 9),
    };
    if (!lifecycle_parse(db_get_text(rows, 0, 2), &out->lifecycle))
        out->lifecycle = LIFECYCLE_DRAFT; /* of a version to come: rather hidden than shown */
    if (!db_is_null(rows, 0, 3))
        rendered_keep(events->rendered, RENDERED_DOC, id, out->rendered, doc);
    if (kind != ENTITY_EVENT)
        return;
    out->submitter_key = db_get_cstr(mem, rows, 0, 10);
    out->withheld = db_get_bool(rows, 0, 11);
    out->start_us = db_get_time_us(rows, 0, 12);
    out->end_us = db_get_time_us(rows, 0, 13);
    out->door_us = db_get_time_us(rows, 0, 14);
}

Err events_store_document(Request *rq, EntityKind kind, Uuid id, int64_t now_us, Document *out)
{
    const Events *events = rq->service;
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice known = SLICE_LIT("");
    DbValue number = db_int64(rendered_find(events->rendered, rq->mem, RENDERED_DOC, id, &known));

    if (kind == ENTITY_EVENT)
        TRY(db_read(rq, EVENT, DB_ARGS(db_uuid(id), number, db_time_us(now_us)), &rows));
    else
        TRY(db_read(rq, kind == ENTITY_PLACE ? PLACE : ORGANIZATION, DB_ARGS(db_uuid(id), number), &rows));
    if (rows.count == 0)
        *out = (Document){.kind = kind};
    else
        read_document(events, rq->mem, &rows, kind, id, known, out);
    return OK;
}
