#include "services/events/ical_read.h"

#include <ctype.h>

#define DURATION_MAX_S INT64_C(315576000)
#define REPLACEMENT "\xEF\xBF\xBD"

typedef struct Reading {
    Arena *mem;
    Slice rest;
    IcalFile file;
    IcalComponent *at;
    size_t lines, components, skipped_depth; /* skipped_depth: BEGINs below the depth there may be */
} Reading;

/* ---------------------------------------------------------------------------------------------------- lines */

static Slice take_physical(Slice *rest)
{
    ptrdiff_t at = slice_find_char(*rest, '\n');
    Slice line = at < 0 ? *rest : slice_take(*rest, (size_t)at);

    *rest = slice_skip(*rest, line.len + (at >= 0));
    while (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* A line with its continuations; false when it is longer than lines may be. */
static bool take_logical(Reading *r, Slice *out)
{
    Slice line = take_physical(&r->rest);
    StrBuf whole;

    if (!r->rest.len || (r->rest.ptr[0] != ' ' && r->rest.ptr[0] != '\t')) {
        *out = line;
        return line.len <= ICAL_UNFOLDED_MAX_BYTES;
    }
    whole = strbuf_new(r->mem, ICAL_UNFOLDED_MAX_BYTES);
    strbuf_append(&whole, line);
    while (r->rest.len && (r->rest.ptr[0] == ' ' || r->rest.ptr[0] == '\t')) {
        r->rest = slice_skip(r->rest, 1);
        strbuf_append(&whole, take_physical(&r->rest));
    }
    return strbuf_finish(&whole, out);
}

static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static bool is_clean(Slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (is_control(text.ptr[i]))
            return false;
    return utf8_valid(text);
}

/* UTF-8, without control characters: what nobody can store or show. */
static Slice make_clean(Arena *mem, Slice text)
{
    StrBuf out;

    if (is_clean(text))
        return text;
    out = strbuf_new(mem, ICAL_UNFOLDED_MAX_BYTES * 3);
    while (text.len) {
        size_t len = utf8_first(text);

        if (!is_control(text.ptr[0]))
            strbuf_append(&out, len ? slice_take(text, len) : SLICE_LIT(REPLACEMENT));
        text = slice_skip(text, len ? len : 1);
    }
    return strbuf_slice(&out);
}

/* Up to the first of `ends` outside quotes. */
static Slice take_until(Slice *s, const char *ends)
{
    bool quoted = false;
    size_t i = 0;
    Slice part;

    for (; i < s->len; i++) {
        if (s->ptr[i] == '"')
            quoted = !quoted;
        else if (!quoted && strchr(ends, s->ptr[i]) && s->ptr[i])
            break;
    }
    part = slice_take(*s, i);
    *s = slice_skip(*s, i);
    return part;
}

static Slice without_quotes(Slice s)
{
    return s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"' ? slice_take(slice_skip(s, 1), s.len - 2) : s;
}

/* "NAME;PARAM=value:value". False: it has no name or no colon. */
static bool read_line(Arena *mem, Slice text, IcalLine *out)
{
    IcalParam params[ICAL_PARAMS_MAX];
    size_t count = 0;

    *out = (IcalLine){.name = take_until(&text, ";:")};
    for (size_t i = 0; i < out->name.len; i++)
        if (!isalnum((unsigned char)out->name.ptr[i]) && out->name.ptr[i] != '-' && out->name.ptr[i] != '_')
            return false;
    while (text.len && text.ptr[0] == ';') {
        Slice param, name;

        text = slice_skip(text, 1);
        param = take_until(&text, ";:");
        if (slice_cut(param, '=', &name, &param) && count < ICAL_PARAMS_MAX)
            params[count++] = (IcalParam){.name = slice_trim(name), .value = without_quotes(slice_trim(param))};
    }
    if (!out->name.len || !text.len || text.ptr[0] != ':')
        return false;
    out->value = slice_skip(text, 1);
    out->params = arena_memdup(mem, params, count * sizeof(*params));
    out->param_count = count;
    return true;
}

/* ---------------------------------------------------------------------------------------------------- components */

static size_t depth_of(const IcalComponent *c)
{
    size_t depth = 0;

    for (; c->parent; c = c->parent)
        depth++;
    return depth;
}

static void begin(Reading *r, Slice name)
{
    IcalComponent *c;

    if (r->skipped_depth || depth_of(r->at) >= ICAL_DEPTH_MAX) {
        r->skipped_depth++;
        return;
    }
    if (r->components++ >= ICAL_COMPONENTS_MAX) {
        r->file.cut = true;
        return;
    }
    c = ARENA_NEW(r->mem, IcalComponent);
    *c = (IcalComponent){.name = name, .parent = r->at};
    if (r->at->last)
        r->at->last->next = c;
    else
        r->at->first = c;
    r->at->last = c;
    r->at = c;
}

/* Of the nearest of this name; those in it that have no END end with it. One that ends nothing is no matter. */
static void end(Reading *r, Slice name)
{
    if (r->skipped_depth) {
        r->skipped_depth--;
        return;
    }
    for (IcalComponent *c = r->at; c->parent; c = c->parent)
        if (slice_eq_nocase(c->name, name)) {
            r->at = c->parent;
            return;
        }
}

static void add_line(Reading *r, const IcalLine *line)
{
    IcalComponent *c = r->at;

    if (r->skipped_depth)
        return;
    if (c->line_count == c->line_room) {
        size_t room = c->line_room ? 2 * c->line_room : 16;

        c->lines = arena_grow(r->mem, c->lines, c->line_room * sizeof(*line), room * sizeof(*line));
        c->line_room = room;
    }
    c->lines[c->line_count++] = *line;
}

IcalFile ical_read(Arena *mem, Slice text)
{
    Reading r = {.mem = mem, .rest = text};
    IcalLine line;
    Slice whole;

    if (slice_starts_with(text, SLICE_LIT("\xEF\xBB\xBF")))
        r.rest = slice_skip(text, 3);
    r.file.root = r.at = ARENA_NEW(mem, IcalComponent);
    while (r.rest.len && !r.file.cut) {
        bool fits = take_logical(&r, &whole);

        if (fits && !slice_trim(whole).len)
            continue;
        if (r.lines++ >= ICAL_LINES_MAX) {
            r.file.cut = true;
            break;
        }
        if (!fits || !read_line(mem, make_clean(mem, whole), &line))
            r.file.dropped++;
        else if (ical_is(line.name, "BEGIN"))
            begin(&r, slice_trim(line.value));
        else if (ical_is(line.name, "END"))
            end(&r, slice_trim(line.value));
        else
            add_line(&r, &line);
    }
    return r.file;
}

/* ---------------------------------------------------------------------------------------------------- looking */

bool ical_is(Slice name, const char *word)
{
    return slice_eq_nocase(name, slice(word));
}

const IcalLine *ical_line(const IcalComponent *c, const char *name)
{
    for (size_t i = 0; i < c->line_count; i++)
        if (ical_is(c->lines[i].name, name))
            return &c->lines[i];
    return NULL;
}

Slice ical_param(const IcalLine *line, const char *name)
{
    for (size_t i = 0; i < line->param_count; i++)
        if (ical_is(line->params[i].name, name))
            return line->params[i].value;
    return SLICE_LIT("");
}

Slice ical_unescape(Arena *mem, Slice value)
{
    char *out = arena_alloc_raw(mem, value.len + 1, 1), *to = out;

    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c == '\\' && i + 1 < value.len) {
            c = value.ptr[++i];
            c = c == 'n' || c == 'N' ? '\n' : c;
        }
        *to++ = c;
    }
    *to = '\0';
    return slice_of(out, (size_t)(to - out));
}

