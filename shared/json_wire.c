/* json_wire: reading over wire bytes: what is where, before anything is printed. */
#include "shared/json_writer.h"

bool json_wire_long_varint(const char **at, const char *end, uint64_t *out)
{
    uint64_t value = 0;
    const char *p = *at;

    for (unsigned shift = 0; p < end && shift < 70; shift += 7, p++) {
        value |= (uint64_t)(*p & 0x7f) << shift;
        if (!(*p & 0x80)) {
            *out = value;
            *at = p + 1;
            return true;
        }
    }
    return false;
}

/* Groups are nobody's: they are passed over, with all that is in them. */
bool json_wire_skip_group(const char **at, const char *end, uint64_t number)
{
    uint64_t open[JSON_MAX_DEPTH] = {number}, tag, ignored;
    int depth = 1;

    while (depth > 0) {
        if (!take_varint(at, end, &tag))
            return false;
        switch (tag & 7) {
        case 0:
            if (!take_varint(at, end, &ignored))
                return false;
            break;
        case 1:
        case 5:
            if (!take_fixed(at, end, (tag & 7) == 1 ? 8 : 4, &ignored))
                return false;
            break;
        case 2:
            if (!take_varint(at, end, &ignored) || ignored > (size_t)(end - *at))
                return false;
            *at += ignored;
            break;
        case 3:
            if (depth == JSON_MAX_DEPTH)
                return false;
            open[depth++] = tag >> 3;
            break;
        case 4:
            if (open[--depth] != tag >> 3)
                return false;
            break;
        default:
            return false;
        }
    }
    return true;
}

static bool wire_type_fits(const FieldType *f, unsigned wire_type)
{
    return wire_type == f->wire_type || (wire_type == 2 && f->repeated);
}

static inline void note_field(uint64_t *words, const MessageType *type, const FieldType *f, size_t tag, size_t value)
{
    uint64_t *word = &words[f->index];

    if (f->oneof) {
        uint64_t *last = &words[type->field_count + f->oneof - 1u];
        if (*last && *last != f->index + 1u)
            words[*last - 1] = 0;
        *last = f->index + 1u;
    }
    *word = *word ? (*word & ~(uint64_t)UINT32_MAX) | SEVERAL | value : (uint64_t)tag << 32 | value;
}

bool json_wire_look_over(Writer *w, const MessageType *type, Slice wire, Fields *out)
{
    size_t count = (size_t)type->field_count + type->oneof_count;
    const char *at, *end;
    uint64_t *words;
    Value value;

    wire = json_some(wire);
    at = wire.ptr;
    end = at + wire.len;
    *out = (Fields){.type = type, .wire = wire, .base = json_scratch_push(&w->scratch, count)};
    words = w->scratch.words + out->base;
    for (size_t i = 0; i < count; i++)
        words[i] = 0;
    while (at < end) {
        const char *start = at, *behind_tag;
        const FieldType *f;
        uint64_t tag;
        if (!take_varint(&at, end, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
            return false;
        behind_tag = at;
        if (!take_value(&at, end, tag, &value))
            return false;
        f = tag >> 3 < type->dense_count ? type->dense[tag >> 3] : message_type_by_number(type, (uint32_t)(tag >> 3));
        if (!f)
            continue;
        if (!wire_type_fits(f, tag & 7))
            return false;
        note_field(words, type, f, (size_t)(start - wire.ptr), (size_t)(behind_tag - wire.ptr));
    }
    return true;
}

/* The next occurrence of a field from `at` on. */
bool json_wire_next(const char **at, const char *end, const FieldType *f, unsigned *wire_type, Value *out)
{
    uint64_t tag = 0;

    while (*at < end && take_varint(at, end, &tag) && take_value(at, end, tag, out))
        if (tag >> 3 == f->number) {
            *wire_type = tag & 7;
            return true;
        }
    return false;
}

/* A message's bytes. In pieces they mean the same as one behind the other: that is how protobuf defines merging. */
bool json_wire_message(Writer *w, const FieldType *f, Slice wire, uint64_t word, Slice *out)
{
    const char *at = wire.ptr + range_first(word), *end = wire.ptr + wire.len;
    size_t total = 0;
    unsigned wire_type;
    char *merged, *to;
    Value piece;

    if (!(word & SEVERAL)) {
        *out = last_value(f, wire, word).bytes;
        return true;
    }
    while (json_wire_next(&at, end, f, &wire_type, &piece))
        total += piece.bytes.len;
    if (total > w->merge_bytes)
        return false;
    w->merge_bytes -= total;
    merged = to = arena_alloc_raw(w->out->mem, total, 1);
    at = wire.ptr + range_first(word);
    while (json_wire_next(&at, end, f, &wire_type, &piece)) {
        if (piece.bytes.len)
            memcpy(to, piece.bytes.ptr, piece.bytes.len);
        to += piece.bytes.len;
    }
    *out = slice_of(merged, (size_t)(to - merged));
    return true;
}
