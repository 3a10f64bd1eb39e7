/* pages: lists in parts. A part ends with a cursor, which only we read: the id of its last row. */
#pragma once
#include "shared/rpc.h"

enum { PAGE_MAX = 200, PAGE_DEFAULT = 50 };
typedef struct Page {
    int64_t limit;
    Uuid after; /* nil: from the beginning */
} Page;
/* What a request asks for; `after` may be NULL. INVALID_ARGUMENT. */
Err page_parse(Request *rq, bool has_limit, int32_t limit, const char *after, Page *out) MUST_CHECK;
/* Borrowed from `mem`. "" when `count` rows, of which one more than the limit was asked for, are the last. */
char *page_next(Arena *mem, const Page *page, size_t count, Uuid last);
/* Of `count` rows, those that the part shows. */
size_t page_shown(const Page *page, size_t count);

/* A user's id as dialects write it: in UUID form, or as a plain number. */
bool user_id_parse(Slice text, int64_t *out);
char *user_id_text(Arena *mem, int64_t user_id); /* UUID form */