/* One number with its unit. */
static bool take_part(Slice *s, int64_t *out, char *out_unit)
{
    size_t digits = 0;

    *out = 0;
    for (; digits < s->len && digits < 9 && isdigit((unsigned char)s->ptr[digits]); digits++)
        *out = *out * 10 + s->ptr[digits] - '0';
    if (!digits || digits == s->len)
        return false;
    *out_unit = (char)toupper((unsigned char)s->ptr[digits]);
    *s = slice_skip(*s, digits + 1);
    return true;
}

bool ical_duration(Slice s, int64_t *out_days, int64_t *out_s)
{
    bool minus, in_time = false, any = false;
    int64_t days = 0, seconds = 0;

    s = slice_trim(s);
    minus = s.len && s.ptr[0] == '-';
    s = slice_skip(s, minus || (s.len && s.ptr[0] == '+'));
    if (!s.len || toupper((unsigned char)s.ptr[0]) != 'P')
        return false;
    s = slice_skip(s, 1);
    while (s.len) {
        int64_t number;
        char unit;

        if (!in_time && toupper((unsigned char)s.ptr[0]) == 'T') {
            in_time = true;
            s = slice_skip(s, 1);
            continue;
        }
        if (!take_part(&s, &number, &unit))
            return false;
        if (!in_time && (unit == 'W' || unit == 'D'))
            days += number * (unit == 'W' ? 7 : 1);
        else if (in_time && (unit == 'H' || unit == 'M' || unit == 'S'))
            seconds += number * (unit == 'H' ? 3600 : unit == 'M' ? 60 : 1);
        else
            return false;
        any = true;
    }
    if (!any || days * 86400 + seconds > DURATION_MAX_S)
        return false;
    *out_days = minus ? -days : days;
    *out_s = minus ? -seconds : seconds;
    return true;
}
