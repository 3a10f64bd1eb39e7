/* urls: addresses that strangers give, and our own canonical URIs (contracts/events.md 4 and 7.2). No state: any
 * thread. What is returned is borrowed from `mem`. */
#pragma once
#include "shared/id.h"
#include "shared/slice.h"

enum { URI_MAX_BYTES = 2000 };

/* An absolute http(s) URL in ASCII, without fragment and without the parameters that only track readers; a missing
 * scheme is https. NULL for anything else: other schemes, user names in it, no host, too long. */
const char *url_clean(Arena *mem, Slice raw);
/* The host of what url_clean gave, lower case, without port. */
Slice url_host(const char *url);
/* Scheme, host and port of it: "https://example.org". Two sources are one by this (13). */
const char *url_origin(Arena *mem, const char *url);
/* Is `host` this domain or below it? */
bool host_is_below(Slice host, Slice domain);

typedef enum UriKind {
    URI_OURS,     /* of the collection, `out_ulid` is set, upper case */
    URI_FOREIGN,  /* an absolute http(s) URL elsewhere */
    URI_MALFORMED /* neither; or on our host, and no ULID or not in the collection */
} UriKind;
/* `base` is scheme and host without a slash at its end; `collection` "events", "places" or "organizations". With
 * `bare`, "places/ULID", "/places/ULID" and the ULID alone are ours, too. */
UriKind uri_read(Slice base, const char *collection, bool bare, Slice uri, char out_ulid[ULID_TEXT_BYTES]);
const char *uri_make(Arena *mem, Slice base, const char *collection, const char *ulid);
