/* types: the message tables out of the generated data file. The file comes from a disk, so nothing in it is believed:
 * what json_*.c relies on (indices, kinds, the shapes of maps and of well-known types) is checked here, once. */
#include "shared/types.h"

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"
#include "shared/types_layout.h"

enum {
    TYPES_MAX = 100000,      /* messages, enums, and values of one enum */
    FIELDS_MAX = 4096,       /* of one message */
    NUMBER_MAX = 0x1fffffff, /* protobuf's highest field number */
    NAME_MAX_BYTES = 512,    /* full names of messages are the longest */
    DIALECTS = sizeof(((FieldType *)NULL)->absent),
    /* Numbers below are looked up in an array; above it, by bisection. Encoders want small numbers anyway. */
    DENSE_NUMBERS = 256
};

struct TypeTables {
    MessageType *types;
    size_t type_count;
    EnumType *enums;
    size_t enum_count;
    NameIndex names;
};

/* What is being built, for messages: "tables: type a.B, field c: ...". */
typedef struct Loader {
    Arena *mem;
    const Atrium__Tables *file;
    TypeTables *tables;
} Loader;

/* ---------------------------------------------------------------------------------------------------- names */

static bool name_is_good(const char *name)
{
    Slice s = slice(name);
    return s.len > 0 && s.len <= NAME_MAX_BYTES && utf8_valid(s);
}

static Slice copy_name(Arena *mem, const char *name)
{
    size_t len = strlen(name);
    return slice_of(arena_strndup(mem, name, len), len);
}

static void name_index_init(NameIndex *index, Arena *mem, size_t name_count)
{
    uint32_t slots = 4;

    while (slots < name_count * 2)
        slots *= 2;
    index->slots = ARENA_ARRAY(mem, NameSlot, slots);
    index->mask = slots - 1;
    index->longest = 0;
}

/* False when the name is there already; `name` is borrowed. */
static bool name_index_add(NameIndex *index, Slice name, size_t position)
{
    uint32_t hash = name_hash(name), i = hash & index->mask;

    if (name_index_find(index, name, false) >= 0)
        return false;
    while (index->slots[i].name.ptr)
        i = (i + 1) & index->mask;
    index->slots[i] = (NameSlot){.name = name, .hash = hash, .position = (uint32_t)position};
    index->longest = MAX(index->longest, (uint32_t)name.len);
    return true;
}

