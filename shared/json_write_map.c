/* json_write_map: the entries of a map as an object, each key once. */
#include "shared/json_writer.h"

enum { FEW_ENTRIES = 8 /* of a map: up to here every pair is compared */ };

/* Of an entry: its key (bits, or position and length) and where it is (position and length), two words of scratch. */
typedef struct Entries {
    const char *wire;
    uint64_t *words;
    bool text_keys;
} Entries;

static uint64_t place(Slice wire, Slice part)
{
    return part.len ? (uint64_t)(part.ptr - wire.ptr) << 32 | part.len : 0;
}

static Slice place_bytes(const char *wire, uint64_t word)
{
    return slice_of(wire + (word >> 32), (size_t)(word & UINT32_MAX));
}

static int compare_keys(const Entries *e, size_t a, size_t b)
{
    uint64_t x = e->words[2 * a], y = e->words[2 * b];

    if (e->text_keys) {
        Slice s = place_bytes(e->wire, x), t = place_bytes(e->wire, y);
        if (s.len == t.len)
            return memcmp(s.ptr, t.ptr, s.len);
        x = s.len;
        y = t.len;
    }
    return x < y ? -1 : x > y;
}

static int compare_entries(const void *a, const void *b, void *entries)
{
    size_t x = (size_t) * (const uint64_t *)a, y = (size_t) * (const uint64_t *)b;
    int order = compare_keys(entries, x, y);

    return order ? order : x < y ? -1 : x > y;
}

/* No entry of a message is at the end of all positions. */
static const uint64_t REPLACED = UINT64_MAX;

/* Of entries with one key the last one counts. */
static void mark_replaced(Writer *w, const char *wire, bool text_keys, size_t base, size_t count)
{
    size_t order = json_scratch_push(&w->scratch, count > FEW_ENTRIES ? count : 0);
    Entries e = {.wire = wire, .words = w->scratch.words + base, .text_keys = text_keys};
    uint64_t *sorted = w->scratch.words + order;

    if (count <= FEW_ENTRIES) {
        for (size_t i = 0; i < count; i++)
            for (size_t k = i + 1; k < count; k++)
                if (compare_keys(&e, i, k) == 0)
                    e.words[2 * i + 1] = REPLACED;
        return;
    }
    for (size_t i = 0; i < count; i++)
        sorted[i] = i;
    qsort_r(sorted, count, sizeof(*sorted), compare_entries, &e);
    for (size_t i = 1; i < count; i++)
        if (compare_keys(&e, sorted[i - 1], sorted[i]) == 0)
            e.words[2 * sorted[i - 1] + 1] = REPLACED;
}

static bool list_entries(Writer *w, const FieldType *f, Slice wire, uint64_t word)
{
    const FieldType *key = message_type_by_number(f->message, 1);
    const char *at = wire.ptr + range_first(word), *end = wire.ptr + wire.len;
    const char *last = wire.ptr + range_last(word);
    unsigned wire_type;
    Value value, name;
    Fields fields;

    while (at < last && json_wire_next(&at, end, f, &wire_type, &value)) {
        size_t words;
        uint64_t found;
        bool ok = json_wire_look_over(w, f->message, value.bytes, &fields);
        found = field_range(w, &fields, key);
        done_looking(w, &fields);
        if (!ok)
            return false;
        name = found ? last_value(key, value.bytes, found) : (Value){0};
        words = json_scratch_push(&w->scratch, 2);
        w->scratch.words[words] =
            key->kind == FIELD_STRING ? place(wire, name.bytes) : json_normal_bits(key->kind, name.bits);
        w->scratch.words[words + 1] = place(wire, value.bytes);
    }
    return true;
}

static bool write_entry(Writer *w, const MessageType *type, Slice entry)
{
    const FieldType *key = message_type_by_number(type, 1), *value = message_type_by_number(type, 2);
    uint64_t key_at, value_word;
    Value name = {0};
    Fields fields;

    if (!json_wire_look_over(w, type, entry, &fields))
        return false;
    key_at = field_range(w, &fields, key);
    value_word = field_range(w, &fields, value);
    done_looking(w, &fields);
    if (key_at)
        name = last_value(key, entry, key_at);
    if (key->kind == FIELD_STRING ? !json_write_text(w, name.bytes) : !json_write_bits(w, key, name.bits, true))
        return false;
    return APPEND_LIT(w->out, ":") &&
           (value_word ? json_write_singular(w, value, entry, value_word) : json_write_default(w, value));
}

bool json_write_map(Writer *w, const FieldType *f, Slice wire, uint64_t word)
{
    const bool text_keys = message_type_by_number(f->message, 1)->kind == FIELD_STRING;
    size_t base = w->scratch.used, count;
    bool first = true;

    if (w->levels == 0 || !APPEND_LIT(w->out, "{") || !list_entries(w, f, wire, word))
        return false;
    w->levels--;
    count = (w->scratch.used - base) / 2;
    mark_replaced(w, wire.ptr, text_keys, base, count);
    w->scratch.used = base + 2 * count;
    for (size_t i = 0; i < count; i++) {
        uint64_t entry = w->scratch.words[base + 2 * i + 1];
        if (entry == REPLACED)
            continue;
        if ((!first && !APPEND_LIT(w->out, ",")) || !write_entry(w, f->message, place_bytes(wire.ptr, entry)))
            return false;
        first = false;
    }
    w->scratch.used = base;
    w->levels++;
    return APPEND_LIT(w->out, "}");
}
