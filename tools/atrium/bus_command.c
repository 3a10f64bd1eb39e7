/* atrium bus user add: a credential for an outside subscriber, who may read events and nothing else. nats-server lists
 * its users in its configuration: here the entry is made. bin/atrium puts it in place on the local stack; elsewhere it
 * is printed, to be added by hand. */
#include <crypt.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/config.h"
#include "shared/id.h"
#include "shared/migrate.h"
#include "tools/atrium/tool.h"

enum {
    NAME_MAX_BYTES = 32,
    READ_MAX = 16, /* subjects of one user */
    ENTRY_MAX_BYTES = 16 * 1024,
    PASSWORD_BYTES = 20,
    /* The password is 160 random bits, so that guessing is hopeless at any price; nats-server pays it per connection.
     */
    BCRYPT_COST = 5,
    ACK_WAIT_S = 30
};

typedef struct Subscriber {
    const char *name;
    Slice read[READ_MAX];
    size_t read_count;
    bool durable;
    char *password;
} Subscriber;

/* Letters, digits and hyphens: fit for a subject's token, a file's name and nats-server's syntax. */
static bool name_is_fine(const char *name)
{
    size_t len = strlen(name);

    if (len < 2 || len > NAME_MAX_BYTES || !islower((unsigned char)name[0]))
        return false;
    for (const char *c = name; *c; c++)
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '-')
            return false;
    return true;
}

static bool name_is_ours(const char *name)
{
    bool ours = strcmp(name, "ops") == 0 || strcmp(name, "gateway") == 0;

    for (size_t i = 0; i < MIGRATION_SERVICE_COUNT; i++)
        ours = ours || strcmp(name, MIGRATION_SERVICES[i]) == 0;
    return ours;
}

/* "evt.<domain>.…": events alone are for everyone. Wildcards are whole tokens, '>' the last. */
static Err check_subject(Slice subject)
{
    Slice rest = subject, token;
    bool more = true, last = false;

    if (!slice_starts_with(subject, SLICE_LIT("evt.")))
        return err_make(&INVALID_ARGUMENT, "\"" SLICE_FMT "\": only events (evt.…) may be read", SLICE_ARG(subject));
    while (more) {
        more = slice_cut(rest, '.', &token, &rest);
        if (token.len == 0 || last)
            return err_make(&INVALID_ARGUMENT, "\"" SLICE_FMT "\" is no subject", SLICE_ARG(subject));
        last = slice_eq_cstr(token, ">");
        if (last || slice_eq_cstr(token, "*"))
            continue;
        for (size_t i = 0; i < token.len; i++)
            if (!isalnum((unsigned char)token.ptr[i]) && token.ptr[i] != '_' && token.ptr[i] != '-')
                return err_make(&INVALID_ARGUMENT, "\"" SLICE_FMT "\" is no subject", SLICE_ARG(subject));
    }
    return OK;
}

static Err read_subjects(const char *list, Subscriber *s)
{
    Slice rest = slice(list), subject;

    while (config_list_next(&rest, &subject)) {
        if (s->read_count == READ_MAX)
            return err_make(&INVALID_ARGUMENT, "at most %d subjects", READ_MAX);
        TRY(check_subject(subject));
        s->read[s->read_count++] = subject;
    }
    return s->read_count ? OK : err_make(&INVALID_ARGUMENT, "name a subject, such as --read 'evt.auth.>'");
}

/* --- a place in the stream ------------------------------------------------------------------------------------------
 */
