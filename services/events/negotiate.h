/* negotiate: which representation a request gets, by its Accept header (RFC 9110, 12.5.1) or the suffix of its path. No
 * state: any thread. */
#pragma once
#include "shared/slice.h"

typedef enum Format {
    FORMAT_JSON,
    FORMAT_JSONLD,
    FORMAT_HTML,
    FORMAT_TURTLE,
    FORMAT_NTRIPLES,
    FORMAT_CALENDAR,
    FORMAT_GEOJSON,
    FORMAT_ATOM,
    FORMAT_FEED_JSON,
    FORMAT_COUNT
} Format;

enum { ACCEPT_MAX_RANGES = 64 }; /* of a header that are looked at */

/* With its charset, where it is a text that says none itself. */
const char *format_content_type(Format format);
const char *format_suffix(Format format); /* ".ttl"; "" when it has none */

/* Of a page that is one of `offered`, in the order that counts among equals, the last one the default. A range that
 * names a type beats a wildcard of the same quality; what is not mentioned counts as the default. `accept` may be NULL.
 * False when the header excludes all of them (406). */
bool negotiate_page(const char *accept, const Format *offered, size_t count, Format *out) MUST_CHECK;

/* Of /api/v1: never a refusal. FORMAT_JSON, unless one of `others` ranks above it, or as high and earlier in the
 * header. */
Format negotiate_api(const char *accept, const Format *others, size_t count);

/* Cuts a known suffix off: "01J….ttl" is "01J…" and FORMAT_TURTLE. False when there is none; `name` is left alone. */
bool format_by_suffix(Slice *name, Format *out);
