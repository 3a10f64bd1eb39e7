/* json: JSON to protobuf wire bytes and back, by tables, without a message in between. The proto3 JSON mapping, with
 * the rules of (atrium.field) on top. Both directions are bounded in depth and size and check UTF-8. No state: any
 * thread. docs/json.md states the mapping. */
#pragma once
#include "shared/strbuf.h"
#include "shared/types.h"

enum {
    JSON_MAX_DEPTH = 64,   /* nested objects, arrays and messages, both ways; what a Struct holds counts three times */
    JSON_MAX_PROBLEMS = 32 /* reported per body; the rest is dropped */
};

typedef enum JsonProblemKind {
    JSON_SYNTAX,   /* not JSON; `offset` says where; nothing else was looked at */
    JSON_BAD_UTF8, /* also a lone surrogate escape, and U+0000 in a string */
    JSON_TOO_DEEP,
    JSON_TOO_LARGE,  /* the output would pass its bound */
    JSON_WRONG_TYPE, /* `expected` names the type: "string", "integer", "object" … */
    JSON_OUT_OF_RANGE,
    JSON_UNKNOWN_ENUM,
    JSON_UNKNOWN_FIELD, /* with refuse_unknown only */
    JSON_NULL,          /* null where the field says ERROR */
    JSON_BAD_FORMAT,    /* Timestamp, Duration, bytes … that cannot be read; `expected` says which */
    JSON_ONEOF_TWICE    /* two members of one oneof */
} JsonProblemKind;

typedef struct JsonProblem {
    JsonProblemKind kind;
    const char *path;     /* dotted, proto names, list positions as numbers: "profile.tags.3"; "" is the whole body */
    const char *expected; /* constant, may be NULL */
    size_t offset;        /* of the offending value */
    Slice input;          /* the value's text, borrowed from the input; empty for secrets */
} JsonProblem;

typedef struct JsonProblems {
    JsonProblem list[JSON_MAX_PROBLEMS];
    size_t count;
} JsonProblems;

typedef struct JsonReadOptions {
    bool nocase;          /* member names in any case */
    bool refuse_unknown;  /* default: unknown members are skipped */
    bool lenient_scalars; /* "5" for a number, "yes" for a bool, 5 for a string-typed 64-bit … (FastAPI's reading) */
    bool ignore_trailing; /* bytes after the first value */
    bool null_is_empty;   /* a top-level null acts as {} */
    bool skip_bom;
} JsonReadOptions;

/* Appends the wire form of `text` to `out`. A duplicated member replaces the earlier one. False when there are
 * problems (then what was appended is cut off again); all problems of one body are listed in order of appearance, but
 * what ends the reading (JSON_SYNTAX, JSON_TOO_DEEP, JSON_TOO_LARGE) stands alone. Memory for paths comes from
 * out->mem. */
bool json_to_wire(const JsonReadOptions *options, const MessageType *type, Slice text, StrBuf *out,
                  JsonProblems *problems) MUST_CHECK;

/* For one value outside a body: a path variable or a query parameter, as text. Appends the field (tag and value) to
 * `out`; `path` may lead through messages ("filter.author_id"). Repeated fields append. On failure fills `problem`. */
bool json_text_field_to_wire(const JsonReadOptions *options, const MessageType *type, Slice path, Slice text,
                             StrBuf *out, JsonProblem *problem) MUST_CHECK;

typedef struct JsonWriteOptions {
    int dialect;      /* Atrium__Dialect: chooses what absence looks like */
    bool escape_html; /* <, >, & and U+2028/9 as \uXXXX */
    bool ascii;       /* everything outside ASCII as \uXXXX */
    bool internal;    /* wire_field_to_json alone: also of fields that are kept out of JSON */
} JsonWriteOptions;

/* Appends the JSON form of wire bytes. Unknown fields are skipped. False when the bytes are not a message of this type
 * (truncated, wrong wire type, invalid UTF-8, too deep) or `out` is full; `out` is then cut back. */
bool wire_to_json(const JsonWriteOptions *options, const MessageType *type, Slice wire, StrBuf *out) MUST_CHECK;
/* One field's value alone, for response_body and the like; null when absent, or empty where the field's rule says so.
 */
bool wire_field_to_json(const JsonWriteOptions *options, const MessageType *type, Slice field_name, Slice wire,
                        StrBuf *out) MUST_CHECK;

/* The raw text of the value at a dotted path of member names and list positions in valid JSON; empty when none. */
Slice json_find(Slice text, Slice path);
