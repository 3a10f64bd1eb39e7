/* audit: who changed what. */
#include "services/auth/audit.h"

#include <jansson.h>

#include "atrium/auth/v1/admin.service.h"
#include "services/auth/events.h"
#include "services/auth/pages.h"
#include "services/auth/store_audit.h"

enum { DETAIL_MAX_BYTES = 4096 };

/* ---------------------------------------------------------------------------------------------------- writing */
const char *audit_action_name(AuditAction action)
{
#define AUDIT_ACTION_NAME(id, name) [AUDIT_##id] = name,
    static const char *const NAMES[] = {AUDIT_ACTIONS(AUDIT_ACTION_NAME)};

    return NAMES[action];
}

char *audit_detail_of(Arena *mem, const char *const *pairs, size_t count)
{
    StrBuf b = strbuf_new(mem, DETAIL_MAX_BYTES);
    const char *separator = "";
    Slice text;

    strbuf_append_char(&b, '{');
    for (size_t i = 0; i < count; i++) {
        if (!pairs[2 * i + 1])
            continue;
        strbuf_append_cstr(&b, separator);
        strbuf_append_json(&b, slice(pairs[2 * i]));
        strbuf_append_char(&b, ':');
        strbuf_append_json(&b, slice(pairs[2 * i + 1]));
        separator = ",";
    }
    strbuf_append_char(&b, '}');
    return arena_strdup(mem, strbuf_finish(&b, &text) ? text.ptr : "{}");
}

Err audit_insert(DbTx *tx, const Request *rq, AuditAction action, const char *target_kind, const char *target_id,
                 const char *detail_json)
{
    const Auth *auth = rq->service;
    const Caller *caller = &rq->caller;
    Uuid id;
    AuditRow row = {
        .id = uuid_v7(auth->ids),
        .at_us = clock_unix_us(rq->clock),
        .actor_id = caller->kind == CALLER_PERSON ? caller->user_id : 0,
        .action = audit_action_name(action),
        .target_kind = target_kind,
        .target_id = target_id,
        .detail = detail_json ? detail_json : "{}",
        .address = rq->client_address,
        .request_id = rq->id,
    };

    if (uuid_parse(slice(caller->login_id), &id))
        *(caller->api_key ? &row.actor_key_id : &row.login_id) = id;
    return auth_store_insert_audit(tx, &row);
}

Err audit_insert_user(DbTx *tx, const Request *rq, AuditAction action, int64_t user_id, const char *detail_json)
{
    return audit_insert(tx, rq, action, "user", arena_printf(rq->mem, "%" PRId64, user_id), detail_json);
}

/* ---------------------------------------------------------------------------------------------------- reading */
/* Objects of texts, as audit_detail makes them; anything else is left out. */
static Struct *detail_struct(Arena *mem, const char *text)
{
    Struct *out = struct_new(mem);
    json_t *object = json_loads(text, 0, NULL), *value;
    const char *name;

    json_object_foreach(object, name, value) if (json_is_string(value))
        struct_set_text(mem, out, name, json_string_value(value));
    json_decref(object);
    return out;
}

/* Users in the form that this contract has for ids. */
static char *target_text(Arena *mem, const AuditRow *row)
{
    int64_t user_id;

    if (strcmp(row->target_kind, "user") == 0 && user_id_parse(slice(row->target_id), &user_id))
        return user_id_text(mem, user_id);
    return arena_strdup(mem, row->target_id);
}

static Auth__V1__AuditItem *answer_item(Arena *mem, const AuditRow *row)
{
    Auth__V1__AuditItem *out = MESSAGE_NEW(mem, Auth__V1__AuditItem, auth__v1__audit_item__init);

    out->id = uuid_text(mem, row->id);
    out->at = timestamp(mem, row->at_us);
    out->actor_id = row->actor_id ? user_id_text(mem, row->actor_id) : NULL;
    out->actor_key_id = uuid_is_nil(row->actor_key_id) ? NULL : uuid_text(mem, row->actor_key_id);
    out->action = arena_strdup(mem, row->action);
    out->target_kind = arena_strdup(mem, row->target_kind);
    out->target_id = target_text(mem, row);
    out->detail = detail_struct(mem, row->detail);
    out->address = arena_strdup(mem, row->address);
    out->request_id = arena_strdup(mem, row->request_id);
    return out;
}

static Err list(Request *rq, const Page *page, AuditFilter *filter, Auth__V1__AuditReply *out)
{
    AuditRow *rows;
    size_t count;

    filter->before = page->after;
    filter->limit = page->limit + 1;
    TRY(auth_store_list_audit(rq, filter, &rows, &count));
    out->n_items = page_shown(page, count);
    out->items = ARENA_ARRAY(rq->mem, Auth__V1__AuditItem *, out->n_items + 1);
    for (size_t i = 0; i < out->n_items; i++)
        out->items[i] = answer_item(rq->mem, &rows[i]);
    out->next_cursor = page_next(rq->mem, page, count, out->n_items ? rows[out->n_items - 1].id : (Uuid){{0}});
    return OK;
}

Err auth_v1_list_audit(Request *rq, const Auth__V1__ListAuditRequest *in, Auth__V1__AuditReply *out)
{
    AuditFilter filter = {.action = in->action, .target_id = in->target_id};
    int64_t user_id;
    Page page;

    TRY(page_parse(rq, in->has_limit, in->limit, in->after, &page));
    if (in->actor_id && !user_id_parse(slice(in->actor_id), &filter.actor_id))
        return err_make(&INVALID_ARGUMENT, "actor_id: not the id of a user");
    if (in->target_id && user_id_parse(slice(in->target_id), &user_id))
        filter.target_id = arena_printf(rq->mem, "%" PRId64, user_id);
    return list(rq, &page, &filter, out);
}

/* What he did and what was done to him; of an erased one, the latter. */
Err auth_v1_admin_user_activity(Request *rq, const Auth__V1__AdminUserActivityRequest *in, Auth__V1__AuditReply *out)
{
    AuditFilter filter = {.action = NULL};
    Page page;

    TRY(page_parse(rq, in->has_limit, in->limit, in->after, &page));
    if (!user_id_parse(slice(in->user_id), &filter.concerned_id))
        return err_make(&INVALID_ARGUMENT, "user_id: not the id of a user");
    return list(rq, &page, &filter, out);
}
