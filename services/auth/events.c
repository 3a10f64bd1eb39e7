/* events: the domain events of auth, ready for the outbox. */
#include "services/auth/events.h"

#include "atrium/auth/v1/access.atrium.h"
#include "atrium/auth/v1/admin.atrium.h"

Google__Protobuf__Timestamp *timestamp(Arena *mem, int64_t unix_us)
{
    Google__Protobuf__Timestamp *t = MESSAGE_NEW(mem, Google__Protobuf__Timestamp, google__protobuf__timestamp__init);
    int64_t micros = unix_us % 1000000;

    if (micros < 0)
        micros += 1000000;
    t->seconds = (unix_us - micros) / 1000000;
    t->nanos = (int32_t)micros * 1000;
    return t;
}

OutboxRow login_ended_event(Arena *mem, IdSource *ids, Uuid login_id, int64_t user_id, Auth__V1__LoginEnd why,
                            int64_t ended_us)
{
    Auth__V1__LoginEnded body = AUTH__V1__LOGIN_ENDED__INIT;

    body.login_id = uuid_text(mem, login_id);
    SET(&body, user_id, user_id);
    SET(&body, reason, why);
    body.ended_at = timestamp(mem, ended_us);
    return outbox_event(mem, ids, &AUTH_V1_LOGIN_ENDED_EVENT, body.login_id, &body.base);
}

OutboxRow user_registered_event(Arena *mem, IdSource *ids, int64_t user_id, Role role, int64_t created_us)
{
    Auth__V1__UserRegistered body = AUTH__V1__USER_REGISTERED__INIT;

    SET(&body, user_id, user_id);
    body.role = arena_strdup(mem, role_name(role));
    body.created_at = timestamp(mem, created_us);
    return outbox_event(mem, ids, &AUTH_V1_USER_REGISTERED_EVENT, arena_printf(mem, "%" PRId64, user_id), &body.base);
}

OutboxRow access_changed_event(Arena *mem, IdSource *ids, int64_t user_id, int64_t changed_us)
{
    Auth__V1__AccessChanged body = AUTH__V1__ACCESS_CHANGED__INIT;

    SET(&body, user_id, user_id);
    body.changed_at = timestamp(mem, changed_us);
    return outbox_event(mem, ids, &AUTH_V1_ACCESS_CHANGED_EVENT, arena_printf(mem, "%" PRId64, user_id), &body.base);
}

OutboxRow user_activity_changed_event(Arena *mem, IdSource *ids, int64_t user_id, bool active, int64_t changed_us)
{
    Auth__V1__UserActivityChanged body = AUTH__V1__USER_ACTIVITY_CHANGED__INIT;

    SET(&body, user_id, user_id);
    SET(&body, active, active);
    body.changed_at = timestamp(mem, changed_us);
    return outbox_event(mem, ids, &AUTH_V1_USER_ACTIVITY_CHANGED_EVENT, arena_printf(mem, "%" PRId64, user_id),
                        &body.base);
}

OutboxRow user_profile_changed_event(Arena *mem, IdSource *ids, int64_t user_id, int64_t changed_us)
{
    Auth__V1__UserProfileChanged body = AUTH__V1__USER_PROFILE_CHANGED__INIT;

    SET(&body, user_id, user_id);
    body.changed_at = timestamp(mem, changed_us);
    return outbox_event(mem, ids, &AUTH_V1_USER_PROFILE_CHANGED_EVENT, arena_printf(mem, "%" PRId64, user_id),
                        &body.base);
}

OutboxRow user_deleted_event(Arena *mem, IdSource *ids, int64_t user_id, Uuid erasure_id, int64_t deleted_us)
{
    Auth__V1__UserDeleted body = AUTH__V1__USER_DELETED__INIT;

    SET(&body, user_id, user_id);
    body.erasure_id = uuid_text(mem, erasure_id);
    body.deleted_at = timestamp(mem, deleted_us);
    return outbox_event(mem, ids, &AUTH_V1_USER_DELETED_EVENT, arena_printf(mem, "%" PRId64, user_id), &body.base);
}
