/* base: what every file of the project starts from. No functions of its own beyond one-liners. */
#pragma once

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
/* Defines fn##_at, for CLEANUP on a pointer variable. */
#define CLEANUP_FN(T, fn)                                                                                              \
    static inline void fn##_at(T **p)                                                                                  \
    {                                                                                                                  \
        fn(*p);                                                                                                        \
    }
/* Hands a pointer on and leaves NULL behind, so that its CLEANUP frees nothing. */
#define MOVE(p)                                                                                                        \
    ({                                                                                                                 \
        __typeof__(p) moved_ = (p);                                                                                    \
        (p) = NULL;                                                                                                    \
        moved_;                                                                                                        \
    })
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, args_at) __attribute__((format(printf, format_at, args_at)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Aborts when memory is out: a restart is cheaper than a thousand untested branches. Sizes that a caller
 * controls are bounded before they come here. */
static inline void *xmalloc(size_t size_bytes)
{
    void *p = malloc(size_bytes ? size_bytes : 1);
    if (!p)
        abort();
    return p;
}

static inline void *xcalloc(size_t count, size_t size_bytes)
{
    void *p = calloc(count ? count : 1, size_bytes ? size_bytes : 1);
    if (!p)
        abort();
    return p;
}

static inline void *xrealloc(void *old, size_t size_bytes)
{
    void *p = realloc(old, size_bytes ? size_bytes : 1);
    if (!p)
        abort();
    return p;
}

static inline char *xstrdup(const char *text)
{
    size_t len = strlen(text) + 1;
    return memcpy(xmalloc(len), text, len);
}

/* These have no bound, a hidden state or no error: use strbuf, slice_to_int64, gmtime_r. */
#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atof localtime gmtime
