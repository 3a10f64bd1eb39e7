/* head: the request line and the headers of an exchange, read by shared/http_head.h. The lookups are exchange_header()
 * and exchange_header_joined(). */
#pragma once
#include "services/gateway/exchange.h"

/* Fills the headers of `x` and what they say about its body. `method` and `version` stand in MHD's buffer, as
 * x->uri_end does. NULL when the head is well-formed and says one thing about the body's length; else what is wrong; a
 * status of its own (too long, too many) is put into `out_status`. */
const char *head_read(Exchange *x, const char *method, const char *version, int *out_status) MUST_CHECK;
