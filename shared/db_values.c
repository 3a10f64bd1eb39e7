/* db_values: values to PostgreSQL's binary format and back. */
#include <endian.h>

#include "shared/db_internal.h"

/* Types of the server's catalogue that we send or read; their numbers are fixed for ever. */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_TEXT_ARRAY = 1009,
    OID_INT8_ARRAY = 1016,
    OID_DATE = 1082,
    OID_TIMESTAMPTZ = 1184,
    OID_UUID = 2950,
    OID_JSONB = 3802
};
/* PostgreSQL counts time from 2000-01-01. */
#define PG_EPOCH_US INT64_C(946684800000000)
#define DAY_US INT64_C(86400000000)

/* Indexed by DbValue.kind. */
static const Oid KIND_TYPES[] = {[DB_NULL] = 0,
                                 [DB_INT64] = OID_INT8,
                                 [DB_BOOL] = OID_BOOL,
                                 [DB_TEXT] = OID_TEXT,
                                 [DB_BYTES] = OID_BYTEA,
                                 [DB_UUID] = OID_UUID,
                                 [DB_TIME] = OID_TIMESTAMPTZ,
                                 [DB_DOUBLE] = OID_FLOAT8,
                                 [DB_TEXT_ARRAY] = OID_TEXT_ARRAY,
                                 [DB_INT64_ARRAY] = OID_INT8_ARRAY};

/* --- making values ----------------------------------------------------------------------------------------------- */
/* A NULL carries the kind it stands for, so that a statement is prepared with the same types whether its first call
 * had a value or not. */
static DbValue typed_null(int kind)
{
    return (DbValue){.kind = DB_NULL, .int64 = kind};
}

DbValue db_null(void)
{
    return typed_null(DB_NULL);
}

DbValue db_int64(int64_t v)
{
    return (DbValue){.kind = DB_INT64, .int64 = v};
}

DbValue db_bool(bool v)
{
    return (DbValue){.kind = DB_BOOL, .boolean = v};
}

DbValue db_double(double v)
{
    return (DbValue){.kind = DB_DOUBLE, .number = v};
}

DbValue db_text(Slice v)
{
    return (DbValue){.kind = DB_TEXT, .bytes = v};
}

DbValue db_text_or_null(const char *v)
{
    return v ? db_text(slice(v)) : typed_null(DB_TEXT);
}

DbValue db_bytes(Slice v)
{
    return (DbValue){.kind = DB_BYTES, .bytes = v};
}

DbValue db_uuid(Uuid v)
{
    return (DbValue){.kind = DB_UUID, .uuid = v};
}

DbValue db_time_us(int64_t unix_us)
{
    return (DbValue){.kind = DB_TIME, .int64 = unix_us};
}

DbValue db_time_us_or_null(int64_t unix_us)
{
    return unix_us ? db_time_us(unix_us) : typed_null(DB_TIME);
}

DbValue db_text_array(const Slice *items, size_t count)
{
    return (DbValue){.kind = DB_TEXT_ARRAY, .array = {items, count}};
}

DbValue db_int64_array(const int64_t *items, size_t count)
{
    return (DbValue){.kind = DB_INT64_ARRAY, .array = {items, count}};
}

/* --- to the wire ------------------------------------------------------------------------------------------------- */
static char *put32(char *at, uint32_t v)
{
    v = htobe32(v);
    memcpy(at, &v, sizeof v);
    return at + sizeof v;
}

static char *put64(char *at, uint64_t v)
{
    v = htobe64(v);
    memcpy(at, &v, sizeof v);
    return at + sizeof v;
}

static size_t array_item_bytes(const DbValue *v, size_t i)
{
    return v->kind == DB_TEXT_ARRAY ? ((const Slice *)v->array.items)[i].len : sizeof(int64_t);
}

/* One dimension from 1 without NULLs: dimensions, has-null flag, element type, length, lower bound, then each element
 * after its length. An empty array has no dimension. */
static char *encode_array(const DbValue *v, int *out_len)
{
    size_t bytes = 5 * sizeof(uint32_t);
    char *buffer, *at;

    for (size_t i = 0; i < v->array.count; i++)
        bytes += sizeof(uint32_t) + array_item_bytes(v, i);
    buffer = at = xmalloc(bytes);
    at = put32(at, v->array.count ? 1 : 0);
    at = put32(at, 0);
    at = put32(at, v->kind == DB_TEXT_ARRAY ? OID_TEXT : OID_INT8);
    if (v->array.count) {
        at = put32(at, (uint32_t)v->array.count);
        at = put32(at, 1);
    }
    for (size_t i = 0; i < v->array.count; i++) {
        size_t len = array_item_bytes(v, i);
        at = put32(at, (uint32_t)len);
        if (v->kind == DB_INT64_ARRAY) {
            at = put64(at, (uint64_t)((const int64_t *)v->array.items)[i]);
        } else if (len) {
            memcpy(at, ((const Slice *)v->array.items)[i].ptr, len);
            at += len;
        }
    }
    *out_len = (int)(at - buffer);
    return buffer;
}

