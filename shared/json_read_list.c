/* json_read_list: lists and maps of a body. */
#include "shared/json_reader.h"

enum { FEW_ENTRIES = 8 /* of a map: up to here every pair is compared */ };

/* ---------------------------------------------------------------------------------------------------- lists */

/* An element of a list or a map: null is none. */
static bool read_element(Reader *r, const FieldType *f, bool tagged)
{
    if (peek(r) == 'n' && !json_takes_null(f))
        return json_reader_refuse(r, JSON_NULL, json_expected(f));
    return json_read_value(r, f, tagged);
}

static bool read_elements(Reader *r, const FieldType *f)
{
    PathNode here = {.up = r->path};
    bool more = read_opening(r, ']');

    r->path = &here;
    for (; more; here.position++)
        if (!read_element(r, f, !f->packed) || !read_separator(r, ']', &more))
            return false;
    r->path = here.up;
    return true;
}

bool json_read_list(Reader *r, const FieldType *f)
{
    const char *text = r->at;
    size_t start = r->out->len, open = 0;

    if (peek(r) != '[') {
        r->secrets += f->message && f->message->has_secret;
        bool ok = json_reader_refuse(r, JSON_WRONG_TYPE, "array");
        r->secrets -= f->message && f->message->has_secret;
        return ok;
    }
    if (!enter(r))
        return false;
    r->lists++;
    if (f->packed && (!json_append_tag(r->out, f) || !json_open(r->out, &open)))
        return false;
    if (!read_elements(r, f))
        return false;
    if (f->packed && r->out->len == open)
        strbuf_truncate(r->out, start);
    else if (f->packed && !json_close(r->out, open))
        return false;
    r->lists--;
    r->levels++;
    if (f->null_input == ATRIUM__NULL_INPUT__EMPTY_CLEARS && r->out->len == start)
        return json_reader_note_cleared(r, text);
    return true;
}

/* ---------------------------------------------------------------------------------------------------- maps */

/* Two words of scratch for each entry: where its bytes are, and where its key's are among them. */
typedef struct Entries {
    const char *bytes;
    uint64_t *words;
} Entries;

static int compare_keys(const Entries *e, size_t a, size_t b)
{
    uint64_t x = e->words[2 * a + 1], y = e->words[2 * b + 1];
    size_t x_len = span_end(x) - span_start(x), y_len = span_end(y) - span_start(y);

    if (x_len != y_len)
        return x_len < y_len ? -1 : 1;
    return memcmp(e->bytes + span_start(x), e->bytes + span_start(y), x_len);
}

/* Equal keys in order of appearance. */
static int compare_entries(const void *a, const void *b, void *entries)
{
    size_t x = (size_t) * (const uint64_t *)a, y = (size_t) * (const uint64_t *)b;
    int order = compare_keys(entries, x, y);

    return order ? order : x < y ? -1 : x > y;
}

/* Marks the entries that a later one replaces, by an empty span. True when there are any. */
static bool mark_replaced(Reader *r, size_t base, size_t count)
{
    size_t order = json_scratch_push(&r->scratch, count > FEW_ENTRIES ? count : 0);
    Entries e = {.bytes = r->out->ptr, .words = r->scratch.words + base};
    uint64_t *sorted = r->scratch.words + order;
    bool any = false;

    for (size_t i = 0; count <= FEW_ENTRIES && i < count; i++)
        for (size_t k = i + 1; k < count; k++)
            if (compare_keys(&e, i, k) == 0) {
                e.words[2 * i] = 0;
                any = true;
                break;
            }
    if (count <= FEW_ENTRIES)
        return any;
    for (size_t i = 0; i < count; i++)
        sorted[i] = i;
    qsort_r(sorted, count, sizeof(*sorted), compare_entries, &e);
    for (size_t i = 1; i < count; i++)
        if (compare_keys(&e, sorted[i - 1], sorted[i]) == 0) {
            e.words[2 * sorted[i - 1]] = 0;
            any = true;
        }
    return any;
}

/* Of entries with one key the last one stays. `start` is where the first one began. */
static void drop_replaced(Reader *r, size_t base, size_t count, size_t start)
{
    size_t to = start;

    if (count < 2 || !mark_replaced(r, base, count))
        return;
    for (size_t i = 0; i < count; i++) {
        uint64_t entry = r->scratch.words[base + 2 * i];
        size_t len = span_end(entry) - span_start(entry);
        memmove(r->out->ptr + to, r->out->ptr + span_start(entry), len);
        to += len;
    }
    strbuf_truncate(r->out, to);
}

/* The key and its colon; the reader ends up at the value. */
static bool read_key(Reader *r, const FieldType *f, PathNode *here)
{
    const char *start = r->at;
    JsonOutcome outcome = JSON_GOOD;
    uint64_t bits = 0;
    bool good;

    if (peek(r) != '"')
        return json_reader_stop(r, JSON_SYNTAX);
    if (!json_read_plain(r, &here->name, &good))
        return false;
    if (!good) {
        here->name = SLICE_LIT("?");
    } else if (f->kind == FIELD_STRING) {
        if (!json_read_put_text(r, f, &(JsonText){.raw = here->name}))
            return false;
    } else {
        if (f->kind != FIELD_BOOL)
            outcome = json_string_to_bits(f->kind, here->name, false, &bits);
        else if (slice_eq_cstr(here->name, "true"))
            bits = 1;
        else if (!slice_eq_cstr(here->name, "false"))
            outcome = JSON_BAD(JSON_WRONG_TYPE);
        if (!json_read_bits(r, f, true, start, outcome, bits))
            return false;
    }
    r->at = json_skip_space(r->at, r->end);
    if (peek(r) != ':')
        return json_reader_stop(r, JSON_SYNTAX);
    r->at = json_skip_space(r->at + 1, r->end);
    return true;
}

static bool read_entry(Reader *r, const FieldType *f, PathNode *here)
{
    const MessageType *entry = f->message;
    size_t start = r->out->len, open, key_end, spans;

    if (!json_append_tag(r->out, f) || !json_open(r->out, &open))
        return false;
    r->path = here->up; /* a bad key is a mistake of the map */
    if (!read_key(r, message_type_by_number(entry, 1), here))
        return false;
    r->path = here;
    key_end = r->out->len;
    if (!read_element(r, message_type_by_number(entry, 2), true))
        return false;
    /* Closing may move the key: it stands behind the length, whatever that takes. */
    size_t len = r->out->len - open, key_len = key_end - open;
    if (!json_close(r->out, open))
        return false;
    spans = json_scratch_push(&r->scratch, 2);
    r->scratch.words[spans] = span(start, r->out->len);
    r->scratch.words[spans + 1] = span(r->out->len - len, r->out->len - len + key_len);
    return true;
}

bool json_read_map(Reader *r, const FieldType *f)
{
    PathNode here = {.up = r->path};
    size_t base = r->scratch.used, start = r->out->len;
    bool more;

    if (peek(r) != '{')
        return json_reader_refuse_message(r, f->message, "object");
    if (!enter(r))
        return false;
    r->lists++;
    for (more = read_opening(r, '}'); more;)
        if (!read_entry(r, f, &here) || !read_separator(r, '}', &more))
            return false;
    r->path = here.up;
    drop_replaced(r, base, (r->scratch.used - base) / 2, start);
    r->scratch.used = base;
    r->lists--;
    r->levels++;
    return true;
}
