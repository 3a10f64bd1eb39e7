/* findings: see findings.h. */
#include "services/events/findings.h"

#include "shared/strbuf.h"

enum { MESSAGE_MAX_BYTES = 400 };

/* A precision in a format may have cut a letter in two. */
static const char *whole_letters(Arena *mem, Slice text)
{
    StrBuf out = strbuf_new(mem, MESSAGE_MAX_BYTES);
    Slice whole;

    while (text.len) {
        size_t len = utf8_first(text);

        strbuf_append(&out, slice_take(text, len));
        text = slice_skip(text, MAX(len, (size_t)1));
    }
    return strbuf_finish(&out, &whole) ? whole.ptr : "";
}

void findings_add(Findings *f, const char *field, const char *code, const char *format, ...)
{
    char message[MESSAGE_MAX_BYTES];
    va_list args;

    if (f->count == FINDINGS_MAX)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    f->list[f->count++] =
        (Finding){.field = arena_strdup(f->mem, field), .code = code, .message = whole_letters(f->mem, slice(message))};
}

void findings_relate(Findings *f, const char *uri, double score)
{
    if (f->count == 0)
        return;
    f->list[f->count - 1].related = uri;
    f->list[f->count - 1].score = score;
}

bool findings_have(const Findings *f, const char *code)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->list[i].code, code) == 0)
            return true;
    return false;
}
