/* access: see access.h. */
#include "services/auth/access.h"

#include "atrium/auth/v1/access.atrium.h"
#include "services/auth/events.h"
#include "services/auth/store_access.h"

/* ---------------------------------------------------------------------------------------------------- names */
static bool is_letter(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_word_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
}

bool role_name_valid(Slice name)
{
    if (name.len < ROLE_NAME_MIN_CHARS || name.len > ROLE_NAME_MAX_CHARS || !is_letter(name.ptr[0]))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_word_char(name.ptr[i]) && name.ptr[i] != '-')
            return false;
    return true;
}

static bool is_word(Slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_word_char(text.ptr[i]))
            return false;
    return text.len > 0;
}

bool permission_valid(Slice text)
{
    Slice word, rest = text;
    size_t words = 0;

    if (text.len > PERMISSION_MAX_CHARS)
        return false;
    if (slice_eq_cstr(text, "*"))
        return true;
    while (slice_cut(rest, '.', &word, &rest)) {
        if (!is_word(word))
            return false;
        words++;
    }
    return words > 0 && (is_word(word) || slice_eq_cstr(word, "*"));
}

/* ---------------------------------------------------------------------------------------------------- shared rules */
Err access_of_user(Request *rq, DbTx *tx, int64_t user_id, Access *out)
{
    static const char *const ALL[] = {"*"};
    Access access;

    TRY(auth_store_access(rq, tx, user_id, &access));
    if (access.rank == ROLE_ADMIN) {
        access.permissions = ALL;
        access.permission_count = 1;
    }
    *out = access;
    return OK;
}

/* The first that is lacking, or NULL. */
static const char *lacking(const Caller *caller, const char *const *permissions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!caller_may(caller, permissions[i]))
            return permissions[i];
    return NULL;
}

/* The identity that comes with a request lists permissions of this domain only. What a person has of others, the tables
 * say; a key is no more than what it came with. */
Err access_may_hand_on(Request *rq, DbTx *tx, const char *const *permissions, size_t count)
{
    const char *lacks = lacking(&rq->caller, permissions, count);
    Caller person = rq->caller;
    Access access;

    if (lacks && !rq->caller.api_key) {
        TRY(access_of_user(rq, tx, rq->caller.user_id, &access));
        person.permissions = access.permissions;
        person.permission_count = access.permission_count;
        lacks = lacking(&person, permissions, count);
    }
    return lacks ? err_make(&PERMISSION_DENIED, "nobody hands on what he lacks: %s", lacks) : OK;
}

/* A key has its owner's rank for show: it hands on a rank only when it may everything. */
static bool has_rank(const Caller *caller, Role rank)
{
    return rank <= ROLE_USER || (rank <= caller->role && (!caller->api_key || caller_may(caller, "*")));
}

Err access_may_grant(Request *rq, DbTx *tx, Role rank, const char *const *roles, size_t role_count)
{
    const char *const *permissions;
    size_t count;

    if (!has_rank(&rq->caller, rank))
        return err_make(&PERMISSION_DENIED, "nobody hands on a rank above his own");
    for (size_t i = 0; i < role_count; i++) {
        Role as_rank;
        bool found;

        if (role_parse(slice(roles[i]), &as_rank) && !has_rank(&rq->caller, as_rank))
            return err_make(&PERMISSION_DENIED, "nobody hands on a rank above his own");
        TRY(auth_store_role_grants(rq, tx, roles[i], &found, &permissions, &count));
        if (!found)
            return err_make(&NO_SUCH_ROLE, "there is no role %s", roles[i]);
        TRY(access_may_hand_on(rq, tx, permissions, count));
    }
    return OK;
}

Err access_announce(DbTx *tx, Request *rq, int64_t user_id)
{
    const Auth *auth = rq->service;
    OutboxRow row = access_changed_event(rq->mem, auth->ids, user_id, clock_unix_us(rq->clock));

    return outbox_insert(tx, &row, false);
}

Err access_keep_an_admin(DbTx *tx, int64_t leaving_id)
{
    bool found;

    TRY(auth_store_find_other_admin(tx, leaving_id, &found));
    return found ? OK : err_make(&LAST_ADMIN, "nobody would be left to administer");
}
