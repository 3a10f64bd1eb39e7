/* tool: what the subcommands of atrium-tool share: settings, the bus, the printing of errors. The program runs one
 * command and ends; what it makes on the way is freed on the way out nevertheless, so that leak checks stay useful. */
#pragma once
#include "atrium/tables.pb-c.h"
#include "shared/bus.h"

enum {
    TOOL_FINE = 0,
    TOOL_FAILED = 1, /* the platform said no, or could not be reached */
    TOOL_WRONG_USE = 2
};

typedef struct Tool {
    Arena *mem;
    const char *command; /* "user create", for messages */
    int argc;            /* what follows the command's words */
    char **argv;
} Tool;

typedef struct ToolCommand {
    const char *words; /* "user create" */
    const char *usage, *help;
    int (*run)(Tool *tool);
} ToolCommand;

int bus_setup_command(Tool *tool);
int bus_user_add_command(Tool *tool);
int bus_user_remove_command(Tool *tool);
int call_command(Tool *tool);
int chat_send_command(Tool *tool);
int chat_tail_command(Tool *tool);
int events_export_command(Tool *tool);
int events_import_command(Tool *tool);
int media_put_command(Tool *tool);
int migrate_command(Tool *tool);
int srv_ping_command(Tool *tool);
int srv_info_command(Tool *tool);
int srv_stats_command(Tool *tool);
int user_create_command(Tool *tool);

/* The environment's NAME, or the contents of the file that NAME_FILE names, white space at the end cut; `fallback`
 * when neither is set. */
const char *tool_setting(Tool *tool, const char *name, const char *fallback);
/* Takes "--name value" or "--name=value" out of the arguments; NULL when it is not there. */
const char *tool_option(Tool *tool, const char *name);
/* The same without a value. */
bool tool_flag(Tool *tool, const char *name);
/* The next argument that is no option; NULL at the end. */
const char *tool_argument(Tool *tool);
/* Prints what is left over, if anything is; then it is wrong use. */
bool tool_done(const Tool *tool);

/* All that is to be read, at most `max_bytes`; `name` is for messages. */
Err tool_read(Tool *tool, FILE *from, const char *name, size_t max_bytes, Slice *out) MUST_CHECK;
/* What GATEWAY_TABLES names: the gateway's data file, all that is known of the domains. */
Err tool_tables(Tool *tool, const Atrium__Tables **out) MUST_CHECK;

/* Connects as the operator (user "ops"); waits for the server, at most `timeout_ms`. */
Err tool_connect_within(Tool *tool, int64_t timeout_ms, Bus **out) MUST_CHECK;
Err tool_connect(Tool *tool, Bus **out) MUST_CHECK;
/* A reply subject of ours, for replies from `callee`. */
char *tool_inbox(Tool *tool, const Bus *bus, const char *callee);

/* Print to stderr with the command's name; return the exit code. */
int tool_failed(const Tool *tool, Err e);
int tool_wrong_use(const Tool *tool, const char *format, ...) PRINTF_LIKE(2, 3);
/* JSON, indented. */
void tool_print_json(Tool *tool, Slice json);
