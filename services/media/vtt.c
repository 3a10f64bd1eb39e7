/* vtt: see vtt.h. */
#include "services/media/vtt.h"

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"

enum { SETTINGS_MAX_BYTES = 120, TAG_NAME_MAX_BYTES = 4 };

typedef struct Cue {
    int64_t begin_ms, end_ms;
    size_t order;   /* as it came */
    Slice settings; /* with a space in front of each, or empty */
    Slice text;     /* lines, clean, each with its end */
} Cue;

typedef struct Parser {
    Arena *mem;
    Slice rest;
    size_t line; /* from 1: of the line read last */
    bool subrip;
    Cue *cues;
    size_t count, cap;
} Parser;

/* ---------------------------------------------------------------------------------------- lines and times */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool next_line(Parser *p, Slice *out)
{
    size_t len = 0;

    if (!p->rest.len)
        return false;
    while (len < p->rest.len && p->rest.ptr[len] != '\n' && p->rest.ptr[len] != '\r')
        len++;
    *out = slice_take(p->rest, len);
    if (len + 1 < p->rest.len && p->rest.ptr[len] == '\r' && p->rest.ptr[len + 1] == '\n')
        len++;
    p->rest = slice_skip(p->rest, MIN(len + 1, p->rest.len));
    p->line++;
    return true;
}

/* Takes a number of `least` to `most` digits off the front. */
static bool take_number(Slice *s, size_t least, size_t most, int64_t *out)
{
    size_t len = 0;

    *out = 0;
    while (len < s->len && len < most && is_digit(s->ptr[len]))
        *out = *out * 10 + (s->ptr[len++] - '0');
    *s = slice_skip(*s, len);
    return len >= least;
}

static bool take_char(Slice *s, const char *set)
{
    if (!s->len || !s->ptr[0] || !strchr(set, s->ptr[0]))
        return false;
    *s = slice_skip(*s, 1);
    return true;
}

/* "1:02:03.004", "02:03,004": hours may be missing. */
static bool take_time(Slice *s, int64_t *out_ms)
{
    int64_t a, b, c = 0, ms;
    bool hours;

    if (!take_number(s, 1, 4, &a) || !take_char(s, ":") || !take_number(s, 2, 2, &b))
        return false;
    hours = take_char(s, ":");
    if (hours && !take_number(s, 2, 2, &c))
        return false;
    if (!hours) {
        c = b;
        b = a;
        a = 0;
    }
    if (b > 59 || c > 59 || !take_char(s, ".,") || !take_number(s, 3, 3, &ms))
        return false;
    *out_ms = ((a * 60 + b) * 60 + c) * 1000 + ms;
    return !s->len || !is_digit(s->ptr[0]);
}

static void put_time(StrBuf *b, int64_t ms)
{
    strbuf_printf(b, "%02" PRId64 ":%02" PRId64 ":%02" PRId64 ".%03" PRId64, ms / 3600000, ms / 60000 % 60,
                  ms / 1000 % 60, ms % 1000);
}

static Slice skip_blanks(Slice s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_skip(s, 1);
    return s;
}

/* ---------------------------------------------------------------------------------------- settings */

static bool setting_is_good(Slice name, Slice value)
{
    static const char *const NAMES[] = {"vertical", "line", "position", "size", "align"};

    for (size_t i = 0; i < value.len; i++)
        if (!is_digit(value.ptr[i]) && !is_letter(value.ptr[i]) && !strchr("%.,-", value.ptr[i]))
            return false;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (value.len && slice_eq_cstr(name, NAMES[i]))
            return true;
    return false;
}

