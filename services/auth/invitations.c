/* invitations: made, listed, revoked, accepted. */
#include "services/auth/invitations.h"

#include "atrium/auth/v1/admin.service.h"
#include "services/auth/access.h"
#include "services/auth/audit.h"
#include "services/auth/events.h"
#include "services/auth/mail.h"
#include "services/auth/pages.h"
#include "services/auth/registration.h"
#include "services/auth/store_admin.h"
#include "services/auth/text.h"
#include "services/auth/users.h"
#include "services/auth/users_events.h"

enum { USES_MAX = 1000, LIFE_MIN_S = 60, LIFE_MAX_S = 30 * 86400 };
static const char REGISTER_PAGE[] = "/register", ACCEPT_PAGE[] = "/accept-invitation";
static const PasswordRule INVITED_PASSWORD = {
    .min_chars = 12, .max_chars = 128, .refusal = "password must have 12 to 128 characters"};

/* ---------------------------------------------------------------------------------------------------- making */
Err invitation_insert(Request *rq, DbTx *tx, Invitation *invitation, const char *path, InvitationSecret *out)
{
    const Auth *auth = rq->service;
    const char *token = link_token(rq->mem);
    InvitationSecret secret = {.token = token, .url = link_make(auth, rq->mem, path, token)};

    invitation->id = uuid_v7(auth->ids);
    TRY(auth_store_insert_invitation(tx, invitation, token_hash(rq->mem, token), rq->caller.user_id));
    if (invitation->email)
        TRY(mail_insert(
            tx, rq,
            &(MailDraft){
                .kind = MAIL_INVITATION, .user_id = invitation->user_id, .to = invitation->email, .detail = secret.url},
            &secret.sent));
    *out = secret;
    return OK;
}

Err invitation_for_account(Request *rq, DbTx *tx, const Account *account, const char *role, Invitation *out,
                           InvitationSecret *out_secret)
{
    const Auth *auth = rq->service;
    int64_t now_us = clock_unix_us(rq->clock);

    *out = (Invitation){.user_id = account->id,
                        .email = account->email,
                        .role = role,
                        .uses_left = 1,
                        .created_us = now_us,
                        .expires_us = now_us + auth->settings->invitation_ttl_ms * 1000};
    return invitation_insert(rq, tx, out, ACCEPT_PAGE, out_secret);
}

void invitation_answer(Request *rq, const Account *account, const Invitation *invitation,
                       const InvitationSecret *secret, Auth__V1__AdminInvitation *out)
{
    out->status = arena_strdup(rq->mem, "pending");
    out->email = account->email ? arena_strdup(rq->mem, account->email) : NULL;
    SET(out, invitation_sent, secret->sent);
    out->invitation_url = arena_strdup(rq->mem, secret->url);
    out->expires_at = timestamp(rq->mem, invitation->expires_us);
    out->user_id = user_id_text(rq->mem, account->id);
}

static Err check_request(Request *rq, const Auth__V1__CreateInvitationRequest *in, Invitation *out)
{
    const Auth *auth = rq->service;
    int64_t now_us = clock_unix_us(rq->clock);
    int64_t life_us =
        in->has_expires_in_s ? in->expires_in_s * INT64_C(1000000) : auth->settings->invitation_ttl_ms * 1000;

    *out = (Invitation){.role = in->role && in->role[0] ? in->role : "user",
                        .uses_left = in->has_uses ? in->uses : 1,
                        .created_us = now_us,
                        .expires_us = now_us + life_us};
    if (out->uses_left < 1 || out->uses_left > USES_MAX)
        return err_make(&INVALID_ARGUMENT, "uses: 1 to %d", USES_MAX);
    if (in->has_expires_in_s && (in->expires_in_s < LIFE_MIN_S || in->expires_in_s > LIFE_MAX_S))
        return err_make(&INVALID_ARGUMENT, "expires_in_s: %d to %d", LIFE_MIN_S, LIFE_MAX_S);
    return in->email && in->email[0] ? user_check_email(rq, in->email, &out->email) : OK;
}

static void answer_invitation(Request *rq, const Invitation *row, Auth__V1__InvitationInfo *out)
{
    out->id = uuid_text(rq->mem, row->id);
    out->email = row->email ? arena_strdup(rq->mem, row->email) : NULL;
    out->role = arena_strdup(rq->mem, row->role);
    SET(out, uses_left, (int32_t)row->uses_left);
    out->created_at = timestamp(rq->mem, row->created_us);
    out->expires_at = timestamp(rq->mem, row->expires_us);
}

Err auth_v1_create_invitation(Request *rq, const Auth__V1__CreateInvitationRequest *in, Auth__V1__InvitationInfo *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    InvitationSecret secret;
    Invitation invitation;

    TRY(check_request(rq, in, &invitation));
    TRY(db_tx_begin(rq, &tx));
    TRY(access_may_grant(rq, &tx, ROLE_NONE, &invitation.role, 1));
    TRY(invitation_insert(rq, &tx, &invitation, REGISTER_PAGE, &secret));
    TRY(audit_insert(&tx, rq, AUDIT_INVITATION_CREATED, "invitation", uuid_text(rq->mem, invitation.id),
                     audit_detail(rq->mem, "role", invitation.role)));
    TRY(db_tx_commit(&tx));
    answer_invitation(rq, &invitation, out);
    out->token = arena_strdup(rq->mem, secret.token);
    out->url = arena_strdup(rq->mem, secret.url);
    SET(out, mail_sent, secret.sent);
    return OK;
}