/* `text` as a JSON string that is right under every output option: ASCII, without <, > and &. */
static void append_quoted(StrBuf *out, Slice text)
{
    strbuf_append_char(out, '"');
    for (size_t i = 0; i < text.len;) {
        const unsigned char c = (unsigned char)text.ptr[i];
        size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        uint32_t code = c < 0x80 ? c : c & (0xffu >> (len + 1));

        for (size_t k = 1; k < len; k++)
            code = code << 6 | ((unsigned char)text.ptr[i + k] & 0x3f);
        if (code >= 0x10000)
            strbuf_printf(out, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
        else if (code < 0x20 || code >= 0x7f || strchr("\"\\<>&", (int)code))
            strbuf_printf(out, "\\u%04x", code);
        else
            strbuf_append_char(out, (char)code);
        i += len;
    }
    strbuf_append_char(out, '"');
}

/* ---------------------------------------------------------------------------------------------------- enums */

static int compare_values(const void *a, const void *b)
{
    const EnumValue *x = *(const EnumValue *const *)a, *y = *(const EnumValue *const *)b;

    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x < y ? -1 : x > y;
}

static Slice quoted(Arena *mem, Slice text)
{
    StrBuf b = strbuf_new(mem, 8 * NAME_MAX_BYTES);

    append_quoted(&b, text);
    return strbuf_slice(&b);
}

static Err load_enum_value(Arena *mem, const EnumType *e, const Atrium__EnumValueRow *row, EnumValue *out)
{
    if (!row->has_number || !name_is_good(row->name) || (row->json && !name_is_good(row->json)))
        return err_make(&INVALID_ARGUMENT, "tables: enum " SLICE_FMT ": a value without number or name",
                        SLICE_ARG(e->name));
    out->number = row->number;
    out->name = copy_name(mem, row->name);
    out->json = row->json ? copy_name(mem, row->json) : out->name;
    out->quoted = quoted(mem, out->json);
    return OK;
}

static Err load_enum(Arena *mem, const Atrium__EnumRow *row, EnumType *e)
{
    if (!name_is_good(row->name))
        return err_make(&INVALID_ARGUMENT, "tables: an enum without a name");
    e->name = copy_name(mem, row->name);
    e->is_null = slice_eq_cstr(e->name, "google.protobuf.NullValue");
    if (row->n_values == 0 || row->n_values > TYPES_MAX)
        return err_make(&INVALID_ARGUMENT, "tables: enum %s: %zu values", row->name, row->n_values);
    e->count = (uint32_t)row->n_values;
    e->values = ARENA_ARRAY(mem, EnumValue, e->count);
    e->by_number = ARENA_ARRAY(mem, const EnumValue *, e->count);
    name_index_init(&e->names, mem, (size_t)e->count * 2);
    for (uint32_t i = 0; i < e->count; i++) {
        TRY(load_enum_value(mem, e, row->values[i], &e->values[i]));
        e->by_number[i] = &e->values[i];
        if (!name_index_add(&e->names, e->values[i].json, i))
            return err_make(&INVALID_ARGUMENT, "tables: enum %s: two values with the JSON name of %s", row->name,
                            row->values[i]->name);
    }
    for (uint32_t i = 0; i < e->count; i++)
        (void)name_index_add(&e->names, e->values[i].name, i); /* a JSON name of the same text goes first */
    qsort(e->by_number, e->count, sizeof(const EnumValue *), compare_values);
    return OK;
}

Slice enum_type_name(const EnumType *e)
{
    return e->name;
}

bool enum_type_by_name(const EnumType *e, Slice name, int32_t *out)
{
    int64_t at = name_index_find(&e->names, name, false);

    if (at < 0)
        return false;
    *out = e->values[at].number;
    return true;
}

const EnumValue *enum_type_value(const EnumType *e, int32_t number)
{
    size_t low = 0, high = e->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (e->by_number[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < e->count && e->by_number[low]->number == number ? e->by_number[low] : NULL;
}

bool enum_type_by_number(const EnumType *e, int32_t number, Slice *out)
{
    const EnumValue *value = enum_type_value(e, number);

    if (!value)
        return false;
    *out = value->json;
    return true;
}

/* ---------------------------------------------------------------------------------------------------- fields */

static uint8_t wire_type_of(FieldKind kind)
{
    switch (kind) {
    case FIELD_DOUBLE:
    case FIELD_FIXED64:
    case FIELD_SFIXED64:
        return 1;
    case FIELD_FLOAT:
    case FIELD_FIXED32:
    case FIELD_SFIXED32:
        return 5;
    case FIELD_STRING:
    case FIELD_BYTES:
    case FIELD_MESSAGE:
        return 2;
    default:
        return 0;
    }
}

static void make_tag(FieldType *f)
{
    uint32_t tag = f->number << 3 | (f->packed ? 2 : f->wire_type);

    for (; tag >= 0x80; tag >>= 7)
        f->tag[f->tag_len++] = (uint8_t)(tag | 0x80);
    f->tag[f->tag_len++] = (uint8_t)tag;
}

static void make_member(Arena *mem, FieldType *f)
{
    StrBuf b = strbuf_new(mem, 8 * NAME_MAX_BYTES);

    strbuf_append_char(&b, ',');
    append_quoted(&b, f->json_name);
    strbuf_append_char(&b, ':');
    f->member = strbuf_slice(&b);
}

static const char *load_reference(const Loader *l, const Atrium__FieldRow *row, FieldType *f)
{
    if (f->kind == FIELD_ENUM) {
        if (!row->has_ref || row->ref >= l->tables->enum_count)
            return "its enum is not in the tables";
        f->enumeration = &l->tables->enums[row->ref];
    }
    if (f->kind == FIELD_MESSAGE) {
        if (!row->has_ref || row->ref >= l->tables->type_count)
            return "its message is not in the tables";
        f->message = &l->tables->types[row->ref];
        f->map = l->file->types[row->ref]->map_entry;
        if (f->map && !f->repeated)
            return "a map's entry outside a map";
    }
    return NULL;
}

static const char *load_absence(const Atrium__FieldRow *row, FieldType *f)
{
    if ((unsigned)row->null > ATRIUM__NULL_INPUT__EMPTY_CLEARS || (unsigned)row->absent > ATRIUM__ABSENT_OUTPUT__EMPTY)
        return "unknown rule for null or absence";
    f->null_input = (uint8_t)row->null;
    memset(f->absent, (int)row->absent, sizeof(f->absent));
    for (size_t i = 0; i < row->n_absent_in; i++) {
        const Atrium__AbsentIn *in = row->absent_in[i];
        if ((unsigned)in->dialect >= DIALECTS || (unsigned)in->as > ATRIUM__ABSENT_OUTPUT__EMPTY)
            return "unknown dialect or rule for absence";
        f->absent[in->dialect] = (uint8_t)in->as;
    }
    return NULL;
}

/* NULL, or what is wrong. */
static const char *load_field(const Loader *l, const Atrium__FieldRow *row, FieldType *f)
{
    const char *wrong;

    if (!name_is_good(row->name) || (row->json_name && !name_is_good(row->json_name)))
        return "no usable name";
    if (!row->has_number || row->number == 0 || row->number > NUMBER_MAX)
        return "number out of range";
    if (!row->has_type || row->type < FIELD_DOUBLE || row->type > FIELD_SINT64)
        return "unknown type";
    if (row->type == FIELD_GROUP)
        return "groups are not supported";
    if (row->oneof > FIELDS_MAX)
        return "oneof out of range";
    f->number = row->number;
    f->kind = (FieldKind)row->type;
    f->wire_type = wire_type_of(f->kind);
    f->repeated = row->repeated;
    f->packed = row->packed;
    f->int64_as_number = row->int64 == ATRIUM__INT64_FORM__NUMBER;
    f->secret = row->secret;
    f->internal = row->internal;
    f->oneof = (uint16_t)row->oneof;
    f->name = copy_name(l->mem, row->name);
    f->json_name = row->json_name ? copy_name(l->mem, row->json_name) : f->name;
    if (f->packed && (!f->repeated || f->wire_type == 2))
        return "packed, but not a list of numbers";
    if (f->repeated && f->oneof)
        return "a list in a oneof";
    if ((wrong = load_reference(l, row, f)) || (wrong = load_absence(row, f)))
        return wrong;
    make_tag(f);
    make_member(l->mem, f);
    return NULL;
}

static int compare_fields(const void *a, const void *b)
{
    uint32_t x = (*(const FieldType *const *)a)->number, y = (*(const FieldType *const *)b)->number;
    return x < y ? -1 : x > y;
}

/* NULL, or what is wrong. */
static const char *index_fields(Arena *mem, MessageType *m)
{
    name_index_init(&m->names, mem, (size_t)m->field_count * 2);
    m->by_number = ARENA_ARRAY(mem, const FieldType *, m->field_count);
    for (size_t i = 0; i < m->field_count; i++) {
        m->by_number[i] = &m->fields[i];
        if (!name_index_add(&m->names, m->fields[i].json_name, i))
            return "two fields of one JSON name";
        m->oneof_count = MAX(m->oneof_count, m->fields[i].oneof);
    }
    for (size_t i = 0; i < m->field_count; i++)
        (void)name_index_add(&m->names, m->fields[i].name, i); /* a JSON name of the same text goes first */
    qsort(m->by_number, m->field_count, sizeof(const FieldType *), compare_fields);
    for (size_t i = 1; i < m->field_count; i++)
        if (m->by_number[i - 1]->number == m->by_number[i]->number)
            return "two fields of one number";
    if (m->field_count)
        m->dense_count = MIN(m->by_number[m->field_count - 1]->number + 1, (uint32_t)DENSE_NUMBERS);
    m->dense = ARENA_ARRAY(mem, const FieldType *, m->dense_count);
    for (size_t i = 0; i < m->field_count; i++)
        if (m->by_number[i]->number < m->dense_count)
            m->dense[m->by_number[i]->number] = m->by_number[i];
    return NULL;
}

/* ---------------------------------------------------------------------------------------------------- messages */

static Err load_type(const Loader *l, const Atrium__TypeRow *row, MessageType *m)
{
    const char *wrong;

    if ((unsigned)row->well_known > ATRIUM__WELL_KNOWN__EMPTY_MESSAGE)
        return err_make(&INVALID_ARGUMENT, "tables: type %s: unknown well-known type", row->name);
    if (row->n_fields > FIELDS_MAX)
        return err_make(&INVALID_ARGUMENT, "tables: type %s: %zu fields", row->name, row->n_fields);
    m->well_known = (int)row->well_known;
    m->map_entry = row->map_entry;
    m->field_count = (uint16_t)row->n_fields;
    m->fields = ARENA_ARRAY(l->mem, FieldType, row->n_fields);
    for (size_t i = 0; i < row->n_fields; i++) {
        const char *field = row->fields[i]->name;
        m->fields[i].index = (uint16_t)i;
        if ((wrong = load_field(l, row->fields[i], &m->fields[i])))
            return err_make(&INVALID_ARGUMENT, "tables: type %s: field %s: %s", row->name, field ? field : "?", wrong);
    }
    if ((wrong = index_fields(l->mem, m)))
        return err_make(&INVALID_ARGUMENT, "tables: type %s: %s", row->name, wrong);
    return OK;
}

static const FieldType *field_of(const MessageType *m, uint32_t number, FieldKind kind, bool repeated)
{
    const FieldType *f = message_type_by_number(m, number);
    return f && f->kind == kind && f->repeated == repeated ? f : NULL;
}

static bool field_leads_to(const FieldType *f, int well_known)
{
    return f && f->message->well_known == well_known;
}

static bool is_map_entry(const MessageType *m)
{
    const FieldType *key = message_type_by_number(m, 1), *value = message_type_by_number(m, 2);

    return m->field_count == 2 && key && value && !key->repeated && !value->repeated && !key->oneof && !value->oneof &&
           key->kind != FIELD_MESSAGE && key->kind != FIELD_BYTES && key->kind != FIELD_ENUM &&
           key->kind != FIELD_DOUBLE && key->kind != FIELD_FLOAT;
}

/* google.protobuf.Value: its six members have fixed numbers. */
static bool is_value(const MessageType *m)
{
    return field_of(m, 1, FIELD_ENUM, false) && field_of(m, 2, FIELD_DOUBLE, false) &&
           field_of(m, 3, FIELD_STRING, false) && field_of(m, 4, FIELD_BOOL, false) &&
           field_leads_to(field_of(m, 5, FIELD_MESSAGE, false), ATRIUM__WELL_KNOWN__STRUCT) &&
           field_leads_to(field_of(m, 6, FIELD_MESSAGE, false), ATRIUM__WELL_KNOWN__LIST_VALUE) && m->field_count == 6;
}

static bool is_struct(const MessageType *m)
{
    const FieldType *fields = field_of(m, 1, FIELD_MESSAGE, true);

    return m->field_count == 1 && fields && fields->map && is_map_entry(fields->message) &&
           field_of(fields->message, 1, FIELD_STRING, false) &&
           field_leads_to(field_of(fields->message, 2, FIELD_MESSAGE, false), ATRIUM__WELL_KNOWN__VALUE);
}

/* Scalars only: a wrapper of a wrapper could lead round in a circle. */
static bool is_wrapper(const MessageType *m)
{
    return m->field_count == 1 && m->fields[0].number == 1 && !m->fields[0].repeated &&
           m->fields[0].kind != FIELD_MESSAGE;
}

static bool type_keeps_its_form(const MessageType *m)
{
    if (m->map_entry)
        return m->well_known == ATRIUM__WELL_KNOWN__ORDINARY && is_map_entry(m);
    switch (m->well_known) {
    case ATRIUM__WELL_KNOWN__TIMESTAMP:
    case ATRIUM__WELL_KNOWN__DURATION:
        return m->field_count == 2 && field_of(m, 1, FIELD_INT64, false) && field_of(m, 2, FIELD_INT32, false);
    case ATRIUM__WELL_KNOWN__FIELD_MASK:
        return m->field_count == 1 && field_of(m, 1, FIELD_STRING, true);
    case ATRIUM__WELL_KNOWN__LIST_VALUE:
        return m->field_count == 1 && field_leads_to(field_of(m, 1, FIELD_MESSAGE, true), ATRIUM__WELL_KNOWN__VALUE);
    case ATRIUM__WELL_KNOWN__STRUCT:
        return is_struct(m);
    case ATRIUM__WELL_KNOWN__VALUE:
        return is_value(m);
    case ATRIUM__WELL_KNOWN__WRAPPER:
        return is_wrapper(m);
    case ATRIUM__WELL_KNOWN__EMPTY_MESSAGE:
        return m->field_count == 0;
    default:
        return true;
    }
}

static void find_cleared(MessageType *m)
{
    const FieldType *f = message_type_by_name(m, SLICE_LIT("cleared"), false);

    if (f && f->kind == FIELD_MESSAGE && !f->repeated && f->message->well_known == ATRIUM__WELL_KNOWN__FIELD_MASK)
        m->cleared = f;
}

/* Types may refer to one another in circles, so the mark is spread until nothing changes. */
static void mark_secrets(TypeTables *t)
{
    bool changed = true;

    while (changed) {
        changed = false;
        for (size_t i = 0; i < t->type_count; i++) {
            MessageType *m = &t->types[i];
            for (size_t k = 0; k < m->field_count && !m->has_secret; k++)
                if (m->fields[k].secret || (m->fields[k].message && m->fields[k].message->has_secret))
                    m->has_secret = changed = true;
        }
    }
}

static Err name_types(Loader *l)
{
    TypeTables *t = l->tables;

    name_index_init(&t->names, l->mem, t->type_count);
    for (size_t i = 0; i < t->type_count; i++) {
        const char *name = l->file->types[i]->name;
        if (!name_is_good(name))
            return err_make(&INVALID_ARGUMENT, "tables: type %zu has no usable name", i);
        t->types[i].name = copy_name(l->mem, name);
        if (!name_index_add(&t->names, t->types[i].name, i))
            return err_make(&INVALID_ARGUMENT, "tables: two types named %s", name);
    }
    return OK;
}

Err types_load(Arena *mem, const Atrium__Tables *file, const TypeTables **out)
{
    TypeTables *t = ARENA_NEW(mem, TypeTables);
    Loader l = {.mem = mem, .file = file, .tables = t};

    if (file->format != TYPES_FORMAT)
        return err_make(&INVALID_ARGUMENT, "tables: format %u, this program reads %d", file->format, TYPES_FORMAT);
    if (file->n_types > TYPES_MAX || file->n_enums > TYPES_MAX)
        return err_make(&INVALID_ARGUMENT, "tables: %zu types and %zu enums are too many", file->n_types,
                        file->n_enums);
    t->type_count = file->n_types;
    t->enum_count = file->n_enums;
    t->types = ARENA_ARRAY(mem, MessageType, t->type_count);
    t->enums = ARENA_ARRAY(mem, EnumType, t->enum_count);
    for (size_t i = 0; i < t->enum_count; i++)
        TRY(load_enum(mem, file->enums[i], &t->enums[i]));
    TRY(name_types(&l));
    for (size_t i = 0; i < t->type_count; i++)
        TRY(load_type(&l, file->types[i], &t->types[i]));
    for (size_t i = 0; i < t->type_count; i++) {
        if (!type_keeps_its_form(&t->types[i]))
            return err_make(&INVALID_ARGUMENT, "tables: type " SLICE_FMT ": not the fields of its kind",
                            SLICE_ARG(t->types[i].name));
        find_cleared(&t->types[i]);
    }
    mark_secrets(t);
    *out = t;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- looking up */

const MessageType *types_at(const TypeTables *t, size_t index)
{
    return index < t->type_count ? &t->types[index] : NULL;
}

const MessageType *types_find(const TypeTables *t, Slice full_name)
{
    int64_t at = name_index_find(&t->names, full_name, false);
    return at < 0 ? NULL : &t->types[at];
}

Slice message_type_name(const MessageType *m)
{
    return m->name;
}

int message_type_well_known(const MessageType *m)
{
    return m->well_known;
}

size_t message_type_field_count(const MessageType *m)
{
    return m->field_count;
}

const FieldType *message_type_field(const MessageType *m, size_t index)
{
    return index < m->field_count ? &m->fields[index] : NULL;
}

const FieldType *message_type_by_number(const MessageType *m, uint32_t number)
{
    size_t low = 0, high = m->field_count;

    if (number < m->dense_count)
        return m->dense[number];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (m->by_number[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->field_count && m->by_number[low]->number == number ? m->by_number[low] : NULL;
}

const FieldType *message_type_by_name(const MessageType *m, Slice name, bool nocase)
{
    int64_t at = name_index_find(&m->names, name, nocase);
    return at < 0 ? NULL : &m->fields[at];
}
