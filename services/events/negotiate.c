#include "services/events/negotiate.h"

static const struct {
    const char *type, *content_type, *suffix;
} FORMATS[FORMAT_COUNT] = {
    [FORMAT_JSON] = {"application/json", "application/json", ".json"},
    [FORMAT_JSONLD] = {"application/ld+json", "application/ld+json; charset=utf-8", ".jsonld"},
    [FORMAT_HTML] = {"text/html", "text/html; charset=utf-8", ".html"},
    [FORMAT_TURTLE] = {"text/turtle", "text/turtle; charset=utf-8", ".ttl"},
    [FORMAT_NTRIPLES] = {"application/n-triples", "application/n-triples; charset=utf-8", ".nt"},
    [FORMAT_CALENDAR] = {"text/calendar", "text/calendar; charset=utf-8", ".ics"},
    [FORMAT_GEOJSON] = {"application/geo+json", "application/geo+json", ".geojson"},
    [FORMAT_ATOM] = {"application/atom+xml", "application/atom+xml; charset=utf-8", ".atom"},
    [FORMAT_FEED_JSON] = {"application/feed+json", "application/feed+json; charset=utf-8", ".json"},
};

typedef struct Range {
    Slice type;    /* with wildcards */
    int quality;   /* in thousandths */
    int exactness; /* 0 of anything, 1 of any subtype, 2 of the type itself */
    int place;     /* in the header */
} Range;

typedef struct Match {
    int quality; /* -1: not mentioned */
    int exactness, place;
} Match;

const char *format_content_type(Format format)
{
    return FORMATS[format].content_type;
}

const char *format_suffix(Format format)
{
    return FORMATS[format].suffix;
}

/* "0", "1", "0.5", "0.123", "1.000"; -1 for anything else. */
static int read_quality(Slice text)
{
    int quality, weight = 100;

    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1') ||
        (text.len > 1 && text.ptr[1] != '.'))
        return -1;
    quality = (text.ptr[0] - '0') * 1000;
    for (size_t i = 2; i < text.len; i++, weight /= 10) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
        quality += (text.ptr[i] - '0') * weight;
    }
    return quality > 1000 ? -1 : quality;
}

/* Up to `separator` outside of quotes; the separator is taken, too. */
static Slice take_part(Slice *rest, char separator)
{
    bool quoted = false;
    size_t at = 0;
    Slice part;

    for (; at < rest->len && (quoted || rest->ptr[at] != separator); at++) {
        if (quoted && rest->ptr[at] == '\\' && at + 1 < rest->len)
            at++;
        else if (rest->ptr[at] == '"')
            quoted = !quoted;
    }
    part = slice_trim(slice_take(*rest, at));
    *rest = slice_skip(*rest, at < rest->len ? at + 1 : at);
    return part;
}

/* False for what is no range; it is passed over. */
static bool read_range(Slice text, Range *out)
{
    *out = (Range){.type = take_part(&text, ';'), .quality = 1000};
    if (slice_find_char(out->type, '/') <= 0)
        return false;
    out->exactness = slice_eq_cstr(out->type, "*/*") ? 0 : slice_ends_with(out->type, SLICE_LIT("/*")) ? 1 : 2;
    while (text.len > 0) {
        Slice parameter = take_part(&text, ';'), name, value;

        if (slice_cut(parameter, '=', &name, &value) && slice_eq_nocase(slice_trim(name), SLICE_LIT("q")))
            out->quality = read_quality(slice_trim(value));
    }
    return out->quality >= 0;
}

static size_t read_accept(const char *accept, Range out[ACCEPT_MAX_RANGES])
{
    Slice rest = slice(accept);
    size_t count = 0;

    for (int place = 0; rest.len > 0 && count < ACCEPT_MAX_RANGES; place++)
        if (read_range(take_part(&rest, ','), &out[count]))
            out[count++].place = place;
    return count;
}

static bool range_has(const Range *range, Slice type)
{
    if (range->exactness == 0)
        return true;
    if (range->exactness == 1)
        return slice_eq_nocase(slice_take(type, range->type.len - 1), slice_take(range->type, range->type.len - 1));
    return slice_eq_nocase(range->type, type);
}

/* The most exact range that has the type says its quality. */
static Match match(const Range *ranges, size_t count, Format format)
{
    Match found = {.quality = -1, .exactness = -1};

    for (size_t i = 0; i < count; i++)
        if (ranges[i].exactness > found.exactness && range_has(&ranges[i], slice(FORMATS[format].type)))
            found = (Match){ranges[i].quality, ranges[i].exactness, ranges[i].place};
    return found;
}

static bool is_better(Match a, Match b)
{
    return a.quality != b.quality ? a.quality > b.quality : a.exactness > b.exactness;
}

bool negotiate_page(const char *accept, const Format *offered, size_t count, Format *out)
{
    Range ranges[ACCEPT_MAX_RANGES];
    size_t range_count = read_accept(accept, ranges), unmentioned = count;
    Match best = match(ranges, range_count, offered[count - 1]);

    *out = offered[count - 1];
    if (best.quality < 0)
        unmentioned = count - 1;
    for (size_t i = count - 1; i-- > 0;) {
        Match this = match(ranges, range_count, offered[i]);

        if (this.quality < 0 && unmentioned == count)
            unmentioned = i;
        /* Of equals the earlier offer counts, but where only "anything" was asked for it is the default. */
        if (this.quality > 0 && (is_better(this, best) || (!is_better(best, this) && this.exactness > 0))) {
            best = this;
            *out = offered[i];
        }
    }
    if (best.quality > 0)
        return true;
    if (unmentioned == count)
        return false;
    *out = offered[unmentioned];
    return true;
}

Format negotiate_api(const char *accept, const Format *others, size_t count)
{
    Range ranges[ACCEPT_MAX_RANGES];
    size_t range_count = read_accept(accept, ranges);
    Match best = match(ranges, range_count, FORMAT_JSON);
    Format chosen = FORMAT_JSON;

    for (size_t i = 0; i < count; i++) {
        Match this = match(ranges, range_count, others[i]);

        if (this.exactness < 2 || this.quality <= 0)
            continue;
        if (this.quality > best.quality || (this.quality == best.quality && this.place < best.place)) {
            best = this;
            chosen = others[i];
        }
    }
    return chosen;
}

bool format_by_suffix(Slice *name, Format *out)
{
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        Slice suffix = slice(FORMATS[i].suffix);

        if (name->len > suffix.len && slice_ends_with(*name, suffix)) {
            *name = slice_take(*name, name->len - suffix.len);
            *out = (Format)i;
            return true;
        }
    }
    return false;
}
