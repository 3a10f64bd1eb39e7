/* audit: see audit.h. */
#include "atrium/events/v1/admin.service.h"
#include "services/events/admin_pages.h"
#include "services/events/store_audit.h"
#include "shared/sha256.h"

/* ---------------------------------------------------------------------------------------------------- writing */
static Slice digest_of(Arena *mem, Slice document)
{
    uint8_t *digest;
    Sha256 sha;

    if (document.len == 0)
        return SLICE_LIT("");
    digest = arena_alloc(mem, SHA256_BYTES, 1);
    sha256_init(&sha);
    sha256_update(&sha, document);
    sha256_digest(&sha, digest);
    return slice_of(digest, SHA256_BYTES);
}

Err audit_note(Request *rq, DbTx *tx, const AuditNote *note)
{
    const Events *events = rq->service;
    AuditRow row = {.id = uuid_v7(events->ids),
                    .at_us = clock_unix_us(rq->clock),
                    .actor_id = rq->caller.user_id,
                    .action = note->action,
                    .target_kind = note->other_kind ? note->other_kind : entity_word(note->kind),
                    .target_id = note->other_kind ? uuid_text(rq->mem, note->target) : ulid_text(rq->mem, note->target),
                    .before_hash = digest_of(rq->mem, note->before),
                    .after_hash = digest_of(rq->mem, note->after),
                    .request_id = rq->id ? rq->id : ""};

    if (rq->caller.api_key)
        (void)uuid_parse(slice(rq->caller.login_id), &row.actor_key_id); /* else it stays nil */
    return events_store_insert_audit(tx, &row);
}

/* ---------------------------------------------------------------------------------------------------- reading */
static char *hex_or_absent(Arena *mem, Slice digest)
{
    return digest.len ? hex_encode(mem, digest) : NULL;
}

static Events__V1__EventAuditItem *answer_item(Arena *mem, const AuditRow *row)
{
    Events__V1__EventAuditItem *out = MESSAGE_NEW(mem, Events__V1__EventAuditItem, events__v1__event_audit_item__init);

    out->id = uuid_text(mem, row->id);
    out->at = timestamp_of(mem, row->at_us);
    out->actor_id = row->actor_id ? uuid_text(mem, uuid_from_user_id(row->actor_id)) : NULL;
    out->actor_key_id = uuid_is_nil(row->actor_key_id) ? NULL : uuid_text(mem, row->actor_key_id);
    out->action = arena_strdup(mem, row->action);
    out->target_kind = arena_strdup(mem, row->target_kind);
    out->target_id = arena_strdup(mem, row->target_id);
    out->before_hash = hex_or_absent(mem, row->before_hash);
    out->after_hash = hex_or_absent(mem, row->after_hash);
    out->request_id = text_or_absent(mem, row->request_id);
    return out;
}

static bool read_user_id(const char *text, int64_t *out)
{
    Uuid id;

    return uuid_parse(slice(text), &id) ? uuid_to_user_id(id, out) : slice_to_int64(slice(text), out);
}

Err events_v1_list_event_audit(Request *rq, const Events__V1__ListEventAuditRequest *in,
                               Events__V1__ListEventAuditReply *out)
{
    AuditFilter filter = {.target_id = in->target_id ? in->target_id : "", .action = in->action ? in->action : ""};
    AdminPage page;
    AuditRow *rows;
    size_t count;

    TRY(admin_page_parse(rq, in->has_limit, in->limit, in->after, &page));
    if (in->actor_id && in->actor_id[0] && !read_user_id(in->actor_id, &filter.actor_id))
        return err_make(&INVALID_ARGUMENT, "actor_id: not the id of a user");
    filter.before = page.after;
    filter.limit = page.limit + 1;
    TRY(events_store_audit(rq, &filter, &rows, &count));
    out->n_items = admin_page_shown(&page, count);
    out->items = ARENA_ARRAY(rq->mem, Events__V1__EventAuditItem *, out->n_items + 1);
    for (size_t i = 0; i < out->n_items; i++)
        out->items[i] = answer_item(rq->mem, &rows[i]);
    out->next_cursor =
        admin_page_next(rq->mem, &page, count, 0, out->n_items ? rows[out->n_items - 1].id : (Uuid){{0}});
    return OK;
}