static Slice clean_settings(Arena *mem, Slice text)
{
    StrBuf out = strbuf_new(mem, SETTINGS_MAX_BYTES); /* what does not fit is left out */
    Slice word, name, value;

    for (text = skip_blanks(text); text.len; text = skip_blanks(text)) {
        size_t len = 0;

        while (len < text.len && text.ptr[len] != ' ' && text.ptr[len] != '\t')
            len++;
        word = slice_take(text, len);
        text = slice_skip(text, len);
        if (slice_cut(word, ':', &name, &value) && setting_is_good(name, value) &&
            out.len + word.len + 1 < SETTINGS_MAX_BYTES) {
            strbuf_append_char(&out, ' ');
            strbuf_append(&out, word);
        }
    }
    return strbuf_slice(&out);
}

/* ---------------------------------------------------------------------------------------- text */

/* Of an entity that WebVTT knows, at the front: its length; else 0. */
static size_t entity_length(Slice s)
{
    static const char *const NAMES[] = {"&amp;", "&lt;", "&gt;", "&nbsp;", "&lrm;", "&rlm;"};

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (slice_starts_with(s, slice(NAMES[i])))
            return strlen(NAMES[i]);
    return 0;
}

static void put_char(StrBuf *out, Slice *s)
{
    char c = s->ptr[0];
    size_t entity = c == '&' ? entity_length(*s) : 0;

    if (entity)
        strbuf_append(out, slice_take(*s, entity));
    else if (c == '&')
        strbuf_append_cstr(out, "&amp;");
    else if (c == '<')
        strbuf_append_cstr(out, "&lt;");
    else if (c == '>')
        strbuf_append_cstr(out, "&gt;");
    else if ((unsigned char)c >= ' ' && c != 0x7f)
        strbuf_append_char(out, c);
    else if (c == '\t')
        strbuf_append_char(out, ' ');
    *s = slice_skip(*s, entity ? entity : 1);
}

/* ".loud.red" behind a tag's name, as far as they are words. None ends with a hyphen: two and the tag's end are an
 * arrow, which would make the line times. */
static void put_classes(StrBuf *out, Slice *s)
{
    while (s->len > 1 && s->ptr[0] == '.') {
        size_t len = 1;

        while (len < s->len &&
               (is_letter(s->ptr[len]) || is_digit(s->ptr[len]) || s->ptr[len] == '-' || s->ptr[len] == '_'))
            len++;
        while (s->ptr[len - 1] == '-')
            len--;
        if (len == 1)
            break;
        strbuf_append(out, slice_take(*s, len));
        *s = slice_skip(*s, len);
    }
}

/* Who speaks, which language: with one space in front, none behind, and no hyphens behind, as with classes. */
static void put_annotation(StrBuf *out, Slice text)
{
    while (text.len && ((unsigned char)text.ptr[0] <= ' ' || text.ptr[0] == 0x7f))
        text = slice_skip(text, 1);
    strbuf_append_char(out, ' ');
    while (text.len)
        put_char(out, &text);
    while (out->len && (out->ptr[out->len - 1] == ' ' || out->ptr[out->len - 1] == '-'))
        strbuf_truncate(out, out->len - 1);
}

/* `tag` is what stands between < and >. */
static void put_tag(StrBuf *out, Slice tag, bool subrip)
{
    static const char *const NAMES[] = {"b", "i", "u", "c", "v", "rt", "ruby", "lang"};
    bool closes = tag.len && tag.ptr[0] == '/';
    Slice name = closes ? slice_skip(tag, 1) : tag, time = tag;
    size_t len = 0, i = 0;
    int64_t ms;

    if (!subrip && take_time(&time, &ms) && !time.len) {
        strbuf_append_char(out, '<');
        put_time(out, ms);
        strbuf_append_char(out, '>');
        return;
    }
    while (len < name.len && is_letter(name.ptr[len]))
        len++;
    while (i < ARRAY_LEN(NAMES) && !slice_eq_nocase(slice_take(name, len), slice(NAMES[i])))
        i++;
    if (i == ARRAY_LEN(NAMES) || (subrip && i > 2))
        return;
    strbuf_printf(out, "<%s%s", closes ? "/" : "", NAMES[i]);
    name = slice_skip(name, len);
    if (!closes && !subrip) {
        put_classes(out, &name);
        if (strcmp(NAMES[i], "v") == 0 || strcmp(NAMES[i], "lang") == 0)
            put_annotation(out, name);
    }
    strbuf_append_char(out, '>');
}

