/* atrium-tool: the part of the command line that speaks bus and database; bin/atrium calls it. Settings come from the
 * environment, each also as NAME_FILE: NATS_URL, OPS_NATS_PASSWORD, ATRIUM_SLOT, GATEWAY_TABLES, MIGRATE_DATABASE_URL,
 * MIGRATE_PASSWORD_<SERVICE>. */
#include "shared/caller.h"
#include "shared/config.h"
#include "shared/id.h"
#include "tools/atrium/tool.h"

#ifndef ATRIUM_VERSION
#define ATRIUM_VERSION "0.0.0"
#define ATRIUM_COMMIT "unknown"
#define ATRIUM_BUILD_DATE "unknown"
#endif

static int config_example_command(Tool *tool)
{
    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    config_print_example(stdout);
    return TOOL_FINE;
}

/* The gateway's key and what services check it with: "<seed> <public>", both in hex. */
static int keypair_command(Tool *tool)
{
    uint8_t seed[CALLER_SEED_BYTES];
    char *seed_hex, *public_hex;
    Err e;

    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    random_bytes(seed, sizeof(seed));
    seed_hex = hex_encode(tool->mem, slice_of(seed, sizeof(seed)));
    e = caller_public_key(tool->mem, slice(seed_hex), &public_hex);
    if (err_failed(e))
        return tool_failed(tool, e);
    printf("%s %s\n", seed_hex, public_hex);
    return TOOL_FINE;
}

static int version_command(Tool *tool)
{
    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    printf("atrium v%s (commit: %s, built: %s)\n", ATRIUM_VERSION, ATRIUM_COMMIT, ATRIUM_BUILD_DATE);
    return TOOL_FINE;
}

static const ToolCommand COMMANDS[] = {
    {"migrate", "migrate [--status] [--quiet]",
     "Applies the migrations that are missing. --status lists all of them and when they were applied.\n"
     "MIGRATE_DATABASE_URL is a role that may make schemas and roles; MIGRATE_PASSWORD_<SERVICE>, where set, becomes\n"
     "the password of that service's runtime role.",
     migrate_command},
    {"call", "call DOMAIN.v1.Method ['{json}'|-] [--timeout-ms N] [--idempotency-key K]",
     "Calls an rpc as the operator and prints its reply as JSON. '-' reads the request from standard input. Only rpcs\n"
     "that services may call for themselves can be called so; the operator is no user.",
     call_command},
    {"user create", "user create NAME [--role ROLE] [--password P] [--email E]",
     "Makes an account. ROLE is user (unless given), operator or admin. Without --password one is made up and shown\n"
     "once. Passwords on a command line can be seen by others: --password - reads it from standard input.",
     user_create_command},
    {"media put", "media put FILE… [--server URL] [--user NAME] [--no-wait | --wait-s N]",
     "Uploads files to the library, waits until they play, and prints where. Called again after an interruption, it\n"
     "goes on where it was. ATRIUM_TOKEN says who you are; or --user, with the password in ATRIUM_PASSWORD or on\n"
     "standard input. The server is --server, or ATRIUM_URL, or the local stack's.",
     media_put_command},
    {"chat tail", "chat tail [--channel ID] [--json] [--server URL] [--user NAME]",
     "Prints what happens in chat as it happens, a line each: of all channels that the user sees, or of one. Broken\n"
     "connections are resumed: nothing is missed. --json prints the frames as they come. Who you are and which server\n"
     "is meant: as for media put.",
     chat_tail_command},
    {"chat send", "chat send CHANNEL TEXT…|- [--server URL] [--user NAME]",
     "Posts a message to the channel of this id, and prints the message's id. '-' reads it from standard input.",
     chat_send_command},
    {"events import",
     "events import FILE|URL|- [--name NAME] [--license L] [--timezone ZONE] [--dry-run] [--json]"
     " [--server URL] [--user NAME]",
     "Takes the events of a calendar in: new ones, changed ones, and cancels those that it does not have any more; "
     "again\n"
     "and again with the same result. A file is known by --name, else by its own. --dry-run tells what would come of "
     "it.\n"
     "Who you are and which server is meant: as for media put.",
     events_import_command},
    {"events export",
     "events export [FILE] [--format ics|ndjson|jsonld|ttl] [--filter 'name=value&…'] [--server URL]"
     " [--user NAME]",
     "Writes the public events to a file, or to standard output: as a calendar unless --format says otherwise. "
     "--filter\n"
     "has parameters of the list of events.",
     events_export_command},
    {"bus setup", "bus setup [--quiet]",
     "Makes the streams of all domains, or changes what differs from what this release wants. Services start only "
     "when\n"
     "their streams are there: run it before them, at each new version. GATEWAY_TABLES names the domains.",
     bus_setup_command},
    {"bus user add", "bus user add NAME --read SUBJECT[,SUBJECT…] [--durable]",
     "Makes a credential that may read these events (evt.…) and nothing else, and shows its password once. --durable\n"
     "keeps the subscriber's place: what he missed while away is delivered when he is back. On the local stack it is\n"
     "good at once; elsewhere what nats-server's configuration needs is printed.",
     bus_user_add_command},
    {"bus user remove", "bus user remove NAME", "Takes a subscriber of the local stack off the bus.",
     bus_user_remove_command},
    {"srv ping", "srv ping [NAME]", "Lists the instances on the bus, of one service or all.", srv_ping_command},
    {"srv info", "srv info [NAME]", "Their endpoints.", srv_info_command},
    {"srv stats", "srv stats [NAME]", "Their counters.", srv_stats_command},
    {"config example", "config example", "All settings of all services, as .env.example.", config_example_command},
    {"keypair", "keypair", "A new key pair for callers' identities: GATEWAY_SIGNING_KEY and GATEWAY_PUBLIC_KEY.",
     keypair_command},
    {"--version", "--version", "Version, commit and time of the build.", version_command},
};

/* How many of the arguments a command's words take; 0 when they are others. */
static int match_words(const char *words, int argc, char **argv)
{
    Slice rest = slice(words), word;
    bool more = true;
    int i = 0;

    for (; more; i++) {
        more = slice_cut(rest, ' ', &word, &rest);
        if (i >= argc || !slice_eq_cstr(word, argv[i]))
            return 0;
    }
    return i;
}

static void print_all(FILE *to)
{
    fprintf(to, "atrium-tool COMMAND …\n\n");
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
        fprintf(to, "  %s\n", COMMANDS[i].usage);
}

static int run_command(const ToolCommand *command, int argc, char **argv)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    Tool tool = {.mem = mem, .command = command->words, .argc = argc, .argv = argv};

    if (tool_flag(&tool, "--help")) {
        printf("atrium %s\n\n%s\n", command->usage, command->help);
        return TOOL_FINE;
    }
    return command->run(&tool);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        int words = match_words(COMMANDS[i].words, argc - 1, argv + 1);
        if (words > 0)
            return run_command(&COMMANDS[i], argc - 1 - words, argv + 1 + words);
    }
    if (argc > 1 && strcmp(argv[argc - 1], "--help") == 0) {
        print_all(stdout);
        return TOOL_FINE;
    }
    print_all(stderr);
    return TOOL_WRONG_USE;
}
