/* json_read: JSON to wire bytes in one pass, without a tree or a message in between. Each member's bytes go to the end
 * of the output as it is read; lengths are put in when their message ends. A mistake in a value is reported and the
 * value skipped, so that one answer lists all of them; a mistake in the grammar ends the reading. Here: problems,
 * messages and the whole; values stand in json_read_value.c, lists and maps in json_read_list.c. */
#include "shared/json_reader.h"

enum {
    PATH_STEP_BYTES = 128, /* of a name in a problem's path: the keys of maps are the caller's */
    CLEARED_MAX = 1024
};

/* ---------------------------------------------------------------------------------------------------- problems */

static Slice step_text(const PathNode *node, char digits[static 20])
{
    size_t len = node->name.len;

    if (!node->name.ptr)
        return slice_of(digits, json_format_uint64(node->position, digits));
    if (len > PATH_STEP_BYTES)
        for (len = PATH_STEP_BYTES; len && ((unsigned char)node->name.ptr[len] & 0xc0) == 0x80;)
            len--;
    return slice_take(node->name, len);
}

static const char *path_text(const Reader *r)
{
    char digits[20], *text;
    size_t len = 0;

    if (!r->path)
        return "";
    for (const PathNode *node = r->path; node; node = node->up)
        len += step_text(node, digits).len + 1;
    text = arena_alloc_raw(r->out->mem, len, 1);
    text[--len] = '\0';
    for (const PathNode *node = r->path; node; node = node->up) {
        Slice step = step_text(node, digits);
        len -= step.len;
        memcpy(text + len, step.ptr, step.len);
        if (len)
            text[--len] = '.';
    }
    return text;
}

/* The value from `start` up to where the reader is cannot be. */
void json_reader_report(Reader *r, JsonProblemKind kind, const char *expected, const char *start)
{
    JsonProblems *all = r->problems;

    if (all->count == JSON_MAX_PROBLEMS)
        return;
    all->list[all->count++] = (JsonProblem){
        .kind = kind,
        .path = path_text(r),
        .expected = expected,
        .offset = (size_t)(start - r->begin),
        .input = r->secrets ? (Slice){0} : slice_of(start, (size_t)(r->at - start)),
    };
}

/* Ends the reading; what was found so far may be a consequence and is dropped. */
bool json_reader_stop(Reader *r, JsonProblemKind kind)
{
    r->problems->count = 1;
    r->problems->list[0] = (JsonProblem){.kind = kind, .path = "", .offset = (size_t)(r->at - r->begin)};
    return false;
}

bool json_reader_skip(Reader *r)
{
    const char *start = r->at;

    switch (json_skip_value(&r->at, r->end, r->levels)) {
    case JSON_SKIP_SYNTAX:
        return json_reader_stop(r, JSON_SYNTAX);
    case JSON_SKIP_TOO_DEEP:
        return json_reader_stop(r, JSON_TOO_DEEP);
    case JSON_SKIPPED_BAD_TEXT:
        json_reader_report(r, JSON_BAD_UTF8, NULL, start);
        return true;
    default:
        return true;
    }
}

/* Reports and skips the value that begins here. */
bool json_reader_refuse(Reader *r, JsonProblemKind kind, const char *expected)
{
    const char *start = r->at;
    JsonSkip skipped = json_skip_value(&r->at, r->end, r->levels);

    if (skipped == JSON_SKIP_SYNTAX || skipped == JSON_SKIP_TOO_DEEP)
        return json_reader_stop(r, skipped == JSON_SKIP_SYNTAX ? JSON_SYNTAX : JSON_TOO_DEEP);
    json_reader_report(r, skipped == JSON_SKIPPED_BAD_TEXT ? JSON_BAD_UTF8 : kind, expected, start);
    return true;
}

/* Of a message: what cannot be read may hold a secret in the wrong place. */
bool json_reader_refuse_message(Reader *r, const MessageType *type, const char *expected)
{
    bool ok;

    r->secrets += type->has_secret;
    ok = json_reader_refuse(r, JSON_WRONG_TYPE, expected);
    r->secrets -= type->has_secret;
    return ok;
}

/* ---------------------------------------------------------------------------------------------------- messages */

/* What is known of a message's members so far stands in scratch: a bit for each field seen, then for each field two
 * words: where its bytes are in the output, and where its value is in the text. */
typedef struct Members {
    const MessageType *type;
    size_t base, spans;
    uint32_t expected; /* the index after the last member's: most writers keep the order of the fields */
} Members;

static Members members_new(Reader *r, const MessageType *type)
{
    size_t bits = (type->field_count + 63u) / 64;
    Members m = {.type = type, .base = json_scratch_push(&r->scratch, bits + 2u * type->field_count)};

    m.spans = m.base + bits;
    for (size_t i = 0; i < bits; i++)
        r->scratch.words[m.base + i] = 0;
    return m;
}

static bool member_seen(const Reader *r, const Members *m, const FieldType *f)
{
    return r->scratch.words[m->base + f->index / 64] >> (f->index % 64) & 1;
}

