/* atrium events import and events export: calendars in and out, over HTTP as any client does it. */
#include <ctype.h>
#include <errno.h>

#include <jansson.h>

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"
#include "tools/atrium/tus_client.h"

enum {
    CALENDAR_MAX_BYTES = 10 * 1024 * 1024,
    BODY_MAX_BYTES = 2 * CALENDAR_MAX_BYTES, /* as JSON */
    NAME_MAX_BYTES = 100
};

static const char *server_of(Tool *tool, const char *server)
{
    return server ? server : tool_setting(tool, "ATRIUM_URL", "http://127.0.0.1:8080");
}

/* ---------------------------------------------------------------------------------------- import */

typedef struct Import {
    const char *from, *name, *license, *timezone;
    bool dry_run, json;
} Import;

static bool is_address(const char *text)
{
    return slice_starts_with(slice(text), SLICE_LIT("http://")) ||
           slice_starts_with(slice(text), SLICE_LIT("https://"));
}

/* The file's own name, of letters that names may have. */
static char *name_of(Arena *mem, const char *path)
{
    const char *last = strrchr(path, '/');
    char *name = arena_strndup(mem, last ? last + 1 : path, NAME_MAX_BYTES);

    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
            *c = '-';
    return name;
}

static Err read_calendar(Tool *tool, const char *path, Slice *out)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    Err e;

    if (!file)
        return err_errno(&NOT_FOUND, path);
    e = tool_read(tool, file, path, CALENDAR_MAX_BYTES, out);
    if (file != stdin)
        (void)fclose(file);
    return e;
}

static void member(StrBuf *out, const char *name, Slice value)
{
    if (!value.ptr)
        return;
    strbuf_append_cstr(out, out->len > 1 ? ",\"" : "\"");
    strbuf_append_cstr(out, name);
    strbuf_append_cstr(out, "\":");
    strbuf_append_json(out, value);
}

static Slice given(const char *text)
{
    return text ? slice(text) : (Slice){NULL, 0};
}

static Err make_body(Tool *tool, const Import *import, Slice *out)
{
    StrBuf body = strbuf_new(tool->mem, BODY_MAX_BYTES);
    Slice calendar;

    strbuf_append_char(&body, '{');
    if (is_address(import->from))
        member(&body, "url", slice(import->from));
    else {
        TRY(read_calendar(tool, import->from, &calendar));
        member(&body, "calendar", calendar);
        member(&body, "name",
               import->name                     ? slice(import->name)
               : strcmp(import->from, "-") == 0 ? SLICE_LIT("stdin")
                                                : slice(name_of(tool->mem, import->from)));
    }
    member(&body, "license", given(import->license));
    member(&body, "timezone", given(import->timezone));
    if (import->dry_run)
        strbuf_append_cstr(&body, ",\"dry_run\":true");
    strbuf_append_char(&body, '}');
    return strbuf_finish(&body, out) ? OK : err_make(&PAYLOAD_TOO_LARGE, "the calendar is too large");
}

/* What others wrote does nothing to this terminal. */
static void print_safely(const char *text)
{
    for (; text && *text; text++)
        putchar((unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text);
}

static void print_entries(const json_t *entries)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(entries, i, entry)
    {
        const char *result = json_string_value(json_object_get(entry, "result"));
        const char *error = json_string_value(json_object_get(entry, "error"));

        if (!result || strcmp(result, "unchanged") == 0)
            continue;
        printf("%-10s ", result);
        print_safely(json_string_value(json_object_get(entry, "name")));
        if (error) {
            printf(": ");
            print_safely(error);
        }
        putchar('\n');
    }
}

static long long number_at(const json_t *root, const char *name)
{
    return (long long)json_integer_value(json_object_get(root, name));
}

