/* mail_sender: see mail_sender.h. */
#include "services/auth/mail_sender.h"

#include "services/auth/mail.h"
#include "services/auth/seal.h"
#include "services/auth/tokens.h"

enum { STEP_TIMEOUT_MS = 10000 };

struct MailSender {
    MailSenderOptions options;
    Sweeper *sweeper; /* NULL without a thread */
    Counter *sent, *failed, *given_up, *nobody;
    atomic_bool stopping; /* for who waits for the mail server */
};

/* ---------------------------------------------------------------------------------------------------- one mail */
static Err make_link(Request *rq, const AddressRow *account, TokenPurpose purpose, MailText *text)
{
    const Auth *auth = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool resets = purpose == TOKEN_RESET_PASSWORD;
    int64_t life_ms = resets ? auth->settings->reset_ttl_ms : auth->settings->verify_ttl_ms;
    char *token = link_token(rq->mem);
    MailToken row = {.hash = token_hash(rq->mem, token),
                     .user_id = account->user_id,
                     .purpose = purpose,
                     .email = text->to,
                     .expires_us = clock_unix_us(rq->clock) + life_ms * 1000};

    TRY(db_tx_begin(rq, &tx));
    TRY(mail_store_insert_token(&tx, &row));
    TRY(db_tx_commit(&tx));
    text->link = link_make(auth, rq->mem, resets ? PATH_RESET_PASSWORD : PATH_VERIFY_EMAIL, token);
    return OK;
}

static bool is_address(const char *address, const char *other)
{
    return address && slice_eq_nocase(slice(address), slice(other));
}

/* False when it has become pointless: the account is gone, or has another address. */
static Err fill_text(Request *rq, const MailRow *mail, MailText *text, bool *out_wanted)
{
    const Auth *auth = rq->service;
    AddressRow account = {.user_id = 0};
    Slice detail = SLICE_LIT("");

    *out_wanted = true;
    *text = (MailText){.id = mail->id, .kind = mail->kind, .to = mail->recipient, .at_us = mail->created_us};
    if (mail->detail.len) {
        *out_wanted = unseal(auth->settings, rq->mem, mail->detail, &detail);
        text->detail = slice_cstr(rq->mem, detail);
    }
    if (mail->kind == MAIL_RESET)
        TRY(mail_store_account_at(rq, mail->recipient, &account));
    else if (mail->user_id)
        TRY(mail_store_address(rq, NULL, mail->user_id, &account));
    text->username = account.username;
    switch (mail->kind) {
    case MAIL_RESET:
        *out_wanted = account.user_id && account.active;
        return *out_wanted ? make_link(rq, &account, TOKEN_RESET_PASSWORD, text) : OK;
    case MAIL_VERIFICATION:
        *out_wanted = (is_address(account.email, text->to) && !account.verified_us) ||
                      is_address(account.pending_email, text->to);
        return *out_wanted ? make_link(rq, &account, TOKEN_VERIFY_EMAIL, text) : OK;
    default:
        return OK;
    }
}

static Err send_mail(MailSender *sender, Request *rq, const MailRow *mail)
{
    const MailSenderOptions *o = &sender->options;
    const AuthSettings *settings = o->auth->settings;
    MailText text;
    bool wanted;
    Err e;

    if (mail->expires_us <= clock_unix_us(o->clock)) {
        counter_add(sender->given_up, 1);
        LOG_WARN(o->log, "mail_given_up", "mail", uuid_text(rq->mem, mail->id));
        return mail_store_finish(rq, mail->id, false, clock_unix_us(o->clock));
    }
    TRY(fill_text(rq, mail, &text, &wanted));
    if (!wanted) {
        counter_add(sender->nobody, 1);
        return mail_store_finish(rq, mail->id, false, clock_unix_us(o->clock));
    }
    e = o->send(settings, rq->mem, text.to, mail_message(settings, rq->mem, &text), &sender->stopping);
    counter_add(err_failed(e) ? sender->failed : sender->sent, 1);
    TRY(e);
    rq->deadline_ms = clock_monotonic_ms(o->clock) + STEP_TIMEOUT_MS; /* the server may have taken its time */
    return mail_store_finish(rq, mail->id, true, clock_unix_us(o->clock));
}

bool mail_sender_step(MailSender *sender)
{
    const MailSenderOptions *o = &sender->options;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = {.mem = mem,
                  .service = o->auth,
                  .clock = o->clock,
                  .db = o->db,
                  .log = o->log,
                  .deadline_ms = clock_monotonic_ms(o->clock) + STEP_TIMEOUT_MS};
    bool found = false;
    MailRow mail;
    Err e;

    e = mail_store_claim(&rq, clock_unix_us(o->clock), o->auth->settings->mail_retry_ms, &mail, &found);
    if (!err_failed(e) && found)
        e = send_mail(sender, &rq, &mail);
    if (err_failed(e))
        LOG_WARN(o->log, "mail_failed", "error", e.text, "tries", found ? mail.attempts : 0);
    return found && !err_failed(e);
}

/* ---------------------------------------------------------------------------------------------------- the thread */
MailSender *mail_sender_new(const MailSenderOptions *options)
{
    static const char NAME[] = "atrium_auth_mails_total", HELP[] = "Mails, by what became of a try to send them.";
    MailSender *sender = xcalloc(1, sizeof(*sender));

    sender->options = *options;
    sender->sent = metrics_counter(options->metrics, NAME, HELP, "result=\"sent\"");
    sender->failed = metrics_counter(options->metrics, NAME, HELP, "result=\"failed\"");
    sender->given_up = metrics_counter(options->metrics, NAME, HELP, "result=\"given_up\"");
    sender->nobody = metrics_counter(options->metrics, NAME, HELP, "result=\"nobody\"");
    return sender;
}

void mail_sender_free(MailSender *sender)
{
    free(sender);
}

static Err take_turn(SweeperTurn *turn)
{
    turn->more = mail_sender_step(turn->data);
    return OK;
}

MailSender *mail_sender_start(const MailSenderOptions *options)
{
    MailSender *sender = mail_sender_new(options);

    sender->sweeper = sweeper_start(&(SweeperOptions){.db = options->db,
                                                      .log = options->log,
                                                      .name = "mail",
                                                      .data = sender,
                                                      .tasks = {{.what = "mail", .turn = take_turn}},
                                                      .interval_ms = options->auth->settings->mail_interval_ms});
    return sender;
}

void mail_sender_stop(MailSender *sender)
{
    if (!sender)
        return;
    atomic_store(&sender->stopping, true);
    sweeper_stop(sender->sweeper);
    mail_sender_free(sender);
}
