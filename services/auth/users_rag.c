/* users_rag: administration of accounts in the manner of rag's contract (section 9): roles user and admin, passwords
 * that are made up here. */
#include <sodium.h>

#include "atrium/auth/v1/admin.service.h"
#include "services/auth/accounts.h"
#include "services/auth/audit.h"
#include "services/auth/erasure.h"
#include "services/auth/events.h"
#include "services/auth/pages.h"
#include "services/auth/users.h"

enum { LIST_MAX = 100, LIST_DEFAULT = 50, MADE_PASSWORD_CHARS = 16, NAME_ATTEMPTS = 8 };

static Auth__V1__TalkerUserItem *answer_item(Request *rq, const Account *account)
{
    Auth__V1__TalkerUserItem *out = MESSAGE_NEW(rq->mem, Auth__V1__TalkerUserItem, auth__v1__talker_user_item__init);

    out->id = user_id_text(rq->mem, account->id);
    out->email = account->email ? arena_strdup(rq->mem, account->email) : NULL;
    out->role = arena_strdup(rq->mem, role_name(account->role == ROLE_ADMIN ? ROLE_ADMIN : ROLE_USER));
    out->created_at = timestamp(rq->mem, account->created_us);
    return out;
}

static Err parse_id(Request *rq, const char *text, int64_t *out)
{
    if (user_id_parse(slice(text), out))
        return OK;
    request_add_violation(rq, ATRIUM__PART__PATH, "user_id", "uuid_parsing", "Input should be a valid UUID");
    return err_make(&INVALID_ARGUMENT, "the request is not valid");
}

/* Sixteen letters, with one of each kind at least. */
static char *make_password(Arena *mem)
{
    static const char *const KINDS[] = {"ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghijkmnpqrstuvwxyz", "23456789",
                                        "!#$%&*+-=?@_"};
    char *out = ARENA_ARRAY(mem, char, MADE_PASSWORD_CHARS + 1);

    for (uint32_t i = 0; i < MADE_PASSWORD_CHARS; i++) {
        const char *kind = KINDS[i < ARRAY_LEN(KINDS) ? i : randombytes_uniform(ARRAY_LEN(KINDS))];
        uint32_t at = randombytes_uniform(i + 1); /* to a place of its own: the earlier letter there moves to the end */

        out[i] = out[at];
        out[at] = kind[randombytes_uniform((uint32_t)strlen(kind))];
    }
    return out;
}

/* ---------------------------------------------------------------------------------------------------- reading */
Err auth_v1_talker_list_users(Request *rq, const Auth__V1__TalkerListUsersRequest *in,
                              Auth__V1__TalkerListUsersReply *out)
{
    UserFilter filter = {.limit = in->has_limit ? in->limit : LIST_DEFAULT, .offset = in->offset};
    UserRow *rows;
    size_t count;

    if (filter.limit < 1 || filter.limit > LIST_MAX)
        request_add_violation(rq, ATRIUM__PART__QUERY, "limit", "value_error", "Input should be between 1 and %d",
                              LIST_MAX);
    if (filter.offset < 0)
        request_add_violation(rq, ATRIUM__PART__QUERY, "offset", "greater_than_equal",
                              "Input should be greater than or equal to 0");
    if (request_has_violations(rq))
        return err_make(&INVALID_ARGUMENT, "the request is not valid");
    TRY(auth_store_list_users(rq, &filter, &rows, &count));
    out->users = ARENA_ARRAY(rq->mem, Auth__V1__TalkerUserItem *, count + 1);
    for (size_t i = 0; i < count; i++)
        out->users[i] = answer_item(rq, &rows[i].account);
    out->n_users = count;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- making */
static Err check_email(Request *rq, const char *text, const char **out)
{
    Err e;

    if (!text) {
        request_add_violation(rq, ATRIUM__PART__BODY, "email", "missing", "Field required");
        return err_make(&INVALID_ARGUMENT, "the request is not valid");
    }
    e = user_check_email(rq, text, out);
    if (!err_failed(e))
        return OK;
    request_add_violation(rq, ATRIUM__PART__BODY, "email", "value_error", "value is not a valid email address: %s",
                          e.text);
    return err_make(&INVALID_ARGUMENT, "the request is not valid");
}

Err auth_v1_talker_create_user(Request *rq, const Auth__V1__TalkerCreateUserRequest *in, Auth__V1__TalkerNewUser *out)
{
    char *password = make_password(rq->mem);
    AccountDraft draft = {.password = password, .role = ROLE_USER};
    Account account;

    TRY(check_email(rq, in->email, &draft.email));
    TRY(account_prepare(rq, &draft, &account));
    TRY(account_store(rq, &account, NULL));
    out->user = answer_item(rq, &account);
    out->generated_password = password;
    return OK;
}

Err auth_v1_talker_reset_password(Request *rq, const Auth__V1__TalkerUserId *in, Auth__V1__TalkerNewUser *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    char *password = make_password(rq->mem), *hash;
    UserRow user;
    int64_t id;

    TRY(parse_id(rq, in->user_id, &id));
    TRY(user_refuse_self(rq, id));
    TRY(user_load(rq, NULL, id, &user));
    TRY(password_hash(rq, password, &hash));
    TRY(user_enter(rq, &tx, id, &user));
    TRY(user_set_password(rq, &tx, id, hash));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    out->user = answer_item(rq, &user.account);
    out->generated_password = password;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- changing */
Err auth_v1_talker_update_user(Request *rq, const Auth__V1__TalkerUpdateUserRequest *in, Auth__V1__TalkerUserItem *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    UserRow user;
    int64_t id;
    Role rank;

    TRY(parse_id(rq, in->user_id, &id));
    if (!role_parse(slice(in->role), &rank) || (rank != ROLE_USER && rank != ROLE_ADMIN)) {
        request_add_violation(rq, ATRIUM__PART__BODY, "role", in->role ? "literal_error" : "missing",
                              in->role ? "Input should be 'user' or 'admin'" : "Field required");
        return err_make(&INVALID_ARGUMENT, "the request is not valid");
    }
    TRY(user_enter(rq, &tx, id, &user));
    TRY(user_set_rank(rq, &tx, &user, rank));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    user.account.role = rank;
    *out = *answer_item(rq, &user.account);
    return OK;
}

Err auth_v1_talker_delete_user(Request *rq, const Auth__V1__TalkerUserId *in, Auth__V1__AdminNothing *out)
{
    int64_t id;
    (void)out;

    TRY(parse_id(rq, in->user_id, &id));
    return erasure_of_other(rq, id);
}