/* The stream that holds a subject's events; NULL where the subject does not name one domain. */
static char *stream_of(Arena *mem, Slice subject)
{
    Slice domain, rest;
    char *stream;

    (void)slice_cut(slice_skip(subject, strlen("evt.")), '.', &domain, &rest); /* false: the domain alone */
    if (domain.len == 0 || domain.ptr[0] == '*' || domain.ptr[0] == '>')
        return NULL;
    stream = arena_printf(mem, "EVT_" SLICE_FMT, SLICE_ARG(domain));
    for (char *c = stream; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    return stream;
}

static char *consumer_of(Arena *mem, const Subscriber *s, size_t i)
{
    return i == 0 ? arena_strdup(mem, s->name) : arena_printf(mem, "%s-%zu", s->name, i + 1);
}

/* The operator makes the consumer, because a subscriber who could make one could have events delivered to any subject,
 * and so speak with JetStream's voice. */
static Err make_consumers(Tool *tool, const Subscriber *s)
{
    CLEANUP(bus_close_at) Bus *bus = NULL;

    TRY(tool_connect(tool, &bus));
    for (size_t i = 0; i < s->read_count; i++) {
        jsConsumerConfig config;
        jsErrCode code = 0;
        natsStatus status;

        jsConsumerConfig_Init(&config);
        config.Durable = consumer_of(tool->mem, s, i);
        config.Description = "outside subscriber";
        config.DeliverPolicy = js_DeliverAll;
        config.AckPolicy = js_AckExplicit;
        config.AckWait = ACK_WAIT_S * INT64_C(1000000000);
        config.FilterSubject = slice_cstr(tool->mem, s->read[i]);
        config.DeliverSubject = arena_printf(tool->mem, "_INBOX.%s.events", s->name);
        status = js_AddConsumer(NULL, bus_jetstream(bus), stream_of(tool->mem, s->read[i]), &config, NULL, &code);
        if (status != NATS_OK)
            return err_make(&UNAVAILABLE, "consumer %s of %s: %s", config.Durable, stream_of(tool->mem, s->read[i]),
                            nats_GetLastError(NULL));
    }
    return OK;
}

/* --- the entry ------------------------------------------------------------------------------------------------------
 */
static Err hash_password(Arena *mem, const char *password, char **out)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data data = {.initialized = 0};
    const char *hash;

    /* nats-server knows bcrypt by this prefix and no other. */
    if (!crypt_gensalt_rn("$2a$", BCRYPT_COST, NULL, 0, setting, sizeof(setting)))
        return err_errno(&INTERNAL, "salt");
    hash = crypt_r(password, setting, &data);
    if (!hash || hash[0] != '$')
        return err_errno(&INTERNAL, "bcrypt");
    *out = arena_strdup(mem, hash);
    return OK;
}

static Err make_entry(Tool *tool, const Subscriber *s, Slice *out)
{
    StrBuf b = strbuf_new(tool->mem, ENTRY_MAX_BYTES);
    char *hash;

    TRY(hash_password(tool->mem, s->password, &hash));
    strbuf_printf(&b,
                  "    {\n      user: \"%s\"\n      password: \"%s\"\n      permissions: {\n"
                  "        subscribe: [\n          \"_INBOX.%s.>\"\n",
                  s->name, hash, s->name);
    for (size_t i = 0; i < s->read_count; i++)
        strbuf_printf(&b, "          \"" SLICE_FMT "\"\n", SLICE_ARG(s->read[i]));
    strbuf_append_cstr(&b, "        ]\n        publish: ");
    if (s->durable) {
        strbuf_append_cstr(&b, "[\n");
        for (size_t i = 0; i < s->read_count; i++)
            strbuf_printf(&b, "          \"$JS.ACK.%s.%s.>\"\n", stream_of(tool->mem, s->read[i]),
                          consumer_of(tool->mem, s, i));
        strbuf_append_cstr(&b, "        ]\n      }\n    }\n");
    } else {
        /* An absent or empty list would allow everything. */
        strbuf_append_cstr(&b, "{ deny: \">\" }\n      }\n    }\n");
    }
    return strbuf_finish(&b, out) ? OK : err_make(&INVALID_ARGUMENT, "too many subjects");
}

/* A new file, never an old one: NAME that is there already stays as it is. */
static Err write_entry(Tool *tool, const char *folder, const Subscriber *s, Slice entry)
{
    const char *path = arena_printf(tool->mem, "%s/%s.conf", folder, s->name);
    int fd;

    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return err_errno(&UNAVAILABLE, folder);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return err_make(&CONFLICT, "there is a user %s already", s->name);
    if (fd < 0)
        return err_errno(&UNAVAILABLE, path);
    if (write(fd, entry.ptr, entry.len) != (ssize_t)entry.len || close(fd) != 0)
        return err_errno(&UNAVAILABLE, path);
    return OK;
}

/* --- the commands --------------------------------------------------------------------------------------------------
 */
static Err add_user(Tool *tool, Subscriber *s)
{
    /* Set by bin/atrium for the local stack. */
    const char *folder = getenv("ATRIUM_BUS_USERS");
    uint8_t bytes[PASSWORD_BYTES];
    Slice entry;

    random_bytes(bytes, sizeof(bytes));
    s->password = hex_encode(tool->mem, slice_of(bytes, sizeof(bytes)));
    TRY(make_entry(tool, s, &entry));
    if (folder && access(arena_printf(tool->mem, "%s/%s.conf", folder, s->name), F_OK) == 0)
        return err_make(&CONFLICT, "there is a user %s already", s->name);
    if (s->durable)
        TRY(make_consumers(tool, s));
    if (folder)
        return write_entry(tool, folder, s, entry);
    printf("Add this to authorization.users in nats-server's configuration, and reload it:\n\n" SLICE_FMT "\n",
           SLICE_ARG(entry));
    return OK;
}

