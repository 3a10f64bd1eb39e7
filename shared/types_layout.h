/* types_layout: what stands behind the opaque types of types.h. For types.c and json_*.c alone: JSON is the gateway's
 * hot path, and a call for every look into a table would double its cost. */
#pragma once
#include "shared/types.h"

/* Names to positions: open addressing, at most half full, so that every search ends. Hashes and, on demand,
 * comparisons do not tell ASCII letters' case apart. What was put in earlier is found earlier. */
typedef struct NameSlot {
    Slice name; /* ptr is NULL in a free slot */
    uint32_t hash, position;
} NameSlot;

typedef struct NameIndex {
    NameSlot *slots;
    uint32_t mask;
    uint32_t longest; /* name, in bytes */
} NameIndex;

struct MessageType {
    Slice name;
    int well_known;
    bool map_entry;
    bool has_secret; /* here or anywhere below */
    uint16_t field_count;
    uint16_t oneof_count; /* highest number used */
    uint32_t dense_count; /* numbers below it stand in `dense` */
    FieldType *fields;
    const FieldType **dense;     /* by number; NULL where there is none */
    const FieldType **by_number; /* sorted, for the others */
    const FieldType *cleared;    /* a FieldMask of this name, or NULL */
    NameIndex names;
};

typedef struct EnumValue {
    int32_t number;
    Slice name, json;
    Slice quoted; /* `json` as a JSON string */
} EnumValue;

struct EnumType {
    Slice name;
    bool is_null; /* google.protobuf.NullValue: null in JSON */
    uint32_t count;
    EnumValue *values;           /* as declared: the first is the default */
    const EnumValue **by_number; /* sorted; of aliases the first declared comes first */
    NameIndex names;
};

/* NULL when the enum has no such value. */
const EnumValue *enum_type_value(const EnumType *e, int32_t number);

static inline uint64_t name_word(const char *at, size_t len)
{
    uint32_t low = 0, high = 0;
    uint64_t word;

    if (len >= 8) {
        memcpy(&word, at, 8);
        return word;
    }
    if (len >= 4) { /* two loads that may overlap: a copy of odd length would stall */
        memcpy(&low, at, 4);
        memcpy(&high, at + len - 4, 4);
        return low | (uint64_t)high << 32;
    }
    return len ? (uint64_t)(unsigned char)at[0] | (uint64_t)(unsigned char)at[len / 2] << 8 |
                     (uint64_t)(unsigned char)at[len - 1] << 16
               : 0;
}

static inline uint32_t name_hash(Slice name)
{
    const uint64_t fold = 0x2020202020202020u, spread = 0x9e3779b97f4a7c15u;
    uint64_t h = name.len * spread;
    size_t at = 0;

    for (; name.len - at > 8; at += 8) {
        h = (h ^ (name_word(name.ptr + at, 8) | fold)) * spread;
        h ^= h >> 29;
    }
    if (at) /* the last eight bytes, some of them again */
        h ^= name_word(name.ptr + name.len - 8, 8) | fold;
    else
        h ^= name_word(name.ptr, name.len) | fold;
    h *= spread;
    return (uint32_t)(h ^ (h >> 32));
}

/* The position stored for `name`, or -1. With `nocase` an exact match still comes first. */
static inline int64_t name_index_find(const NameIndex *index, Slice name, bool nocase)
{
    uint32_t hash, i;

    if (name.len > index->longest || !index->slots)
        return -1;
    hash = name_hash(name);
    for (i = hash & index->mask; index->slots[i].name.ptr; i = (i + 1) & index->mask)
        if (index->slots[i].hash == hash && index->slots[i].name.len == name.len &&
            memcmp(index->slots[i].name.ptr, name.ptr, name.len) == 0)
            return index->slots[i].position;
    if (!nocase)
        return -1;
    for (i = hash & index->mask; index->slots[i].name.ptr; i = (i + 1) & index->mask)
        if (index->slots[i].hash == hash && slice_eq_nocase(index->slots[i].name, name))
            return index->slots[i].position;
    return -1;
}
