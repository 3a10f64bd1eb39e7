/* ticket: what a URL is good for, signed, so that whoever holds the URL may do that one thing without a credential: put
 * one upload, get one file, play one stream. The text is base64url(HMAC-SHA256 (32 bytes) and atrium.Ticket): it fits
 * into one segment of a path, so that relative links below it inherit it.
 *
 * A ticket is no secret of ours and hides nothing: its holder can read what stands in it. It cannot be taken back by
 * itself; it ends with its time, with its login (bytes_take_ticket() looks), or when its maker counts `generation` on
 * and refuses what is older. "Once" is the handler's business, too: it notes `id` in its own tables.
 *
 * Kinds are words of the domain that makes them ("put", "get", "tus", "stream"): one made for one thing never does for
 * another. Domains do not share keys where they need not: BYTES_TICKET_KEY is each service's own setting. */
#pragma once
#include "shared/clock.h"
#include "shared/err.h"
#include "shared/slice.h"

enum {
    TICKET_MAX_BYTES = 2048,    /* of the text; longer ones are neither made nor looked at */
    TICKET_KIND_MAX_BYTES = 32, /* a word: letters, digits, '.', '_' and '-' */
    TICKET_KEY_BYTES = 32,
    TICKET_KEYS_MAX = 8
};

/* Fields that say nothing are 0, "" or empty. */
typedef struct Ticket {
    const char *kind;
    int64_t user_id;
    const char *login_id; /* of which it is part: it ends with it; "" outlives logins (public links) */
    const char *resource; /* which thing: a media id, an object key, "bundle 7 of 9": the domain's own words */
    int64_t expires_ms;   /* Unix milliseconds; it is worthless from then on */
    uint64_t generation;  /* of the resource, when it was made */
    const char *id;       /* names this ticket among all, for those that do once only; "" none */
    bool single_use;      /* says that it does once: for the handler, nothing here looks */
    /* What an upload is bound to; what is not said is free. */
    const char *content_type;
    bool has_length;
    uint64_t length;
    Slice sha256;         /* 32 bytes, or empty */
    const char *filename; /* for Content-Disposition; "" none */
} Ticket;

/* The keys: the first signs, all of them verify, so that a new one is put in front and the old one stays as long as
 * its tickets live. Thread-safe. */
typedef struct TicketKeys TicketKeys;
/* `list`: BYTES_TICKET_KEY, each key 64 hex digits, comma-separated. INVALID_ARGUMENT, which does not repeat it. */
Err ticket_keys_new(const char *list, TicketKeys **out) MUST_CHECK;
/* Of random bytes, for tests and for a process that is alone. */
TicketKeys *ticket_keys_random(void);
void ticket_keys_free(TicketKeys *keys); /* wipes them; NULL is fine */
CLEANUP_FN(TicketKeys, ticket_keys_free)

/* `out` is borrowed from `mem`. INVALID_ARGUMENT when it has no kind or no end, or would be longer than
 * TICKET_MAX_BYTES. */
Err ticket_sign(const TicketKeys *keys, Arena *mem, const Ticket *ticket, char **out) MUST_CHECK;
/* One way to refuse, PERMISSION_DENIED, for what is forged, cut, of another kind, or over; constant time where a key is
 * involved. `kind` may be NULL for who tells kinds apart himself. `out` is borrowed from `mem`. Handlers of the data
 * plane use bytes_take_ticket(), which also looks at the login. */
Err ticket_verify(const TicketKeys *keys, const Clock *clock, Arena *mem, Slice text, const char *kind,
                  Ticket *out) MUST_CHECK;

/* `base` (service_bytes_url(), or any other, with or without a slash at its end), `path` ("/media/file/"), the ticket,
 * and `rest` ("/summer day.mp4", or "") percent-encoded but for its slashes. Borrowed from `mem`. */
char *ticket_url(Arena *mem, const char *base, const char *path, const char *ticket, const char *rest);
