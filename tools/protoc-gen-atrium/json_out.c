#include "json_out.h"

static void next(JsonOut *j, const char *key)
{
    if (j->filled)
        strbuf_append_char(j->b, ',');
    if (j->depth > 0)
        strbuf_printf(j->b, "\n%*s", 2 * j->depth, "");
    if (key) {
        strbuf_append_json(j->b, slice(key));
        strbuf_append_cstr(j->b, ": ");
    }
    j->filled = true;
}

static void open(JsonOut *j, const char *key, char bracket)
{
    next(j, key);
    strbuf_append_char(j->b, bracket);
    j->depth++;
    j->filled = false;
}

static void close(JsonOut *j, char bracket)
{
    j->depth--;
    if (j->filled)
        strbuf_printf(j->b, "\n%*s", 2 * j->depth, "");
    strbuf_append_char(j->b, bracket);
    j->filled = true;
}

void json_object(JsonOut *j, const char *key)
{
    open(j, key, '{');
}

void json_array(JsonOut *j, const char *key)
{
    open(j, key, '[');
}

void json_end_object(JsonOut *j)
{
    close(j, '}');
}

void json_end_array(JsonOut *j)
{
    close(j, ']');
}

void json_text(JsonOut *j, const char *key, const char *value)
{
    next(j, key);
    strbuf_append_json(j->b, slice(value));
}

void json_number(JsonOut *j, const char *key, int64_t value)
{
    next(j, key);
    strbuf_append_int64(j->b, value);
}

void json_bool(JsonOut *j, const char *key, bool value)
{
    next(j, key);
    strbuf_append_cstr(j->b, value ? "true" : "false");
}

void json_raw(JsonOut *j, const char *key, const char *value)
{
    next(j, key);
    strbuf_append_cstr(j->b, value);
}
