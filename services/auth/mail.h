/* mail: what is to be sent waits in the database, beside the change that it tells of; mail_sender.h sends it. */
#pragma once
#include "services/auth/store_mail.h"

/* Whether anything can be sent at all. */
bool mail_configured(const Auth *auth);

/* Of check_settings: what can be wrong with these beyond their ranges. */
Err mail_check_settings(const AuthSettings *settings) MUST_CHECK;

typedef struct MailDraft {
    MailKind kind;
    int64_t user_id; /* 0: nobody's yet */
    const char *to;  /* a checked address */
    /* Of an invitation its link, of a new login where it came from; NULL for the others, whose links are made when
     * they are sent. */
    const char *detail;
} MailDraft;
/* Within the transaction of what it tells of. `*out_sent` (may be NULL) is false where nothing can be sent. Links to
 * one address are sent once a minute and ten times a day at most: what is beyond that is dropped without a word, since
 * the caller need not be who gets them. INVALID_EMAIL for what is no address. */
Err mail_insert(DbTx *tx, Request *rq, const MailDraft *draft, bool *out_sent) MUST_CHECK;

/* A page of the client: PUBLIC_URL, never the Host of a request, with the token. Borrowed from `mem`. */
char *link_make(const Auth *auth, Arena *mem, const char *path, const char *token);
/* 32 random bytes as text; the database knows token_hash of it. Borrowed from `mem`. */
char *link_token(Arena *mem);
#define PATH_VERIFY_EMAIL "/verify-email"
#define PATH_RESET_PASSWORD "/reset-password"

/* A whole message (RFC 5322), lines ending in CR LF. */
typedef struct MailText {
    Uuid id; /* the same for every try, so that receivers see what came twice */
    MailKind kind;
    const char *to, *detail, *link, *username;
    int64_t at_us;
} MailText;
Slice mail_message(const AuthSettings *settings, Arena *mem, const MailText *text);
