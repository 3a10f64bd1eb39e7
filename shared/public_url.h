/* public_url: addresses that users give and the platform speaks to (webhooks, calendars): nothing of our own network.
 *
 * Two guards. This one looks at the text, when it is given: schemes, user names, addresses in figures in whatever form.
 * The other one is http_client's (`public_only`), on the resolved address of each connection and redirect: names are
 * looked up there, so that nobody changes them in between. Use both. */
#pragma once
#include "shared/err.h"
#include "shared/slice.h"

/* http or https, a host, no user, password or fragment, no address that is not public and not among `allowed`
 * ("127.0.0.1:9000,[fd00::1]:443"; may be ""). INVALID_ARGUMENT: its text begins with "url: ". Thread-safe. */
Err public_url_check(Arena *mem, const char *url, size_t max_bytes, const char *allowed) MUST_CHECK;