static void encode(DbParams *params, int i, const DbValue *v)
{
    char *scalar = params->scalars[i];
    uint64_t bits;

    params->formats[i] = 1;
    params->types[i] = KIND_TYPES[v->kind];
    params->values[i] = scalar;
    params->lengths[i] = 8;
    switch (v->kind) {
    case DB_NULL:
        params->types[i] = KIND_TYPES[v->int64];
        params->values[i] = NULL;
        params->lengths[i] = 0;
        break;
    case DB_INT64:
        put64(scalar, (uint64_t)v->int64);
        break;
    case DB_TIME:
        put64(scalar, (uint64_t)v->int64 - (uint64_t)PG_EPOCH_US);
        break;
    case DB_DOUBLE:
        memcpy(&bits, &v->number, sizeof bits);
        put64(scalar, bits);
        break;
    case DB_BOOL:
        scalar[0] = v->boolean;
        params->lengths[i] = 1;
        break;
    case DB_UUID:
        memcpy(scalar, v->uuid.bytes, 16);
        params->lengths[i] = 16;
        break;
    case DB_TEXT:
    case DB_BYTES:
        params->values[i] = v->bytes.ptr ? v->bytes.ptr : "";
        params->lengths[i] = (int)v->bytes.len;
        break;
    case DB_TEXT_ARRAY:
    case DB_INT64_ARRAY:
        params->arrays[params->array_count] = encode_array(v, &params->lengths[i]);
        params->values[i] = params->arrays[params->array_count++];
        break;
    }
}

void db_params_init(DbParams *params, DbArgs args)
{
    assert(args.count <= DB_MAX_PARAMS);
    params->count = (int)args.count;
    params->array_count = 0;
    for (int i = 0; i < params->count; i++)
        encode(params, i, &args.list[i]);
}

void db_params_done(DbParams *params)
{
    while (params->array_count > 0)
        free(params->arrays[--params->array_count]);
}

/* --- from the wire --------------------------------------------------------------------------------------------------
 */
void db_rows_done(DbRows *rows)
{
    PQclear(rows->result);
    *rows = (DbRows){0};
}

static Slice field(const DbRows *rows, int row, int column)
{
    const PGresult *r = rows->result;

    assert(row >= 0 && row < rows->count && column >= 0 && column < PQnfields(r));
    return slice_of(PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column));
}

static uint64_t unsigned_be(Slice bytes)
{
    uint64_t v = 0;

    for (size_t i = 0; i < bytes.len && i < sizeof v; i++)
        v = v << 8 | (uint8_t)bytes.ptr[i];
    return v;
}

bool db_is_null(const DbRows *rows, int row, int column)
{
    return PQgetisnull(rows->result, row, column);
}

int64_t db_get_int64(const DbRows *rows, int row, int column)
{
    uint64_t v = unsigned_be(field(rows, row, column));

    if (db_is_null(rows, row, column))
        return 0;
    switch (PQftype(rows->result, column)) {
    case OID_INT2:
        return (int16_t)v;
    case OID_INT4:
        return (int32_t)v;
    case OID_INT8:
    case OID_OID:
        return (int64_t)v;
    default:
        assert(!"column is not an integer");
        return 0;
    }
}

size_t db_get_int64_array(Arena *mem, const DbRows *rows, int row, int column, int64_t **out)
{
    enum { HEAD_BYTES = 20, ITEM_BYTES = 4 + sizeof(int64_t) }; /* see encode_array */
    Slice v = field(rows, row, column);
    size_t count = v.len > HEAD_BYTES ? (v.len - HEAD_BYTES) / ITEM_BYTES : 0;

    assert(db_is_null(rows, row, column) || PQftype(rows->result, column) == OID_INT8_ARRAY);
    assert(count == 0 || v.len == HEAD_BYTES + count * ITEM_BYTES);
    *out = ARENA_ARRAY(mem, int64_t, count + 1);
    for (size_t i = 0; i < count; i++)
        (*out)[i] = (int64_t)unsigned_be(slice_of(v.ptr + HEAD_BYTES + i * ITEM_BYTES + 4, sizeof(int64_t)));
    return count;
}

bool db_get_bool(const DbRows *rows, int row, int column)
{
    Slice v = field(rows, row, column);
    return v.len > 0 && v.ptr[0] != 0;
}

double db_get_double(const DbRows *rows, int row, int column)
{
    uint64_t bits = unsigned_be(field(rows, row, column));
    uint32_t bits4 = (uint32_t)bits;
    double number;
    float number4;

    if (db_is_null(rows, row, column))
        return 0;
    switch (PQftype(rows->result, column)) {
    case OID_FLOAT8:
        memcpy(&number, &bits, sizeof number);
        return number;
    case OID_FLOAT4:
        memcpy(&number4, &bits4, sizeof number4);
        return (double)number4;
    default:
        return (double)db_get_int64(rows, row, column);
    }
}

Slice db_get_text(const DbRows *rows, int row, int column)
{
    Slice v = field(rows, row, column);

    /* The binary form of jsonb is its text after a version byte. */
    return PQftype(rows->result, column) == OID_JSONB ? slice_skip(v, 1) : v;
}

char *db_get_cstr(Arena *mem, const DbRows *rows, int row, int column)
{
    return slice_cstr(mem, db_get_text(rows, row, column));
}

char *db_get_cstr_or_null(Arena *mem, const DbRows *rows, int row, int column)
{
    return db_is_null(rows, row, column) ? NULL : db_get_cstr(mem, rows, row, column);
}

Slice db_get_bytes(const DbRows *rows, int row, int column)
{
    return field(rows, row, column);
}

Uuid db_get_uuid(const DbRows *rows, int row, int column)
{
    Slice v = field(rows, row, column);
    Uuid u = {{0}};

    if (v.len == sizeof u.bytes)
        memcpy(u.bytes, v.ptr, sizeof u.bytes);
    return u;
}

int64_t db_get_time_us(const DbRows *rows, int row, int column)
{
    uint64_t v = unsigned_be(field(rows, row, column));

    if (db_is_null(rows, row, column))
        return 0;
    if (PQftype(rows->result, column) == OID_DATE)
        return (int32_t)v * DAY_US + PG_EPOCH_US;
    if (v == INT64_MAX || v == (uint64_t)INT64_MIN)
        return (int64_t)v; /* infinity and -infinity stay the ends of time */
    return (int64_t)v + PG_EPOCH_US;
}
