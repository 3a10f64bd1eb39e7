/* admin_pages: see admin_pages.h. */
#include "services/events/admin_pages.h"

#include "services/events/entity.h"

enum { CURSOR_MAX_BYTES = 128 };

/* base64url of "<unix microseconds>:<ULID>". */
static bool read_cursor(Arena *mem, Slice text, AdminPage *out)
{
    Slice plain, number, ulid;

    return text.len <= CURSOR_MAX_BYTES && base64_decode(mem, text, &plain) && slice_cut(plain, ':', &number, &ulid) &&
           slice_to_int64(number, &out->after_us) && ulid_parse(ulid, &out->after);
}

Err admin_page_parse(Request *rq, bool has_limit, int64_t limit, const char *after, AdminPage *out)
{
    *out = (AdminPage){.limit = has_limit ? limit : PAGE_DEFAULT};
    if (out->limit < 1 || out->limit > PAGE_MAX) {
        request_add_violation(rq, ATRIUM__PART__QUERY, "limit", "out_of_range", "1 to %d", PAGE_MAX);
        return err_make(&INVALID_ARGUMENT, "limit: 1 to %d", PAGE_MAX);
    }
    if (after && after[0] && !read_cursor(rq->mem, slice(after), out)) {
        request_add_violation(rq, ATRIUM__PART__QUERY, "after", "cursor", "not a cursor of this list");
        return err_make(&INVALID_ARGUMENT, "after: not a cursor of this list");
    }
    return OK;
}

size_t admin_page_shown(const AdminPage *page, size_t count)
{
    return MIN(count, (size_t)page->limit);
}

char *admin_page_next(Arena *mem, const AdminPage *page, size_t count, int64_t last_us, Uuid last)
{
    char *plain;

    if (count <= (size_t)page->limit)
        return arena_strdup(mem, "");
    plain = arena_printf(mem, "%" PRId64 ":%s", last_us, ulid_text(mem, last));
    return base64url_encode(mem, slice(plain));
}

Google__Protobuf__Timestamp *timestamp_of(Arena *mem, int64_t unix_us)
{
    Google__Protobuf__Timestamp *t;
    int64_t fraction = (unix_us % 1000000 + 1000000) % 1000000;

    if (!unix_us)
        return NULL;
    t = MESSAGE_NEW(mem, Google__Protobuf__Timestamp, google__protobuf__timestamp__init);
    t->seconds = (unix_us - fraction) / 1000000;
    t->nanos = (int32_t)fraction * 1000;
    return t;
}

char *text_or_absent(Arena *mem, const char *text)
{
    return text && text[0] ? arena_strdup(mem, text) : NULL;
}

Err version_check(const Request *rq, bool has_version, int64_t version, int64_t current)
{
    if (has_version)
        return version == current ? OK : err_make(&PRECONDITION_FAILED, "it is in version %" PRId64 " by now", current);
    return etag_check(rq, current);
}
