/* tool: see tool.h. */
#include "tools/atrium/tool.h"

#include <errno.h>

#include <jansson.h>

#include "atrium/reasons.atrium.h"
#include "shared/message.h"
#include "shared/strbuf.h"

enum { SETTING_FILE_MAX_BYTES = 8192, TABLES_MAX_BYTES = 64 * 1024 * 1024, CONNECT_MS = 5000 };

static const char *read_setting_file(Tool *tool, const char *path)
{
    char text[SETTING_FILE_MAX_BYTES];
    FILE *file = fopen(path, "re");
    size_t len;

    if (!file) {
        fprintf(stderr, "atrium %s: %s: %s\n", tool->command, path, strerror(errno));
        exit(TOOL_WRONG_USE);
    }
    len = fread(text, 1, sizeof(text), file);
    fclose(file);
    return slice_cstr(tool->mem, slice_trim(slice_of(text, len)));
}

const char *tool_setting(Tool *tool, const char *name, const char *fallback)
{
    const char *value = getenv(name), *file = getenv(arena_printf(tool->mem, "%s_FILE", name));

    if (value && value[0])
        return value;
    return file && file[0] ? read_setting_file(tool, file) : fallback;
}

/* --- arguments --------------------------------------------------------------------------------------------------- */
static void drop_arguments(Tool *tool, int at, int count)
{
    memmove(tool->argv + at, tool->argv + at + count, (size_t)(tool->argc - at - count) * sizeof(char *));
    tool->argc -= count;
}

const char *tool_option(Tool *tool, const char *name)
{
    size_t len = strlen(name);
    const char *value = NULL;

    for (int i = 0; i < tool->argc; i++) {
        if (strncmp(tool->argv[i], name, len) == 0 && tool->argv[i][len] == '=') {
            value = tool->argv[i] + len + 1;
            drop_arguments(tool, i, 1);
            break;
        }
        if (strcmp(tool->argv[i], name) == 0 && i + 1 < tool->argc) {
            value = tool->argv[i + 1];
            drop_arguments(tool, i, 2);
            break;
        }
    }
    return value;
}

bool tool_flag(Tool *tool, const char *name)
{
    for (int i = 0; i < tool->argc; i++) {
        if (strcmp(tool->argv[i], name) == 0) {
            drop_arguments(tool, i, 1);
            return true;
        }
    }
    return false;
}

const char *tool_argument(Tool *tool)
{
    for (int i = 0; i < tool->argc; i++) {
        const char *value = tool->argv[i];
        if (strncmp(value, "--", 2) != 0) {
            drop_arguments(tool, i, 1);
            return value;
        }
    }
    return NULL;
}

bool tool_done(const Tool *tool)
{
    if (tool->argc == 0)
        return true;
    (void)tool_wrong_use(tool, "\"%s\" is one argument too many, or lacks its value", tool->argv[0]);
    return false;
}

/* --- files ------------------------------------------------------------------------------------------------------- */
Err tool_read(Tool *tool, FILE *from, const char *name, size_t max_bytes, Slice *out)
{
    StrBuf text = strbuf_new(tool->mem, max_bytes);
    char part[8192];
    size_t n;

    while ((n = fread(part, 1, sizeof(part), from)) > 0)
        strbuf_append(&text, slice_of(part, n));
    if (ferror(from))
        return err_errno(&UNAVAILABLE, name);
    if (!strbuf_finish(&text, out))
        return err_make(&INVALID_ARGUMENT, "%s: larger than %zu bytes", name, max_bytes);
    return OK;
}

Err tool_tables(Tool *tool, const Atrium__Tables **out)
{
    const char *path = tool_setting(tool, "GATEWAY_TABLES", "build/gen/gateway.tables");
    FILE *file = fopen(path, "re");
    ProtobufCMessage *message;
    Slice wire;
    Err e;

    if (!file)
        return err_errno(&UNAVAILABLE, path);
    e = tool_read(tool, file, path, TABLES_MAX_BYTES, &wire);
    fclose(file);
    TRY(e);
    TRY(err_wrap(message_unpack(tool->mem, &atrium__tables__descriptor, wire, &message), path));
    *out = (const Atrium__Tables *)message;
    return OK;
}

/* --- the bus ----------------------------------------------------------------------------------------------------- */
Err tool_connect_within(Tool *tool, int64_t timeout_ms, Bus **out)
{
    const BusOptions options = {.url = tool_setting(tool, "NATS_URL", "nats://127.0.0.1:4222"),
                                .user = "ops",
                                .password = tool_setting(tool, "OPS_NATS_PASSWORD", ""),
                                .ca_file = tool_setting(tool, "NATS_CA_FILE", ""),
                                .slot = tool_setting(tool, "ATRIUM_SLOT", "main"),
                                .version = "0.0.0",
                                .threaded = true};

    return err_wrap(bus_connect(&options, timeout_ms, out), "bus");
}

Err tool_connect(Tool *tool, Bus **out)
{
    return tool_connect_within(tool, CONNECT_MS, out);
}

char *tool_inbox(Tool *tool, const Bus *bus, const char *callee)
{
    return arena_printf(tool->mem, "_INBOX.ops.%s.%s.1", callee, bus_instance(bus));
}

/* --- printing ------------------------------------------------------------------------------------------------------
 */
int tool_failed(const Tool *tool, Err e)
{
    fprintf(stderr, "atrium %s: %s%s%s\n", tool->command, e.text[0] ? e.text : "failed", e.text[0] ? "" : ": ",
            e.text[0] ? "" : e.reason->key);
    return TOOL_FAILED;
}

int tool_wrong_use(const Tool *tool, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "atrium %s: ", tool->command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; try: atrium %s --help\n", tool->command);
    return TOOL_WRONG_USE;
}

void tool_print_json(Tool *tool, Slice json)
{
    json_t *value = json_loadb(json.ptr, json.len, JSON_DECODE_ANY, NULL);

    (void)tool;
    if (value)
        json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    else
        fwrite(json.ptr, 1, json.len, stdout);
    putchar('\n');
    json_decref(value);
}
