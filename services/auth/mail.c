/* mail: what is to be sent, and how it reads. */
#include "services/auth/mail.h"

#include <time.h>

#include "services/auth/seal.h"
#include "services/auth/text.h"
#include "services/auth/tokens.h"
#include "shared/strbuf.h"

enum { TOKEN_BYTES = 32, MESSAGE_MAX_BYTES = 64 * 1024, DATE_BYTES = 48, LINKS_A_DAY = 10 };
#define A_MINUTE_US (INT64_C(60) * 1000000)
#define A_DAY_US (INT64_C(86400) * 1000000)

/* ---------------------------------------------------------------------------------------------------- settings */
bool mail_configured(const Auth *auth)
{
    return auth->settings->smtp_host[0] != '\0';
}

static bool is_here(const char *host)
{
    static const char *const NAMES[] = {"localhost", "127.0.0.1", "::1"};

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (strcmp(host, NAMES[i]) == 0)
            return true;
    return false;
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

/* They stand in a URL and in the head of every mail. */
Err mail_check_settings(const AuthSettings *settings)
{
    static const char HOST[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:";
    const char *tls = settings->smtp_tls;
    Slice address;

    if (strcmp(tls, "starttls") != 0 && strcmp(tls, "tls") != 0 && strcmp(tls, "off") != 0)
        return err_make(&INVALID_ARGUMENT, "SMTP_TLS: \"%s\" is none of starttls, tls, off", tls);
    if (!is_printable(settings->mail_name))
        return err_make(&INVALID_ARGUMENT, "MAIL_NAME: printable ASCII only");
    if (!settings->smtp_host[0])
        return OK;
    if (strspn(settings->smtp_host, HOST) != strlen(settings->smtp_host))
        return err_make(&INVALID_ARGUMENT, "SMTP_HOST: a name or an address, without scheme and port");
    if (strcmp(tls, "off") == 0 && !is_here(settings->smtp_host))
        return err_make(&INVALID_ARGUMENT, "SMTP_TLS: off is for a server on this machine; mails hold links that let "
                                           "somebody in");
    if (email_parse(slice(settings->smtp_from), true, &address) || address.len != strlen(settings->smtp_from))
        return err_make(&INVALID_ARGUMENT, "SMTP_FROM: a plain address (somebody@example.org)");
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- links */
char *link_make(const Auth *auth, Arena *mem, const char *path, const char *token)
{
    Slice base = slice(auth->settings->public_url);

    if (base.len && base.ptr[base.len - 1] == '/')
        base.len--;
    return arena_printf(mem, "%.*s%s?token=%s", (int)base.len, base.ptr, path, token);
}

char *link_token(Arena *mem)
{
    uint8_t bytes[TOKEN_BYTES];

    random_bytes(bytes, sizeof(bytes));
    return base64url_encode(mem, slice_of(bytes, sizeof(bytes)));
}

/* ---------------------------------------------------------------------------------------------------- waiting */
static int64_t life_us(const AuthSettings *settings, MailKind kind)
{
    switch (kind) {
    case MAIL_RESET:
        return settings->reset_ttl_ms * 1000;
    case MAIL_VERIFICATION:
        return MIN(settings->verify_ttl_ms * 1000, A_DAY_US);
    default:
        return A_DAY_US;
    }
}

Err mail_insert(DbTx *tx, Request *rq, const MailDraft *draft, bool *out_sent)
{
    const Auth *auth = rq->service;
    int64_t now_us = clock_unix_us(rq->clock);
    bool asked_for = draft->kind == MAIL_RESET || draft->kind == MAIL_VERIFICATION;
    MailBounds bounds = asked_for ? (MailBounds){.apart_us = A_MINUTE_US, .a_day = LINKS_A_DAY} : (MailBounds){0};
    MailRow row = {.id = uuid_v7(auth->ids),
                   .kind = draft->kind,
                   .user_id = draft->user_id,
                   .recipient = draft->to,
                   .created_us = now_us,
                   .expires_us = now_us + life_us(auth->settings, draft->kind)};
    Slice address;

    if (mail_configured(auth)) {
        /* Whatever came here: nothing that could begin another header or another recipient. */
        if (email_parse(slice(draft->to), true, &address) || address.len != strlen(draft->to))
            return err_make(&INVALID_EMAIL, "this is no e-mail address");
        if (draft->detail)
            row.detail = seal(auth->settings, rq->mem, slice(draft->detail));
        TRY(mail_store_insert(tx, &row, &bounds));
    }
    if (out_sent)
        *out_sent = mail_configured(auth);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- texts */
/* `%N`: the platform, `%U`: the account, `%L`: the link, `%D`: what the mail brought with it. */
static const struct {
    const char *subject, *body;
} TEXTS[MAIL_KIND_COUNT] = {
    [MAIL_VERIFICATION] = {"%N: is this your address?",
                           "Hello %U,\n\n"
                           "this address was given for your account at %N. If that was you, open this link:\n\n"
                           "%L\n\n"
                           "If it was not, there is nothing to do.\n"},
    [MAIL_RESET] = {"%N: a new password",
                    "Hello %U,\n\n"
                    "somebody asked for a new password for your account at %N. If that was you, choose it here:\n\n"
                    "%L\n\n"
                    "All devices will have to log in again. If it was not you, there is nothing to do: your password\n"
                    "stays what it is.\n"},
    [MAIL_INVITATION] = {"%N: you are invited", "Hello,\n\n"
                                                "there is a place for you at %N. This link takes you there:\n\n"
                                                "%D\n\n"
                                                "It is yours alone: whoever opens it first has the account.\n"},
    [MAIL_NEW_LOGIN] = {"%N: a login from a new place",
                        "Hello %U,\n\n"
                        "somebody logged in to your account at %N from where you have not been before:\n\n"
                        "%D\n\n"
                        "If that was not you, change your password, which ends all other logins.\n"},
};

/* Lines end in CR LF; a line break never comes out of what is filled in. */
static void append_plain(StrBuf *out, const char *text)
{
    for (; text && *text; text++)
        strbuf_append_char(out, (unsigned char)*text < ' ' || *text == 127 ? ' ' : *text);
}

static void append_filled(StrBuf *out, const AuthSettings *settings, const MailText *text, const char *form)
{
    for (; *form; form++) {
        if (*form == '\n') {
            strbuf_append_cstr(out, "\r\n");
        } else if (*form != '%') {
            strbuf_append_char(out, *form);
        } else {
            char which = *++form;

            append_plain(out, which == 'N'   ? settings->mail_name
                              : which == 'U' ? text->username
                              : which == 'L' ? text->link
                                             : text->detail);
        }
    }
}

static void append_date(StrBuf *out, int64_t at_us)
{
    time_t at = (time_t)(at_us / 1000000);
    char date[DATE_BYTES];
    struct tm tm;

    gmtime_r(&at, &tm);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm); /* no locale is ever set */
    strbuf_printf(out, "Date: %s\r\n", date);
}

Slice mail_message(const AuthSettings *settings, Arena *mem, const MailText *text)
{
    StrBuf out = strbuf_new(mem, MESSAGE_MAX_BYTES);
    const char *from = settings->smtp_from;
    Slice message = SLICE_LIT("");

    strbuf_printf(&out, "From: <%s>\r\nTo: <%s>\r\nSubject: ", from, text->to);
    append_filled(&out, settings, text, TEXTS[text->kind].subject);
    strbuf_append_cstr(&out, "\r\n");
    append_date(&out, text->at_us);
    strbuf_printf(&out, "Message-ID: <%s%s>\r\n", uuid_text(mem, text->id), strchr(from, '@'));
    strbuf_append_cstr(&out, "Auto-Submitted: auto-generated\r\n"
                             "MIME-Version: 1.0\r\n"
                             "Content-Type: text/plain; charset=utf-8\r\n"
                             "Content-Transfer-Encoding: 8bit\r\n"
                             "\r\n");
    append_filled(&out, settings, text, TEXTS[text->kind].body);
    if (!strbuf_finish(&out, &message))
        abort(); /* every part of it is bounded, far below */
    return message;
}