static Err print_report(Tool *tool, Slice body, bool json)
{
    json_t *root = json_loadb(body.ptr, body.len, 0, NULL);

    if (!root)
        return err_make(&UNAVAILABLE, "the server's answer is no JSON");
    if (json)
        tool_print_json(tool, body);
    else if (json_is_true(json_object_get(root, "not_modified")))
        printf("not modified since the last time\n");
    else {
        print_entries(json_object_get(root, "entries"));
        printf("%lld events: %lld created, %lld updated, %lld unchanged, %lld cancelled, %lld failed\n",
               number_at(root, "total"), number_at(root, "created"), number_at(root, "updated"),
               number_at(root, "unchanged"), number_at(root, "cancelled"), number_at(root, "failed"));
    }
    json_decref(root);
    return OK;
}

static Err import_calendar(Web *web, const Import *import, Slice body)
{
    static const char *const HEADERS[] = {"Content-Type: application/json", NULL};
    WebReply reply;
    json_t *root;
    Err e;

    TRY(web_call(web, "POST", "/api/v1/admin/calendars/import", HEADERS, body, &reply));
    if (reply.status == 200)
        return print_report(web->tool, reply.body, import->json);
    root = json_loadb(reply.body.ptr, reply.body.len, 0, NULL);
    e = err_make(&INVALID_ARGUMENT, "the server answers %d: %s", reply.status,
                 json_string_value(json_object_get(root, "detail")) ?: "no reason given");
    json_decref(root);
    return e;
}

int events_import_command(Tool *tool)
{
    const char *server = tool_option(tool, "--server"), *user = tool_option(tool, "--user");
    Import import = {.name = tool_option(tool, "--name"),
                     .license = tool_option(tool, "--license"),
                     .timezone = tool_option(tool, "--timezone"),
                     .dry_run = tool_flag(tool, "--dry-run"),
                     .json = tool_flag(tool, "--json")};
    Web web = {0};
    Slice body;
    Err e;

    import.from = tool_argument(tool);
    if (!import.from)
        return tool_wrong_use(tool, "name a file or an address, or - for standard input");
    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    e = make_body(tool, &import, &body);
    if (!err_failed(e))
        e = web_log_in(tool, server_of(tool, server), user, &web);
    if (!err_failed(e))
        e = import_calendar(&web, &import, body);
    web_done(&web);
    return err_failed(e) ? tool_failed(tool, e) : TOOL_FINE;
}

/* ---------------------------------------------------------------------------------------- export */

static Err save(Web *web, const char *path, const char *file)
{
    FILE *to = file ? fopen(file, "we") : stdout;
    int status = 0;
    Err e;

    if (!to)
        return err_errno(&PERMISSION_DENIED, file);
    e = web_save(web, path, to, &status);
    if (!err_failed(e) && status != 200)
        e = err_make(&INVALID_ARGUMENT, "the server answers %d", status);
    if ((to == stdout ? fflush(to) : fclose(to)) != 0 && !err_failed(e))
        e = err_make(&UNAVAILABLE, "the file could not be written: %s", strerror(errno));
    return e;
}

static bool is_format(const char *format)
{
    static const char *const FORMATS[] = {"ics", "ndjson", "jsonld", "ttl"};

    for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++)
        if (strcmp(format, FORMATS[i]) == 0)
            return true;
    return false;
}

int events_export_command(Tool *tool)
{
    const char *server = tool_option(tool, "--server"), *user = tool_option(tool, "--user");
    const char *format = tool_option(tool, "--format"), *filter = tool_option(tool, "--filter");
    const char *file = tool_argument(tool), *path;
    bool known = user || tool_setting(tool, "ATRIUM_TOKEN", NULL);
    Web web = {0};
    Err e;

    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    if (format && !is_format(format))
        return tool_wrong_use(tool, "--format: ics, ndjson, jsonld or ttl");
    path =
        arena_printf(tool->mem, "/api/v1/%s.%s%s%s", format && strcmp(format, "ics") != 0 ? "exports/events" : "events",
                     format ? format : "ics", filter ? "?" : "", filter ? filter : "");
    /* What is public needs no name. */
    e = known ? web_log_in(tool, server_of(tool, server), user, &web)
              : web_open(tool, server_of(tool, server), NULL, &web);
    if (!err_failed(e))
        e = save(&web, path, file);
    web_done(&web);
    return err_failed(e) ? tool_failed(tool, e) : TOOL_FINE;
}