static void print_user(Tool *tool, const Subscriber *s)
{
    printf("url       %s\nuser      %s\npassword  %s\n", tool_setting(tool, "NATS_URL", "nats://127.0.0.1:4222"),
           s->name, s->password);
    for (size_t i = 0; i < s->read_count; i++)
        printf("may read  " SLICE_FMT "\n", SLICE_ARG(s->read[i]));
    if (s->durable)
        printf("durable   subscribe to _INBOX.%s.events, and acknowledge each event by an empty message to its reply "
               "subject\n",
               s->name);
    printf("The password is not shown again.\n");
}

int bus_user_add_command(Tool *tool)
{
    const char *read = tool_option(tool, "--read");
    Subscriber s = {.durable = tool_flag(tool, "--durable"), .name = tool_argument(tool)};
    Err e;

    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    if (!s.name || !name_is_fine(s.name))
        return tool_wrong_use(tool, "name the user: 2 to %d lower-case letters, digits, hyphens", NAME_MAX_BYTES);
    if (name_is_ours(s.name))
        return tool_wrong_use(tool, "%s is the platform's own", s.name);
    e = read_subjects(read ? read : "", &s);
    if (err_failed(e))
        return tool_wrong_use(tool, "%s", e.text);
    for (size_t i = 0; s.durable && i < s.read_count; i++)
        if (!stream_of(tool->mem, s.read[i]))
            return tool_wrong_use(tool, "--durable: each subject names its domain, such as evt.auth.>");
    e = add_user(tool, &s);
    if (err_failed(e))
        return tool_failed(tool, e);
    print_user(tool, &s);
    return TOOL_FINE;
}

/* The consumers are named in the entry: "$JS.ACK.<stream>.<consumer>.>". */
static Err delete_consumers(Tool *tool, Slice entry)
{
    const Slice mark = SLICE_LIT("\"$JS.ACK.");
    CLEANUP(bus_close_at) Bus *bus = NULL;
    Slice stream, consumer, rest;

    for (ptrdiff_t at; (at = slice_find(entry, mark)) >= 0; entry = rest) {
        jsErrCode code = 0;
        natsStatus status;

        if (!bus)
            TRY(tool_connect(tool, &bus));
        rest = slice_skip(entry, (size_t)at + mark.len);
        if (!slice_cut(rest, '.', &stream, &rest) || !slice_cut(rest, '.', &consumer, &rest))
            break;
        status = js_DeleteConsumer(bus_jetstream(bus), slice_cstr(tool->mem, stream), slice_cstr(tool->mem, consumer),
                                   NULL, &code);
        if (status != NATS_OK && status != NATS_NOT_FOUND)
            return err_make(&UNAVAILABLE, "consumer " SLICE_FMT ": %s", SLICE_ARG(consumer), nats_GetLastError(NULL));
    }
    return OK;
}

static Err remove_user(Tool *tool, const char *folder, const char *name)
{
    const char *path = arena_printf(tool->mem, "%s/%s.conf", folder, name);
    char *entry = arena_alloc(tool->mem, ENTRY_MAX_BYTES, 1);
    FILE *file = fopen(path, "re");
    size_t len;

    if (!file)
        return err_make(&NOT_FOUND, "there is no user %s", name);
    len = fread(entry, 1, ENTRY_MAX_BYTES, file);
    (void)fclose(file); /* only read from */
    TRY(delete_consumers(tool, slice_of(entry, len)));
    return unlink(path) == 0 ? OK : err_errno(&UNAVAILABLE, path);
}

/* bin/atrium takes it out of the running server. */
int bus_user_remove_command(Tool *tool)
{
    const char *folder = getenv("ATRIUM_BUS_USERS"), *name = tool_argument(tool);
    Err e;

    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    if (!name || !name_is_fine(name))
        return tool_wrong_use(tool, "name the user");
    e = folder ? remove_user(tool, folder, name)
               : err_make(&NOT_FOUND, "no local stack here: take the user out of nats-server's configuration");
    if (err_failed(e))
        return tool_failed(tool, e);
    printf("%s may no longer connect\n", name);
    return TOOL_FINE;
}
