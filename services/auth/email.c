/* email: the caller's name and address, and what goes by mail to whoever reads that address. */
#include "services/auth/email.h"

#include "atrium/auth/v1/mail.service.h"
#include "services/auth/accounts.h"
#include "services/auth/audit.h"
#include "services/auth/events.h"
#include "services/auth/mail.h"
#include "services/auth/pages.h"
#include "services/auth/second_factor.h"
#include "services/auth/text.h"
#include "services/auth/users.h"

static const PasswordRule NEW_PASSWORD = {
    .min_chars = 8, .max_chars = PASSWORD_MAX_BYTES, .refusal = "new_password must have at least 8 characters"};

static bool is_same(const char *address, const char *other)
{
    return address && slice_eq_nocase(slice(address), slice(other));
}

static void say(Request *rq, Auth__V1__MessageReply *out, const char *message)
{
    out->message = arena_strdup(rq->mem, message);
}

static Err need_mail(const Request *rq)
{
    return mail_configured(rq->service) ? OK
                                        : err_make(&MAIL_NOT_CONFIGURED, "this server sends no mail; ask who runs it");
}

static Err invalid_link(void)
{
    return err_make(&INVALID_LINK, "this link is not good, or not good any more");
}

/* ---------------------------------------------------------------------------------------------------- one's own */
static Err answer_account(Request *rq, Auth__V1__AccountInfo *out)
{
    AddressRow row;

    TRY(mail_store_address(rq, NULL, rq->caller.user_id, &row));
    if (row.user_id == 0)
        return err_make(&NOT_FOUND, "user not found");
    SET(out, id, row.user_id);
    out->username = arena_strdup(rq->mem, row.username);
    out->email = arena_strdup(rq->mem, row.email);
    SET(out, email_verified, row.verified_us != 0);
    out->pending_email = arena_strdup(rq->mem, row.pending_email);
    SET(out, has_password, row.has_password);
    return OK;
}

Err auth_v1_get_account(Request *rq, const Auth__V1__GetAccountRequest *in, Auth__V1__AccountInfo *out)
{
    (void)in;
    return answer_account(rq, out);
}

Err email_change_own(Request *rq, DbTx *tx, const char *email, bool *out_sent)
{
    int64_t id = rq->caller.user_id, now_us = clock_unix_us(rq->clock);
    UserChange change = {.email = email};
    bool is_taken;

    *out_sent = false;
    if (!mail_configured(rq->service)) {
        TRY(mail_store_set_pending(tx, id, NULL, now_us));
        return user_change(rq, tx, id, &change);
    }
    TRY(mail_store_is_taken(tx, id, email, &is_taken));
    if (is_taken)
        return err_make(&EMAIL_TAKEN, "this e-mail address is taken");
    TRY(mail_store_set_pending(tx, id, email, now_us));
    return mail_insert(tx, rq, &(MailDraft){.kind = MAIL_VERIFICATION, .user_id = id, .to = email}, out_sent);
}

/* What is asked for, checked, without what is so already. */
static Err read_change(Request *rq, const Auth__V1__UpdateAccountRequest *in, UserChange *out)
{
    AddressRow now;

    *out = (UserChange){.username = NULL};
    if (in->username && !username_valid(slice(in->username)))
        return err_make(&INVALID_USERNAME, "username must be 2-32 alphanumeric or underscore characters");
    if (in->email)
        TRY(user_check_email(rq, in->email, &out->email));
    TRY(mail_store_address(rq, NULL, rq->caller.user_id, &now));
    if (in->username && strcmp(in->username, now.username ? now.username : "") != 0)
        out->username = in->username;
    if (out->email && is_same(now.email, out->email) && !now.pending_email)
        out->email = NULL;
    return OK;
}

