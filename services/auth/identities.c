/* identities: which account a person is that a provider vouches for, and what accounts are signed in to with. */
#include "services/auth/identities.h"

#include "atrium/auth/v1/signin.service.h"
#include "services/auth/accounts.h"
#include "services/auth/answers.h"
#include "services/auth/events.h"
#include "services/auth/registration.h"
#include "services/auth/second_factor.h"
#include "services/auth/text.h"

enum { NAME_ATTEMPTS = 8 };

/* ---------------------------------------------------------------------------------------------------- whose it is */
static Account new_account(Request *rq, const Provider *provider, const Person *person)
{
    const Auth *auth = rq->service;
    int64_t now_us = clock_unix_us(rq->clock);
    Slice email = {NULL, 0};

    if (person->email && person->email_verified &&
        email_parse(slice(person->email), auth->settings->email_allow_reserved, &email))
        email = (Slice){NULL, 0}; /* none that we would take */
    return (Account){
        .id = id_next_user(auth->ids),
        .email = email.len ? slice_cstr(rq->mem, email) : NULL,
        .provider = provider->name,
        .role = ROLE_USER,
        .active = true,
        .created_us = now_us,
        .updated_us = now_us,
    };
}

/* The name it has elsewhere, as far as ours allow; with a random end where that is taken. An address that somebody
 * else has is left out. */
static Err make_account(Request *rq, const Provider *provider, const Person *person, Account *out)
{
    Account account = new_account(rq, provider, person);
    Slice shown = utf8_take(slice(person->name), DISPLAY_NAME_MAX_CHARS);
    OutboxRow announce;
    Err e = OK;

    TRY(registration_check(rq, NULL));
    for (int attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        const Auth *auth = rq->service;

        account.username = username_for_email(rq->mem, slice(person->name), attempt);
        account.display_name = shown.len ? slice_cstr(rq->mem, shown) : account.username;
        announce = user_registered_event(rq->mem, auth->ids, account.id, account.role, account.created_us);
        e = identities_store_create(rq, &account, person, provider->link_email, &announce);
        if (e.reason == &EMAIL_TAKEN) {
            account.email = NULL;
            attempt--; /* the name was not what it failed for */
        } else if (e.reason != &USERNAME_TAKEN)
            break;
    }
    TRY(e);
    auth_nudge(rq);
    *out = account;
    return OK;
}

static Err link_or_make(Request *rq, const Provider *provider, const Person *person, int64_t link_user_id, Account *out)
{
    Account account = {.id = link_user_id};

    if (!link_user_id && provider->link_email && person->email && person->email_verified)
        TRY(identities_store_by_verified_email(rq, person->email, &account));
    if (account.id == 0)
        return make_account(rq, provider, person, out);
    TRY(identities_store_link(rq, account.id, provider->name, person, clock_unix_us(rq->clock)));
    return identities_store_use(rq, provider->name, person, clock_unix_us(rq->clock), out);
}

Err identity_account(Request *rq, const Provider *provider, const Person *person, int64_t link_user_id, Account *out)
{
    int64_t now_us = clock_unix_us(rq->clock);
    Account account;
    Err e;

    TRY(identities_store_use(rq, provider->name, person, now_us, &account));
    if (account.id == 0) {
        e = link_or_make(rq, provider, person, link_user_id, &account);
        if (e.reason == &IDENTITY_TAKEN) /* another request was first */
            e = identities_store_use(rq, provider->name, person, now_us, &account);
        TRY(e);
    }
    if (link_user_id && account.id != link_user_id)
        return err_make(&IDENTITY_TAKEN, "this identity is linked to another account");
    if (!account.active)
        return err_make(&SIGN_IN_REFUSED, "this account cannot be used");
    *out = account;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- one's own */
static Auth__V1__IdentityInfo *answer_identity(Request *rq, const Identity *row)
{
    Auth__V1__IdentityInfo *info = MESSAGE_NEW(rq->mem, Auth__V1__IdentityInfo, auth__v1__identity_info__init);

    info->id = uuid_text(rq->mem, row->id);
    info->provider = arena_strdup(rq->mem, row->provider);
    info->name = arena_strdup(rq->mem, row->name);
    info->email = row->email ? arena_strdup(rq->mem, row->email) : NULL;
    info->created_at = timestamp(rq->mem, row->created_us);
    info->last_used_at = timestamp(rq->mem, row->last_used_us);
    return info;
}

Err auth_v1_list_identities(Request *rq, const Auth__V1__ListIdentitiesRequest *in, Auth__V1__ListIdentitiesReply *out)
{
    Identity *rows;
    Account account;
    size_t count;
    (void)in;

    TRY(account_of_caller(rq, &account));
    TRY(identities_store_list(rq, account.id, &rows, &count));
    out->identities = ARENA_ARRAY(rq->mem, Auth__V1__IdentityInfo *, count + 1);
    for (size_t i = 0; i < count; i++)
        out->identities[i] = answer_identity(rq, &rows[i]);
    out->n_identities = count;
    SET(out, has_password, account.password_hash != NULL);
    return OK;
}

Err auth_v1_unlink(Request *rq, const Auth__V1__UnlinkRequest *in, Auth__V1__UnlinkReply *out)
{
    Uuid id;
    (void)out;

    if (!uuid_parse(slice(in->identity_id), &id))
        return err_make(&NOT_FOUND, "you have no such identity");
    return identities_store_unlink(rq, rq->caller.user_id, id);
}

Err auth_v1_add_password(Request *rq, const Auth__V1__AddPasswordRequest *in, Auth__V1__User *out)
{
    const char *username = in->username && in->username[0] ? in->username : NULL;
    Account account;
    char *hash;

    if (username && !username_valid(slice(username)))
        return err_make(&INVALID_USERNAME, "username must be 2-32 alphanumeric or underscore characters");
    TRY(password_accept(rq, &LONG_PASSWORD, in->password));
    TRY(account_of_caller(rq, &account));
    if (account.password_hash)
        return err_make(&HAS_PASSWORD, "you have a password already");
    TRY(caller_prove(rq, NULL, in->code));
    TRY(password_hash(rq, in->password, &hash));
    TRY(identities_store_add_password(rq, account.id, username, hash, clock_unix_us(rq->clock)));
    TRY(auth_store_account(rq, account.id, &account));
    answer_user(rq, &account, out);
    return OK;
}
