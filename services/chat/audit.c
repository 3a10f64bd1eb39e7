/* audit: see audit.h. */
#include "services/chat/audit.h"

#include "atrium/chat/v1/guilds.service.h"
#include "services/chat/permissions.h"
#include "services/chat/store_audit.h"
#include "shared/routes.h"

/* --- writing -------------------------------------------------------------------------------------------------------
 */
static Google__Protobuf__Value *text_value(Arena *mem, const char *text)
{
    Google__Protobuf__Value *v = MESSAGE_NEW(mem, Google__Protobuf__Value, google__protobuf__value__init);

    v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    v->string_value = arena_strdup(mem, text);
    return v;
}

static Google__Protobuf__Value *number_value(Arena *mem, int64_t number)
{
    Google__Protobuf__Value *v = MESSAGE_NEW(mem, Google__Protobuf__Value, google__protobuf__value__init);

    if (number == AUDIT_ABSENT)
        return NULL;
    v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    v->number_value = (double)number;
    return v;
}

static void add(Audit *audit, const char *key, Google__Protobuf__Value *before, Google__Protobuf__Value *after)
{
    Chat__V1__AuditChange *change = MESSAGE_NEW(audit->rq->mem, Chat__V1__AuditChange, chat__v1__audit_change__init);

    assert(audit->count < AUDIT_CHANGES_MAX);
    change->key = (char *)key;
    change->old_value = before;
    change->new_value = after;
    audit->changes[audit->count++] = change;
}

void audit_text(Audit *audit, const char *key, const char *before, const char *after)
{
    Arena *mem = audit->rq->mem;

    if (before == after || (before && after && strcmp(before, after) == 0))
        return;
    add(audit, key, before ? text_value(mem, before) : NULL, after ? text_value(mem, after) : NULL);
}

void audit_number(Audit *audit, const char *key, int64_t before, int64_t after)
{
    if (before != after)
        add(audit, key, number_value(audit->rq->mem, before), number_value(audit->rq->mem, after));
}

void audit_id(Audit *audit, const char *key, int64_t before, int64_t after)
{
    Arena *mem = audit->rq->mem;

    audit_text(audit, key, before ? arena_printf(mem, "%" PRId64, before) : NULL,
               after ? arena_printf(mem, "%" PRId64, after) : NULL);
}

/* What does not read as text was no reason. */
static const char *reason_of(const Audit *audit)
{
    const char *header = request_header(audit->rq, "x-audit-log-reason");
    Slice text;

    if (audit->reason)
        return audit->reason;
    if (!header || !percent_decode(audit->rq->mem, slice(header), false, &text) || !utf8_valid(text) ||
        slice_find_char(text, '\0') >= 0)
        return NULL;
    return slice_cstr(audit->rq->mem, text);
}

Err audit_insert(const Audit *audit, DbTx *tx)
{
    const Chat *chat = audit->rq->service;
    Chat__V1__AuditChanges changes = CHAT__V1__AUDIT_CHANGES__INIT;
    const char *reason = reason_of(audit);

    if (utf8_length(slice(reason)) > REASON_MAX_CHARS)
        return err_make(&INVALID_REASON, "reason must be at most %d characters", REASON_MAX_CHARS);
    changes.changes = (Chat__V1__AuditChange **)audit->changes;
    changes.n_changes = audit->count;
    return chat_store_insert_audit(tx, &(AuditRow){.id = id_next(chat->ids),
                                                   .guild_id = audit->guild_id,
                                                   .user_id = audit->rq->caller.user_id,
                                                   .target_id = audit->target_id,
                                                   .action = audit->action,
                                                   .reason = reason,
                                                   .changes = message_pack(audit->rq->mem, &changes.base)});
}

Err audit_insert_changes(const Audit *audit, DbTx *tx)
{
    return audit->count ? audit_insert(audit, tx) : OK;
}

/* --- reading -------------------------------------------------------------------------------------------------------
 */
Err chat_v1_list_audit_log(Request *rq, const Chat__V1__ListAuditLogRequest *in, Chat__V1__AuditLog *out)
{
    Standing standing;

    if (in->has_limit && (in->limit < 1 || in->limit > AUDIT_PAGE_MAX))
        return err_make(&INVALID_LIMIT, "limit must be 1-%d", AUDIT_PAGE_MAX);
    TRY(permissions_require_open(rq, NULL, in->guild_id, PERMISSION_MANAGE_GUILD, &standing));
    return chat_store_audit_log(rq, in, in->has_limit ? in->limit : AUDIT_PAGE_DEFAULT, out);
}
