/* sources: where events come from, and how far each is trusted (contract 13, B15). */
#include "services/events/admin_events.h"
#include "services/events/audit.h"
#include "services/events/store_admin.h"
#include "services/events/text.h"

enum { SOURCE_NAME_MAX_CHARS = 200, LICENSE_MAX_CHARS = 500, TRUST_MAX = 10 };

static void answer_source(Arena *mem, const AdminSourceRow *row, Events__V1__Source *out)
{
    out->id = uuid_text(mem, row->id);
    out->name = arena_strdup(mem, row->name);
    out->type = arena_strdup(mem, row->type);
    out->base_url = text_or_absent(mem, row->base_url);
    SET(out, trust_level, row->trust);
    out->license = text_or_absent(mem, row->license);
    SET(out, event_count, row->events);
}

Err events_v1_list_sources(Request *rq, const Events__V1__ListSourcesRequest *in, Events__V1__ListSourcesReply *out)
{
    AdminSourceRow *rows;
    AdminPage page;
    size_t count;

    TRY(admin_page_parse(rq, in->has_limit, in->limit, in->after, &page));
    TRY(events_store_sources(rq, &page, &rows, &count));
    out->n_items = admin_page_shown(&page, count);
    out->items = ARENA_ARRAY(rq->mem, Events__V1__Source *, out->n_items + 1);
    for (size_t i = 0; i < out->n_items; i++) {
        out->items[i] = MESSAGE_NEW(rq->mem, Events__V1__Source, events__v1__source__init);
        answer_source(rq->mem, &rows[i], out->items[i]);
    }
    out->next_cursor =
        admin_page_next(rq->mem, &page, count, 0, out->n_items ? rows[out->n_items - 1].id : (Uuid){{0}});
    return OK;
}

static Err check_source(Request *rq, const Events__V1__UpdateSourceRequest *in, Uuid *id, const char **name)
{
    if (!in->id || !uuid_parse(slice(in->id), id)) {
        request_add_violation(rq, ATRIUM__PART__PATH, "id", "uuid", "the UUID of a source");
        return err_make(&INVALID_ID, "the id is no UUID");
    }
    *name = in->name ? slice_cstr(rq->mem, text_clean(rq->mem, slice(in->name), TEXT_LINE)) : NULL;
    if (*name && !(*name)[0])
        request_add_violation(rq, ATRIUM__PART__BODY, "name", "missing", "a name");
    check_length(rq, "name", *name, SOURCE_NAME_MAX_CHARS);
    check_length(rq, "license", in->license, LICENSE_MAX_CHARS);
    if (in->has_trust_level && (in->trust_level < 1 || in->trust_level > TRUST_MAX))
        request_add_violation(rq, ATRIUM__PART__BODY, "trust_level", "out_of_range", "1 to %d", TRUST_MAX);
    return request_has_violations(rq) ? err_make(&INVALID_ARGUMENT, "the source cannot be changed so") : OK;
}

/* What follows from another trust is decided in the background (housekeeping.h), event by event. */
Err events_v1_update_source(Request *rq, const Events__V1__UpdateSourceRequest *in, Events__V1__Source *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    AdminSourceRow row;
    const char *name = NULL;
    Uuid id;

    TRY(check_source(rq, in, &id, &name));
    TRY(db_tx_begin(rq, &tx));
    TRY(events_store_source(&tx, rq->mem, id, &row));
    if (uuid_is_nil(row.id))
        return err_make(&NOT_FOUND, "there is no such source");
    TRY(events_store_update_source(&tx, id, name, in->license, in->has_trust_level ? in->trust_level : 0));
    if (in->has_trust_level && in->trust_level != row.trust)
        TRY(events_store_trust_changed(&tx, id));
    TRY(events_store_source(&tx, rq->mem, id, &row));
    TRY(audit_note(rq, &tx, &(AuditNote){.action = "source.updated", .other_kind = "source", .target = id}));
    TRY(db_tx_commit(&tx));
    answer_source(rq->mem, &row, out);
    return OK;
}