Err auth_v1_update_account(Request *rq, const Auth__V1__UpdateAccountRequest *in, Auth__V1__AccountInfo *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t id = rq->caller.user_id;
    UserChange change;
    bool sent = false;
    UserRow user;

    TRY(read_change(rq, in, &change));
    if (change.email)
        TRY(caller_prove(rq, in->password, NULL));
    TRY(user_enter(rq, &tx, id, &user));
    TRY(user_change(rq, &tx, id, &(UserChange){.username = change.username}));
    if (change.email)
        TRY(email_change_own(rq, &tx, change.email, &sent));
    TRY(db_tx_commit(&tx));
    TRY(answer_account(rq, out));
    if (change.email)
        SET(out, mail_sent, sent);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- verification */
Err auth_v1_send_verification(Request *rq, const Auth__V1__SendVerificationRequest *in, Auth__V1__MessageReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    MailDraft draft = {.kind = MAIL_VERIFICATION, .user_id = rq->caller.user_id};
    AddressRow row;
    (void)in;

    TRY(need_mail(rq));
    TRY(mail_store_address(rq, NULL, rq->caller.user_id, &row));
    draft.to = row.pending_email ? row.pending_email : row.verified_us ? NULL : row.email;
    if (!draft.to)
        return err_make(&INVALID_ARGUMENT, "there is no address that waits for its verification");
    TRY(db_tx_begin(rq, &tx));
    TRY(mail_insert(&tx, rq, &draft, NULL));
    TRY(db_tx_commit(&tx));
    say(rq, out, "A mail is on its way.");
    return OK;
}

Err auth_v1_verify_email(Request *rq, const Auth__V1__VerifyEmailRequest *in, Auth__V1__MessageReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t now_us = clock_unix_us(rq->clock);
    MailToken token;
    AddressRow row;
    bool taken;

    TRY(mail_store_find_token(rq, token_hash(rq->mem, in->token ? in->token : ""), TOKEN_VERIFY_EMAIL, now_us, &token));
    if (token.user_id == 0)
        return invalid_link();
    TRY(db_tx_begin(rq, &tx));
    TRY(store_lock_account(&tx, token.user_id));
    TRY(mail_store_take_token(&tx, &token, now_us, &taken));
    TRY(mail_store_address(rq, &tx, token.user_id, &row));
    if (!taken || !(is_same(row.email, token.email) || is_same(row.pending_email, token.email)))
        return invalid_link();
    TRY(mail_store_verify(&tx, token.user_id, token.email, now_us));
    TRY(audit_insert_user(&tx, rq, AUDIT_USER_EMAIL_VERIFIED, token.user_id, NULL));
    TRY(db_tx_commit(&tx));
    say(rq, out, "This address is yours.");
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- reset */
/* Whether there is such an account is found out when the mail is sent, so that here nothing depends on it: neither the
 * answer nor the time it takes. */
Err auth_v1_request_password_reset(Request *rq, const Auth__V1__RequestPasswordResetRequest *in,
                                   Auth__V1__MessageReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    MailDraft draft = {.kind = MAIL_RESET};

    TRY(need_mail(rq));
    TRY(user_check_email(rq, in->email, &draft.to));
    TRY(db_tx_begin(rq, &tx));
    TRY(mail_insert(&tx, rq, &draft, NULL));
    TRY(db_tx_commit(&tx));
    say(rq, out, "If there is an account with this address, a mail is on its way.");
    return OK;
}

static Err reset(Request *rq, const MailToken *token, const char *hash)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t id = token->user_id, now_us = clock_unix_us(rq->clock);
    AddressRow row;
    bool taken;

    TRY(db_tx_begin(rq, &tx));
    TRY(store_lock_account(&tx, id));
    TRY(mail_store_take_token(&tx, token, now_us, &taken));
    TRY(mail_store_address(rq, &tx, id, &row));
    if (!taken || !row.active || (token->email && !is_same(row.email, token->email)))
        return invalid_link();
    TRY(auth_store_set_password(&tx, id, hash, now_us));
    if (token->email) /* so he reads it */
        TRY(mail_store_verify(&tx, id, row.email, now_us));
    TRY(user_end_access(rq, &tx, id, AUTH__V1__LOGIN_END__PASSWORD_RESET));
    TRY(audit_insert_user(&tx, rq, AUDIT_USER_PASSWORD_RESET, id, NULL));
    return db_tx_commit(&tx);
}

/* A token that is no good costs no hash. */
Err auth_v1_reset_password(Request *rq, const Auth__V1__ResetPasswordRequest *in, Auth__V1__MessageReply *out)
{
    MailToken token;
    char *hash;

    TRY(mail_store_find_token(rq, token_hash(rq->mem, in->token ? in->token : ""), TOKEN_RESET_PASSWORD,
                              clock_unix_us(rq->clock), &token));
    if (token.user_id == 0)
        return invalid_link();
    TRY(password_accept(rq, &NEW_PASSWORD, in->new_password ? in->new_password : ""));
    TRY(password_hash(rq, in->new_password, &hash));
    TRY(reset(rq, &token, hash));
    auth_settle(rq);
    say(rq, out, "The password is changed. You can log in now.");
    return OK;
}

Err auth_v1_create_reset_link(Request *rq, const Auth__V1__CreateResetLinkRequest *in, Auth__V1__ResetLink *out)
{
    const Auth *auth = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    char *token = link_token(rq->mem);
    MailToken row = {.hash = token_hash(rq->mem, token),
                     .purpose = TOKEN_RESET_PASSWORD,
                     .expires_us = clock_unix_us(rq->clock) + auth->settings->reset_ttl_ms * 1000};
    UserRow user;

    if (!user_id_parse(slice(in->user_id), &row.user_id))
        return err_make(&INVALID_ARGUMENT, "user_id: not the id of a user");
    TRY(user_enter(rq, &tx, row.user_id, &user));
    if (!user.account.active)
        return err_make(&CONFLICT, "this account is not active");
    TRY(mail_store_insert_token(&tx, &row));
    TRY(audit_insert_user(&tx, rq, AUDIT_USER_RESET_LINK_MADE, row.user_id, NULL));
    TRY(db_tx_commit(&tx));
    out->url = link_make(auth, rq->mem, PATH_RESET_PASSWORD, token);
    out->expires_at = timestamp(rq->mem, row.expires_us);
    return OK;
}
