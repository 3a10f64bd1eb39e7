#include "shared/err.h"

#include <errno.h>

#include "shared/slice.h"

/* One list per proto file with reasons in the program: a dozen in the largest. Constructors fill the table before
 * main() and nothing changes it afterwards, so that it needs no lock and no allocation. */
enum { REASON_LISTS_MAX = 64 };
static struct {
    const Reason *const *reasons;
    size_t count;
} lists[REASON_LISTS_MAX];
static size_t list_count;

void reasons_add(const Reason *const *list, size_t count)
{
    if (list_count == REASON_LISTS_MAX)
        abort(); /* our own mistake, at the start of the program: raise REASON_LISTS_MAX */
    lists[list_count].reasons = list;
    lists[list_count].count = count;
    list_count++;
}

const Reason *reason_find(const char *key)
{
    if (!key)
        return NULL;
    for (size_t l = 0; l < list_count; l++) {
        for (size_t i = 0; i < lists[l].count; i++) {
            if (!strcmp(lists[l].reasons[i]->key, key))
                return lists[l].reasons[i];
        }
    }
    return NULL;
}

/* The text goes into JSON bodies and headers: what snprintf cut must not end in half a character. */
static void drop_half_character(Err *e, int wanted)
{
    if (wanted >= (int)sizeof(e->text))
        e->text[utf8_take(slice_of(e->text, sizeof(e->text) - 1), sizeof(e->text) - 2).len] = '\0';
}

Err err_make(const Reason *reason, const char *format, ...)
{
    Err e = {.reason = reason};
    va_list args;
    int wanted;

    va_start(args, format);
    wanted = vsnprintf(e.text, sizeof(e.text), format, args);
    va_end(args);
    drop_half_character(&e, wanted);
    return e;
}

Err err_wrap(Err e, const char *step)
{
    Err wrapped = {.reason = e.reason};
    int wanted;

    if (!e.reason)
        return e;
    wanted = snprintf(wrapped.text, sizeof(wrapped.text), "%s: %s", step, e.text);
    drop_half_character(&wrapped, wanted);
    return wrapped;
}

Err err_errno(const Reason *reason, const char *what)
{
    int number = errno;
    char buffer[64];

    return err_make(reason, "%s: %s", what, strerror_r(number, buffer, sizeof(buffer)));
}