static void remember_member(Reader *r, const Members *m, const FieldType *f, uint64_t bytes, uint64_t text)
{
    r->scratch.words[m->base + f->index / 64] |= UINT64_C(1) << (f->index % 64);
    r->scratch.words[m->spans + 2u * f->index] = bytes;
    r->scratch.words[m->spans + 2u * f->index + 1] = text;
}

/* Problems and cleared fields of a value that another one replaces. With a full list some problem may have found no
 * place: then none is taken out, or a bad body could pass. */
static void forget_findings(Reader *r, uint64_t text)
{
    JsonProblems *all = r->problems;
    size_t kept = 0;

    for (size_t i = 0; i < all->count && all->count < JSON_MAX_PROBLEMS; i++)
        if (all->list[i].offset < span_start(text) || all->list[i].offset >= span_end(text))
            all->list[kept++] = all->list[i];
    if (all->count < JSON_MAX_PROBLEMS)
        all->count = kept;
    kept = 0;
    for (size_t i = 0; i < r->cleared_count; i++)
        if (r->cleared[i].offset < span_start(text) || r->cleared[i].offset >= span_end(text))
            r->cleared[kept++] = r->cleared[i];
    r->cleared_count = kept;
}

/* Cuts an earlier occurrence of a member out of the output. The bytes behind it move once for each duplicate, but what
 * is moved then lies before the duplicate's new bytes: a body cannot make the same large part move more often than its
 * message has other members. */
static void forget_member(Reader *r, const Members *m, const FieldType *f)
{
    uint64_t *spans = r->scratch.words + m->spans;
    size_t start = span_start(spans[2u * f->index]), end = span_end(spans[2u * f->index]), len = end - start;

    forget_findings(r, spans[2u * f->index + 1]);
    if (len == 0)
        return;
    memmove(r->out->ptr + start, r->out->ptr + end, r->out->len - end);
    strbuf_truncate(r->out, r->out->len - len);
    for (size_t i = 0; i < m->type->field_count; i++)
        if (member_seen(r, m, &m->type->fields[i]) && span_start(spans[2 * i]) >= end)
            spans[2 * i] -= span(len, len);
}

static bool oneof_is_taken(const Reader *r, const Members *m, const FieldType *f)
{
    for (size_t i = 0; f->oneof && i < m->type->field_count; i++) {
        const FieldType *other = &m->type->fields[i];
        uint64_t bytes = r->scratch.words[m->spans + 2 * i];
        if (other->oneof == f->oneof && other != f && member_seen(r, m, other) && span_end(bytes) > span_start(bytes))
            return true;
    }
    return false;
}

/* A field inside a list has no name in a mask: its null clears nothing. */
bool json_reader_note_cleared(Reader *r, const char *start)
{
    if (!r->top->cleared || r->lists)
        return true;
    if (r->cleared_count == CLEARED_MAX)
        return json_reader_stop(r, JSON_TOO_LARGE);
    if (!r->cleared)
        r->cleared = ARENA_ARRAY(r->out->mem, Cleared, CLEARED_MAX);
    r->cleared[r->cleared_count++] = (Cleared){
        .offset = (size_t)(start - r->begin),
        .path = r->path->up ? slice(path_text(r)) : r->path->name,
    };
    return true;
}

static bool read_null(Reader *r, const FieldType *f)
{
    const char *start = r->at;

    if (!json_scan_word(&r->at, r->end, SLICE_LIT("null")))
        return json_reader_stop(r, JSON_SYNTAX);
    if (f->null_input == ATRIUM__NULL_INPUT__ERROR)
        json_reader_report(r, JSON_NULL, f->map ? "object" : f->repeated ? "array" : json_expected(f), start);
    return f->null_input != ATRIUM__NULL_INPUT__CLEAR || json_reader_note_cleared(r, start);
}

static bool read_known_member(Reader *r, const Members *m, const FieldType *f)
{
    const char *text = r->at;
    size_t start;
    bool null = peek(r) == 'n' && (f->repeated || !json_takes_null(f) || f->null_input != ATRIUM__NULL_INPUT__KEEP);

    if (member_seen(r, m, f))
        forget_member(r, m, f);
    start = r->out->len;
    if (null ? !read_null(r, f) : !json_read_field(r, f))
        return false;
    if (!null && f->oneof && oneof_is_taken(r, m, f))
        json_reader_report(r, JSON_ONEOF_TWICE, json_expected(f), text);
    remember_member(r, m, f, span(start, r->out->len), span((size_t)(text - r->begin), (size_t)(r->at - r->begin)));
    return true;
}

/* With the value's start as its place; the name stands just before. */
static bool read_unknown_member(Reader *r, const MessageType *type)
{
    bool ok;

    if (!r->options->refuse_unknown)
        return json_reader_skip(r);
    r->secrets += type->has_secret; /* a mistyped "password" has a password as its value */
    ok = json_reader_refuse(r, JSON_UNKNOWN_FIELD, NULL);
    r->secrets -= type->has_secret;
    return ok;
}

