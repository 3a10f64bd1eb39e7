/* bytes_range: what the conditions and ranges of a request ask of something (RFC 9110, sections 13 and 14), as a
 * function of headers and validators alone. */
#pragma once
#include "shared/slice.h"

typedef struct RangeRequest {
    bool is_get; /* ranges are GET's only; HEAD knows conditions */
    /* Header values; NULL when absent. */
    const char *range, *if_range, *if_match, *if_none_match, *if_modified_since, *if_unmodified_since;
} RangeRequest;

typedef struct RangeEntity {
    bool has_size;
    uint64_t size;
    const char *etag;    /* strong, without its quotes; NULL none */
    int64_t modified_ms; /* 0 none */
} RangeEntity;

typedef struct RangeAnswer {
    int status;              /* 200, 206, 304, 412, 416 */
    uint64_t offset, length; /* of 200 and 206, when the size is known */
} RangeAnswer;

/* Never fails: what is malformed, or more than one range, is as if it were not there. */
RangeAnswer range_decide(const RangeRequest *request, const RangeEntity *entity);

/* "Sun, 06 Nov 1994 08:49:37 GMT" and its terminator. */
enum { HTTP_DATE_BYTES = 30 };
void http_date_format(int64_t unix_ms, char out[HTTP_DATE_BYTES]);
/* In seconds; any form that RFC 9110 has. */
bool http_date_parse(const char *text, int64_t *out_unix_s);
