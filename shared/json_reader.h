/* json_reader: what the json_read*.c files share. Not for others. */
#pragma once
#include "shared/json_internal.h"

/* Where the reader is, from the inside out. */
typedef struct PathNode {
    const struct PathNode *up;
    Slice name; /* ptr is NULL for a list position */
    size_t position;
} PathNode;

/* A field to be named in the request's `cleared` mask. */
typedef struct Cleared {
    size_t offset; /* of its null */
    Slice path;
} Cleared;

typedef struct Reader {
    const char *at, *begin, *end;
    const JsonReadOptions *options;
    const MessageType *top;
    StrBuf *out;
    JsonProblems *problems;
    const PathNode *path;
    int levels;  /* that may still be opened */
    int secrets; /* secret fields around the current value */
    int lists;   /* lists and maps around it */
    Cleared *cleared;
    size_t cleared_count;
    JsonScratch scratch;
} Reader;

/* Read functions return false when reading must end: the grammar is broken, the nesting too deep, the output full.
 * Functions of json_read.c: */
void json_reader_report(Reader *r, JsonProblemKind kind, const char *expected, const char *start);
bool json_reader_stop(Reader *r, JsonProblemKind kind);
bool json_reader_skip(Reader *r);
bool json_reader_refuse(Reader *r, JsonProblemKind kind, const char *expected);
bool json_reader_refuse_message(Reader *r, const MessageType *type, const char *expected);
bool json_read_object(Reader *r, const MessageType *type);
/* The field that is read will be named in the request's mask; `start` is where its value began. */
bool json_reader_note_cleared(Reader *r, const char *start);

/* json_read_value.c: */
/* Either the bits, or a report of why not; `start` is where the value began. */
bool json_read_bits(Reader *r, const FieldType *f, bool tagged, const char *start, JsonOutcome outcome, uint64_t bits);
/* The text of a string other than a string field, escapes resolved. `good` is false when it was reported. */
bool json_read_plain(Reader *r, Slice *out, bool *good);
bool json_read_put_text(Reader *r, const FieldType *f, const JsonText *text); /* tag, length, text */
bool json_read_value(Reader *r, const FieldType *f, bool tagged);
bool json_read_field(Reader *r, const FieldType *f);
bool json_read_content(Reader *r, const MessageType *type); /* what stands behind a message's tag and length */
/* null is a value of its own, not absence. */
bool json_takes_null(const FieldType *f);

/* json_read_list.c: */
bool json_read_list(Reader *r, const FieldType *f);
bool json_read_map(Reader *r, const FieldType *f);

static inline char peek(const Reader *r)
{
    return r->at < r->end ? *r->at : '\0';
}

static inline bool enter(Reader *r)
{
    if (r->levels == 0)
        return json_reader_stop(r, JSON_TOO_DEEP);
    r->levels--;
    return true;
}

/* Behind an element: true in `more` when another follows; the closing mark is taken. */
static inline bool read_separator(Reader *r, char closing, bool *more)
{
    r->at = json_skip_space(r->at, r->end);
    *more = peek(r) == ',';
    if (!*more && peek(r) != closing)
        return json_reader_stop(r, JSON_SYNTAX);
    r->at = *more ? json_skip_space(r->at + 1, r->end) : r->at + 1;
    return true;
}

/* Behind the opening mark; `more` is false when the closing one follows at once. */
static inline bool read_opening(Reader *r, char closing)
{
    r->at = json_skip_space(r->at + 1, r->end);
    if (peek(r) != closing)
        return true;
    r->at++;
    return false;
}

/* Two positions in one word of scratch. */
static inline uint64_t span(size_t start, size_t end)
{
    return (uint64_t)start << 32 | end;
}

static inline size_t span_start(uint64_t words)
{
    return (size_t)(words >> 32);
}

static inline size_t span_end(uint64_t words)
{
    return (size_t)(words & UINT32_MAX);
}