Err auth_v1_list_invitations(Request *rq, const Auth__V1__ListInvitationsRequest *in,
                             Auth__V1__ListInvitationsReply *out)
{
    Invitation *rows;
    size_t count;
    Page page;

    TRY(page_parse(rq, in->has_limit, in->limit, in->cursor, &page));
    TRY(auth_store_list_invitations(rq, page.after, clock_unix_us(rq->clock), page.limit + 1, &rows, &count));
    out->n_items = page_shown(&page, count);
    out->items = ARENA_ARRAY(rq->mem, Auth__V1__InvitationInfo *, out->n_items + 1);
    for (size_t i = 0; i < out->n_items; i++) {
        out->items[i] = MESSAGE_NEW(rq->mem, Auth__V1__InvitationInfo, auth__v1__invitation_info__init);
        answer_invitation(rq, &rows[i], out->items[i]);
    }
    out->next_cursor = page_next(rq->mem, &page, count, out->n_items ? rows[out->n_items - 1].id : (Uuid){{0}});
    return OK;
}

Err auth_v1_revoke_invitation(Request *rq, const Auth__V1__RevokeInvitationRequest *in, Auth__V1__AdminNothing *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool revoked = false;
    Uuid id;
    (void)out;

    TRY(db_tx_begin(rq, &tx));
    if (uuid_parse(slice(in->invitation_id), &id))
        TRY(auth_store_revoke_invitation(&tx, id, clock_unix_us(rq->clock), &revoked));
    if (!revoked)
        return err_make(&NOT_FOUND, "there is no such invitation");
    TRY(audit_insert(&tx, rq, AUDIT_INVITATION_REVOKED, "invitation", uuid_text(rq->mem, id), NULL));
    return db_tx_commit(&tx);
}

/* ---------------------------------------------------------------------------------------------------- accepting */
static bool has_all_classes(Slice text)
{
    bool upper = false, lower = false, digit = false, symbol = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c >= 'A' && c <= 'Z')
            upper = true;
        else if (c >= 'a' && c <= 'z')
            lower = true;
        else if (c >= '0' && c <= '9')
            digit = true;
        else
            symbol = true;
    }
    return upper && lower && digit && symbol;
}

static Err check_password(Request *rq, const char *password)
{
    if (!password || !password_fits(&INVITED_PASSWORD, password) || !has_all_classes(slice(password)))
        return err_make(&WEAK_PASSWORD,
                        "12 to 128 characters with an upper and a lower case letter, a digit and a symbol");
    return password_accept(rq, &INVITED_PASSWORD, password);
}

static Err accept_for_account(Request *rq, const Invitation *invitation, const char *password)
{
    const Auth *auth = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t now_us = clock_unix_us(rq->clock);
    OutboxRow announce;
    bool done;
    char *hash;

    TRY(password_hash(rq, password, &hash));
    TRY(db_tx_begin(rq, &tx));
    TRY(store_lock_account(&tx, invitation->user_id));
    TRY(auth_store_take_invitation(&tx, invitation->id, now_us));
    TRY(auth_store_finish_invited(&tx, invitation->user_id, hash, now_us, &done));
    if (!done)
        return err_make(&INVALID_INVITATION, "this account does not wait for its owner any more");
    announce = user_activity_changed_event(rq->mem, auth->ids, invitation->user_id, true, now_us);
    TRY(outbox_insert(&tx, &announce, false));
    TRY(audit_insert_user(&tx, rq, AUDIT_INVITATION_ACCEPTED, invitation->user_id, NULL));
    return db_tx_commit(&tx);
}

static Err accept_for_new(Request *rq, const Auth__V1__AcceptInvitationRequest *in, int64_t *out_id)
{
    AccountDraft draft = {.username = in->username, .password = in->password, .role = ROLE_USER};
    Account account;

    if (!username_valid(slice(in->username)))
        return err_make(&INVALID_USERNAME, "username must be 2-32 alphanumeric or underscore characters");
    TRY(registration_enter(rq, in->token, "registration is closed", &draft));
    TRY(account_prepare(rq, &draft, &account));
    TRY(account_store(rq, &account, NULL));
    *out_id = account.id;
    return OK;
}

Err auth_v1_accept_invitation(Request *rq, const Auth__V1__AcceptInvitationRequest *in,
                              Auth__V1__AcceptInvitationReply *out)
{
    const char *token = in->token ? in->token : "";
    Invitation invitation;
    UserRow user;
    int64_t id;

    TRY(auth_store_find_invitation(rq, token_hash(rq->mem, token), clock_unix_us(rq->clock), &invitation));
    if (uuid_is_nil(invitation.id))
        return err_make(&INVALID_INVITATION, "this invitation is not good, or not good any more");
    TRY(check_password(rq, in->password));
    id = invitation.user_id;
    if (id)
        TRY(accept_for_account(rq, &invitation, in->password));
    else
        TRY(accept_for_new(rq, in, &id));
    auth_nudge(rq);
    TRY(user_load(rq, NULL, id, &user));
    out->message = arena_strdup(rq->mem, "Welcome. You can log in now.");
    out->user = MESSAGE_NEW(rq->mem, Auth__V1__AdminUser, auth__v1__admin_user__init);
    answer_admin_user(rq, &user, out->user);
    return OK;
}