/* Of a tag at the front, or of an instruction in the manner of another format: where it ends; -1: there is none. */
static ptrdiff_t tag_end(Slice s, bool subrip)
{
    char next = s.len > 1 ? s.ptr[1] : ' ';

    if (s.ptr[0] == '<' && (is_letter(next) || is_digit(next) || next == '/'))
        return slice_find_char(s, '>');
    return subrip && s.ptr[0] == '{' && next == '\\' ? slice_find_char(s, '}') : -1;
}

static void put_line(StrBuf *out, Slice line, bool subrip)
{
    size_t before = out->len;

    while (line.len) {
        ptrdiff_t end = tag_end(line, subrip);

        if (end < 0) {
            put_char(out, &line);
            continue;
        }
        if (line.ptr[0] == '<')
            put_tag(out, slice_take(slice_skip(line, 1), (size_t)end - 1), subrip);
        line = slice_skip(line, (size_t)end + 1);
    }
    if (!slice_trim(slice_skip(strbuf_slice(out), before)).len)
        strbuf_truncate(out, before); /* it would end the cue */
    else
        strbuf_append_char(out, '\n');
}

/* ---------------------------------------------------------------------------------------- blocks */

static Err bad_line(const Parser *p, const char *what)
{
    return err_make(&INVALID_ARGUMENT, "line %zu: %s", p->line, what);
}

static Err read_timing(Parser *p, Slice line, Cue *out)
{
    Slice s = skip_blanks(line);

    if (!take_time(&s, &out->begin_ms))
        return bad_line(p, "no time of the form 00:00:00.000");
    s = skip_blanks(s);
    if (!slice_starts_with(s, SLICE_LIT("-->")))
        return bad_line(p, "an arrow belongs between two times");
    s = skip_blanks(slice_skip(s, 3));
    if (!take_time(&s, &out->end_ms))
        return bad_line(p, "no time of the form 00:00:00.000 behind the arrow");
    if (out->end_ms < out->begin_ms)
        return bad_line(p, "the cue ends before it begins");
    out->settings = p->subrip ? SLICE_LIT("") : clean_settings(p->mem, s);
    return OK;
}

static bool is_timing(Slice line)
{
    return slice_find(line, SLICE_LIT("-->")) >= 0;
}

static bool is_end_of_block(const Parser *p, Slice line)
{
    return p->subrip ? !slice_trim(line).len : !line.len;
}

static Err add_cue(Parser *p, const Cue *cue)
{
    if (p->count == VTT_CUES_MAX)
        return err_make(&PAYLOAD_TOO_LARGE, "at most %d cues", VTT_CUES_MAX);
    if (p->count == p->cap) {
        p->cues = arena_grow(p->mem, p->cues, p->cap * sizeof(*p->cues), (p->cap * 2 + 64) * sizeof(*p->cues));
        p->cap = p->cap * 2 + 64;
    }
    p->cues[p->count] = *cue;
    p->cues[p->count].order = p->count;
    p->count++;
    return OK;
}

/* `line` has its times; what follows, up to an empty line or the next times, is its text. */
static Err read_cue(Parser *p, Slice line)
{
    StrBuf text = strbuf_new(p->mem, VTT_OUT_MAX_BYTES);
    Parser before;
    Cue cue = {0};

    TRY(read_timing(p, line, &cue));
    for (before = *p; next_line(p, &line) && !is_end_of_block(p, line); before = *p) {
        if (is_timing(line)) { /* an empty line was forgotten */
            p->rest = before.rest;
            p->line = before.line;
            break;
        }
        put_line(&text, line, p->subrip);
    }
    if (text.overflow)
        return err_make(&PAYLOAD_TOO_LARGE, "at most %d bytes", VTT_OUT_MAX_BYTES);
    cue.text = strbuf_slice(&text);
    return cue.text.len && cue.end_ms > cue.begin_ms ? add_cue(p, &cue) : OK;
}

