/* etag: entity tags, and what requests say by them (RFC 9110). See entity.h. */
#include "services/events/entity.h"

char *etag_make(Arena *mem, int64_t version, const char *extra, const char *representation)
{
    return arena_printf(mem, "\"%" PRId64 "%s%s-%s\"", version, extra[0] ? "." : "", extra, representation);
}

/* Calls for each tag of a list, without W/ and quotes. */
static bool next_tag(Slice *rest, Slice *tag)
{
    Slice item;

    while (rest->len) {
        (void)slice_cut(*rest, ',', &item, rest); /* ours have no commas; false is the last one */
        item = slice_trim(item);
        if (slice_starts_with(item, SLICE_LIT("W/")))
            item = slice_skip(item, 2);
        if (item.len >= 2 && item.ptr[0] == '"' && item.ptr[item.len - 1] == '"')
            item = slice_of(item.ptr + 1, item.len - 2);
        if (item.len) {
            *tag = item;
            return true;
        }
    }
    return false;
}

/* "7" of "7.2-json". */
static bool version_of(Slice tag, int64_t *out)
{
    size_t digits = 0;

    while (digits < tag.len && tag.ptr[digits] >= '0' && tag.ptr[digits] <= '9')
        digits++;
    return slice_to_int64(slice_take(tag, digits), out);
}

Err etag_check(const Request *rq, int64_t version)
{
    const Events *events = rq->service;
    Slice rest = slice(request_header(rq, "if-match")), tag;
    int64_t wanted;

    if (slice_trim(rest).len == 0)
        return events->settings->require_if_match
                   ? err_make(&PRECONDITION_REQUIRED, "If-Match must name the version that is changed")
                   : OK;
    while (next_tag(&rest, &tag))
        if (slice_eq_cstr(tag, "*") || (version_of(tag, &wanted) && wanted == version))
            return OK;
    return err_make(&PRECONDITION_FAILED, "it is in version %" PRId64 " by now", version);
}

bool etag_is_known(const Request *rq, const char *etag)
{
    Slice rest = slice(request_header(rq, "if-none-match")), tag;
    Slice own = slice_of(etag + 1, strlen(etag) - 2);

    while (next_tag(&rest, &tag))
        if (slice_eq_cstr(tag, "*") || slice_eq(tag, own))
            return true;
    return false;
}
