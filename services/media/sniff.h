/* sniff: what bytes are, by what they begin with (libmagic). Thread-safe: cookies are pooled, one for each caller at a
 * time. */
#pragma once
#include "shared/blob.h"

enum { SNIFF_BYTES = 65536, SNIFF_TYPE_MAX_BYTES = 127, SNIFF_COOKIES_MAX = 4 };

typedef struct Sniffer Sniffer;
/* INTERNAL: libmagic or its database cannot be used. */
Err sniffer_new(Sniffer **out) MUST_CHECK;
void sniffer_free(Sniffer *s);
CLEANUP_FN(Sniffer, sniffer_free)

/* The type of what begins with `head` and was claimed to be `claimed` ("" nothing): what the bytes say; the claim where
 * they say nothing (application/octet-stream), or only that they are text and the claim is a kind of text. Borrowed
 * from `mem`. */
Err sniff_bytes(Sniffer *s, Arena *mem, Slice head, const char *claimed, char **out) MUST_CHECK;
/* The same of an object. */
Err sniff_object(Sniffer *s, Blob *blob, Arena *mem, const char *key, const char *claimed, char **out) MUST_CHECK;

/* May a browser show it in our origin? Pictures, sound and video are; what can hold scripts is not, known or not. */
bool sniff_is_harmless(const char *type);
