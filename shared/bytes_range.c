/* bytes_range: see bytes_range.h. */
#include "shared/bytes_range.h"

#include <curl/curl.h>
#include <time.h>

/* --- dates ------------------------------------------------------------------------------------------------------- */
void http_date_format(int64_t unix_ms, char out[HTTP_DATE_BYTES])
{
    static const char DAYS[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char MONTHS[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const time_t seconds = (time_t)(unix_ms / 1000);
    struct tm t = {0};

    (void)gmtime_r(&seconds, &t); /* fails for years that do not fit into an int */
    snprintf(out, HTTP_DATE_BYTES, "%s, %02u %s %04u %02u:%02u:%02u GMT", DAYS[(unsigned)t.tm_wday % 7],
             (unsigned)t.tm_mday % 100, MONTHS[(unsigned)t.tm_mon % 12], (unsigned)(t.tm_year + 1900) % 10000,
             (unsigned)t.tm_hour % 100, (unsigned)t.tm_min % 100, (unsigned)t.tm_sec % 100);
}

bool http_date_parse(const char *text, int64_t *out_unix_s)
{
    time_t seconds = curl_getdate(text, NULL);

    *out_unix_s = (int64_t)seconds;
    return seconds >= 0; /* what it cannot read is -1 */
}

/* --- entity tags ------------------------------------------------------------------------------------------------- */
static Slice trim_space(Slice s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_skip(s, 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Cuts one entity tag off a list: its text without quotes, and whether it is weak. False at the end, and where the list
 * is malformed: the rest of it then counts as not there. */
static bool next_tag(Slice *rest, Slice *out, bool *out_weak)
{
    ptrdiff_t end;

    *rest = trim_space(*rest);
    while (rest->len && rest->ptr[0] == ',')
        *rest = trim_space(slice_skip(*rest, 1));
    *out_weak = slice_starts_with(*rest, SLICE_LIT("W/"));
    if (*out_weak)
        *rest = slice_skip(*rest, 2);
    if (rest->len < 2 || rest->ptr[0] != '"')
        return false;
    *rest = slice_skip(*rest, 1);
    end = slice_find_char(*rest, '"');
    if (end < 0)
        return false;
    *out = slice_take(*rest, (size_t)end);
    *rest = slice_skip(*rest, (size_t)end + 1);
    return true;
}

static bool tags_match(const char *list, const char *etag, bool weak_counts)
{
    Slice rest = trim_space(slice(list)), tag;
    bool weak;

    if (slice_eq_cstr(rest, "*"))
        return true; /* there is an entity, or nobody would ask */
    while (etag && next_tag(&rest, &tag, &weak))
        if ((weak_counts || !weak) && slice_eq_cstr(tag, etag))
            return true;
    return false;
}

/* --- conditions -------------------------------------------------------------------------------------------------- */
/* In the order of RFC 9110, section 13.2.2. 0: go on. */
static int check_conditions(const RangeRequest *r, const RangeEntity *e)
{
    int64_t modified_s = e->modified_ms / 1000, since_s;

    if (r->if_match) {
        if (!tags_match(r->if_match, e->etag, false))
            return 412;
    } else if (r->if_unmodified_since && e->modified_ms && http_date_parse(r->if_unmodified_since, &since_s)) {
        if (modified_s > since_s)
            return 412;
    }
    if (r->if_none_match) {
        if (tags_match(r->if_none_match, e->etag, true))
            return 304;
    } else if (r->if_modified_since && e->modified_ms && http_date_parse(r->if_modified_since, &since_s)) {
        if (modified_s <= since_s)
            return 304;
    }
    return 0;
}

/* Only what is surely the same may be continued: a strong tag, or the very date that we tell. */
static bool range_still_holds(const RangeRequest *r, const RangeEntity *e)
{
    Slice text, tag;
    bool weak;
    int64_t date_s;

    if (!r->if_range)
        return true;
    text = trim_space(slice(r->if_range));
    if (next_tag(&text, &tag, &weak))
        return !weak && text.len == 0 && e->etag && slice_eq_cstr(tag, e->etag);
    return e->modified_ms && http_date_parse(r->if_range, &date_s) && date_s == e->modified_ms / 1000;
}

/* --- ranges ------------------------------------------------------------------------------------------------------ */
/* Digits only; more than fits counts as the largest number. */
static bool read_position(Slice text, uint64_t *out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.ptr[i] - '0'), &value))
            value = UINT64_MAX;
    }
    *out = value;
    return text.len > 0;
}

/* The one range of a set; false when there is none, or more, or anything else. */
static bool only_range(Slice set, Slice *out)
{
    Slice one;
    size_t count = 0;
    bool more;

    do {
        more = slice_cut(set, ',', &one, &set);
        one = trim_space(one);
        if (one.len && count++ == 0)
            *out = one;
    } while (more);
    return count == 1;
}

static RangeAnswer whole(const RangeEntity *e)
{
    return (RangeAnswer){.status = 200, .length = e->size};
}

static RangeAnswer unsatisfiable(void)
{
    return (RangeAnswer){.status = 416};
}

static RangeAnswer decide_range(const char *header, const RangeEntity *e)
{
    Slice text = trim_space(slice(header)), range, first_text, last_text;
    const Slice unit = SLICE_LIT("bytes=");
    uint64_t first, last = UINT64_MAX;

    if (!slice_eq_nocase(slice_take(text, MIN(text.len, unit.len)), unit) ||
        !only_range(slice_skip(text, MIN(text.len, unit.len)), &range) ||
        !slice_cut(range, '-', &first_text, &last_text))
        return whole(e);
    first_text = trim_space(first_text), last_text = trim_space(last_text);
    if (first_text.len == 0) { /* so many from the end */
        if (!read_position(last_text, &last))
            return whole(e);
        if (last == 0)
            return unsatisfiable();
        if (e->size == 0)
            return whole(e); /* satisfiable, and there is no way to say so */
        last = MIN(last, e->size);
        return (RangeAnswer){.status = 206, .offset = e->size - last, .length = last};
    }
    if (!read_position(first_text, &first) || (last_text.len && !read_position(last_text, &last)) || last < first)
        return whole(e);
    if (first >= e->size)
        return unsatisfiable();
    last = MIN(last, e->size - 1);
    return (RangeAnswer){.status = 206, .offset = first, .length = last - first + 1};
}

RangeAnswer range_decide(const RangeRequest *request, const RangeEntity *entity)
{
    int status = check_conditions(request, entity);

    if (status)
        return (RangeAnswer){.status = status};
    if (request->range && request->is_get && entity->has_size && range_still_holds(request, entity))
        return decide_range(request->range, entity);
    return whole(entity);
}