/* What is no cue is passed over: comments, styles, numbers of cues, and whatever else stands alone. */
static Err read_blocks(Parser *p)
{
    Slice line;

    while (next_line(p, &line))
        if (is_timing(line))
            TRY(read_cue(p, line));
    return OK;
}

static bool begin_webvtt(Parser *p)
{
    Slice line;

    if (!slice_starts_with(p->rest, SLICE_LIT("WEBVTT")) || (p->rest.len > 6 && !strchr(" \t\r\n", p->rest.ptr[6])))
        return false;
    while (next_line(p, &line) && line.len)
        ;
    return true;
}

static int by_begin(const void *a, const void *b)
{
    const Cue *x = a, *y = b;

    if (x->begin_ms != y->begin_ms)
        return x->begin_ms < y->begin_ms ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

Err vtt_make(Arena *mem, Slice text, Slice *out)
{
    StrBuf made = strbuf_new(mem, VTT_OUT_MAX_BYTES);
    Parser p = {.mem = mem, .rest = text};

    if (text.len > VTT_MAX_BYTES)
        return err_make(&PAYLOAD_TOO_LARGE, "at most %d bytes", VTT_MAX_BYTES);
    if (!utf8_valid(text) || memchr(text.ptr, '\0', text.len))
        return err_make(&INVALID_ARGUMENT, "captions are text in UTF-8");
    if (slice_starts_with(p.rest, SLICE_LIT("\xef\xbb\xbf")))
        p.rest = slice_skip(p.rest, 3);
    p.subrip = !begin_webvtt(&p);
    TRY(read_blocks(&p));
    if (!p.count)
        return err_make(&INVALID_ARGUMENT, "no captions in it: WebVTT or SubRip is expected");
    qsort(p.cues, p.count, sizeof(*p.cues), by_begin);
    strbuf_append_cstr(&made, "WEBVTT\n");
    for (size_t i = 0; i < p.count; i++) {
        strbuf_append_char(&made, '\n');
        put_time(&made, p.cues[i].begin_ms);
        strbuf_append_cstr(&made, " --> ");
        put_time(&made, p.cues[i].end_ms);
        strbuf_append(&made, p.cues[i].settings);
        strbuf_append_char(&made, '\n');
        strbuf_append(&made, p.cues[i].text);
    }
    return strbuf_finish(&made, out) ? OK : err_make(&PAYLOAD_TOO_LARGE, "at most %d bytes", VTT_OUT_MAX_BYTES);
}

/* ---------------------------------------------------------------------------------------- languages */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

/* Languages in small letters, regions of two letters in capitals, scripts of four with one. */
static bool write_part(char *part, size_t len, bool first)
{
    bool letters = true;

    if (len < (first ? 2 : 1) || len > 8)
        return false;
    for (size_t i = 0; i < len; i++) {
        letters = letters && is_letter(part[i]);
        if (!is_letter(part[i]) && !is_digit(part[i]))
            return false;
        part[i] = lower(part[i]);
    }
    if (first || !letters)
        return letters || !first;
    for (size_t i = 0; len == 2 && i < 2; i++)
        part[i] = upper(part[i]);
    if (len == 4)
        part[0] = upper(part[0]);
    return true;
}

bool vtt_language(Arena *mem, Slice tag, const char **out)
{
    char *text = slice_cstr(mem, tag), *part = text;
    bool first = true, more = true;

    if (tag.len > VTT_LANGUAGE_MAX_BYTES || strlen(text) != tag.len)
        return false;
    for (; more; first = false) {
        size_t len = strcspn(part, "-");

        more = part[len] == '-';
        if (!write_part(part, len, first))
            return false;
        part += len + 1;
    }
    *out = text;
    return true;
}