static bool read_name(Reader *r, Slice *out, bool *good)
{
    if (peek(r) != '"')
        return json_reader_stop(r, JSON_SYNTAX);
    if (!json_read_plain(r, out, good))
        return false;
    r->at = json_skip_space(r->at, r->end);
    if (peek(r) != ':')
        return json_reader_stop(r, JSON_SYNTAX);
    r->at = json_skip_space(r->at + 1, r->end);
    return true;
}

/* The field whose turn it is, when its name stands here just as we would write it: no need to look it up. */
static const FieldType *read_expected_name(Reader *r, const Members *m)
{
    const FieldType *f;
    size_t len;

    if (m->expected >= m->type->field_count)
        return NULL;
    f = &m->type->fields[m->expected];
    len = f->member.len - 1; /* without the comma */
    if ((size_t)(r->end - r->at) < len || f->internal || memcmp(r->at, f->member.ptr + 1, len) != 0)
        return NULL;
    r->at = json_skip_space(r->at + len, r->end);
    return f;
}

/* NULL in `out` for a member that has no place in the message; `good` is false when its name was reported. */
static bool read_any_name(Reader *r, const Members *m, Slice *name, const FieldType **out, bool *good)
{
    int64_t at;

    *out = NULL;
    if (!read_name(r, name, good))
        return false;
    at = *good ? name_index_find(&m->type->names, *name, r->options->nocase) : -1;
    if (at >= 0 && !m->type->fields[at].internal)
        *out = &m->type->fields[at];
    return true;
}

static bool read_member(Reader *r, Members *m)
{
    PathNode here = {.up = r->path};
    const FieldType *f = read_expected_name(r, m);
    bool good = true, ok;

    if (!f && !read_any_name(r, m, &here.name, &f, &good))
        return false;
    if (!good)
        return json_reader_skip(r);
    r->path = &here;
    if (f) {
        m->expected = f->index + 1u;
        here.name = f->name;
        r->secrets += f->secret;
        ok = read_known_member(r, m, f);
        r->secrets -= f->secret;
    } else {
        ok = read_unknown_member(r, m->type);
    }
    r->path = here.up;
    return ok;
}

bool json_read_object(Reader *r, const MessageType *type)
{
    Members members;
    bool more;

    if (peek(r) != '{')
        return json_reader_refuse_message(r, type, "object");
    members = members_new(r, type);
    for (more = read_opening(r, '}'); more;)
        if (!read_member(r, &members) || !read_separator(r, '}', &more))
            return false;
    r->scratch.used = members.base;
    return true;
}

/* ---------------------------------------------------------------------------------------------------- the whole */

static bool put_cleared(Reader *r)
{
    size_t open;

    if (r->cleared_count == 0)
        return true;
    if (!json_append_tag(r->out, r->top->cleared) || !json_open(r->out, &open))
        return false;
    for (size_t i = 0; i < r->cleared_count; i++) {
        Slice path = r->cleared[i].path;
        if (!json_append_varint(r->out, 1 << 3 | 2) || !json_append_varint(r->out, path.len) ||
            !json_append_bytes(r->out, path.ptr, path.len))
            return false;
    }
    return json_close(r->out, open);
}

static bool read_body(Reader *r)
{
    const char *at;

    if (r->options->skip_bom && r->end - r->at >= 3 && memcmp(r->at, "\xef\xbb\xbf", 3) == 0)
        r->at += 3;
    at = r->at = json_skip_space(r->at, r->end);
    if (r->options->null_is_empty && json_scan_word(&at, r->end, SLICE_LIT("null")))
        r->at = at;
    else if (!json_read_content(r, r->top))
        return false;
    r->at = json_skip_space(r->at, r->end);
    if (r->at != r->end && !r->options->ignore_trailing)
        return json_reader_stop(r, JSON_SYNTAX);
    return r->problems->count == 0 && put_cleared(r);
}

bool json_to_wire(const JsonReadOptions *options, const MessageType *type, Slice text, StrBuf *out,
                  JsonProblems *problems)
{
    const size_t start = out->len;
    const bool overflow = out->overflow;
    const char *begin = json_some(text).ptr;
    uint64_t words[JSON_SCRATCH_FIRST];
    Reader r = {
        .at = begin,
        .begin = begin,
        .end = begin + text.len,
        .options = options,
        .top = type,
        .out = out,
        .problems = problems,
        .levels = JSON_MAX_DEPTH - 1,
        .scratch = {.mem = out->mem, .words = words, .cap = ARRAY_LEN(words)},
    };

    problems->count = 0;
    if (text.len <= JSON_MAX_BYTES && start <= JSON_MAX_BYTES && read_body(&r))
        return true;
    if (problems->count == 0)
        (void)json_reader_stop(&r, JSON_TOO_LARGE); /* nothing else ends without a report */
    strbuf_truncate(out, start);
    out->overflow = overflow;
    return false;
}
