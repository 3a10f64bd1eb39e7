/* admin_pages: what the answers of administration have in common: lists in parts, whose cursors only we read, times,
 * versions that changes rest on. */
#pragma once
#include "google/protobuf/timestamp.pb-c.h"
#include "services/events/events.h"

typedef struct AdminPage {
    int64_t limit;
    int64_t after_us; /* 0: where lists are not in order of a time */
    Uuid after;       /* nil: from the beginning */
} AdminPage;
/* `limit` 1 to PAGE_MAX; `after` may be NULL. INVALID_ARGUMENT with a violation. */
Err admin_page_parse(Request *rq, bool has_limit, int64_t limit, const char *after, AdminPage *out) MUST_CHECK;
/* Of `count` rows, of which one more than the limit was asked for, those that are shown. */
size_t admin_page_shown(const AdminPage *page, size_t count);
/* "" when they are the last ones. Borrowed from `mem`. */
char *admin_page_next(Arena *mem, const AdminPage *page, size_t count, int64_t last_us, Uuid last);

/* NULL for 0. */
Google__Protobuf__Timestamp *timestamp_of(Arena *mem, int64_t unix_us);
/* NULL for "", which is left out of answers. */
char *text_or_absent(Arena *mem, const char *text);

/* If-Match and, where a body has one, `version`, against what is there: PRECONDITION_FAILED. */
Err version_check(const Request *rq, bool has_version, int64_t version, int64_t current) MUST_CHECK;
