/* terms: what somebody searches for, taken apart: words, "several words" that stand so, and begin*. Only cut out: which
 * forms of a word match, and which words are too common to look for, is the database's business. No state: any
 * thread. */
#pragma once
#include "shared/slice.h"

enum {
    TERMS_MAX = 32, /* further ones are not looked for */
    QUERY_MAX_CHARS = 512
};

typedef enum TermKind { TERM_WORD = 0, TERM_PHRASE = 1, TERM_PREFIX = 2 } TermKind;

typedef struct Terms {
    Slice texts[TERMS_MAX]; /* borrowed from the query; not empty */
    int64_t kinds[TERMS_MAX];
    size_t count;
} Terms;

/* `query` is valid UTF-8. A quote that is not closed goes to the end. */
void terms_read(Slice query, Terms *out);
