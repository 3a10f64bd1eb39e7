/* profiles: see profiles.h. */
#include "services/gateway/profiles.h"

#include "atrium/reasons.atrium.h"
#include "shared/config.h"

static const Profile PROFILES[] = {
    {.name = "all", .dialect = ATRIUM__DIALECT__ATRIUM, .keeps_dialects = true, .cors = CORS_OURS},
    {.name = "chat",
     .dialect = ATRIUM__DIALECT__RETROCAST,
     .cors = CORS_CHAT,
     .health = HEALTH_CHAT,
     .strangers_first = true,
     .strangers_except = "auth",
     .options_anywhere = true},
    {.name = "chat-web",
     .dialect = ATRIUM__DIALECT__RETROCAST_WEB,
     .cors = CORS_CHAT,
     .health = HEALTH_CHAT,
     .strangers_first = true,
     .strangers_except = "auth",
     .options_anywhere = true},
    {.name = "media",
     .dialect = ATRIUM__DIALECT__MEDIAVAULT,
     .cors = CORS_MEDIA,
     .hides_methods = true,
     .slash_redirects = true,
     .options_refused = true},
    {.name = "sessions",
     .dialect = ATRIUM__DIALECT__STREAMSPACE,
     .cors = CORS_SESSIONS,
     .health = HEALTH_SESSIONS,
     .options_anywhere = true},
    {.name = "events",
     .dialect = ATRIUM__DIALECT__TOGATHER,
     .cors = CORS_EVENTS,
     .front = "/events",
     .checkup = "/api/v1/commons/health"},
    {.name = "rag",
     .dialect = ATRIUM__DIALECT__YOUTUBETALKER,
     .cors = CORS_RAG,
     .health = HEALTH_RAG,
     .root_is_json = true,
     .options_refused = true},
};

const Profile *profile_of_dialect(int dialect)
{
    for (size_t i = 0; i < ARRAY_LEN(PROFILES); i++)
        if (PROFILES[i].dialect == dialect)
            return &PROFILES[i];
    return NULL;
}

typedef struct Binding {
    Slice host; /* empty: by port */
    int port;
    const Profile *profile;
} Binding;

struct Profiles {
    const Profile *otherwise; /* of hosts and ports that nothing is said of */
    size_t count;
    Binding list[];
};

const Profile *profile_by_name(Slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(PROFILES); i++)
        if (slice_eq_cstr(name, PROFILES[i].name))
            return &PROFILES[i];
    return NULL;
}

static Err parse_binding(Slice item, Binding *out)
{
    Slice where, name;
    uint64_t port;

    if (!slice_cut(item, '=', &where, &name))
        return err_make(&INVALID_ARGUMENT, "\"%.*s\": wanted host=profile or :port=profile",
                        SLICE_ARG(slice_take(item, 40)));
    where = slice_trim(where);
    out->profile = profile_by_name(slice_trim(name));
    if (!out->profile)
        return err_make(&INVALID_ARGUMENT, "no profile \"%.*s\": all, chat, chat-web, media, sessions, events, rag",
                        SLICE_ARG(slice_take(slice_trim(name), 30)));
    if (where.len && where.ptr[0] == ':') {
        if (!slice_to_uint64(slice_skip(where, 1), &port) || port == 0 || port > 65535)
            return err_make(&INVALID_ARGUMENT, "\"%.*s\" is no port", SLICE_ARG(slice_take(where, 40)));
        out->port = (int)port;
        return OK;
    }
    if (where.len == 0)
        return err_make(&INVALID_ARGUMENT, "a host name is missing before \"=\"");
    out->host = where;
    return OK;
}

/* The browser client of chat, unmodified, is what somebody wants who says "web": then it is served wherever nothing
 * else is. */
static Err parse_otherwise(const char *chat_dialect, const Profile **out)
{
    bool web = strcmp(chat_dialect, "web") == 0;

    if (!web && strcmp(chat_dialect, "server") != 0)
        return err_make(&INVALID_ARGUMENT, "CHAT_DIALECT: server or web, not \"%.30s\"", chat_dialect);
    *out = profile_by_name(web ? SLICE_LIT("chat-web") : SLICE_LIT("all"));
    return OK;
}

Err profiles_parse(Arena *mem, const char *hosts, const char *chat_dialect, const Profiles **out)
{
    Slice rest = slice(arena_strdup(mem, hosts)), item;
    size_t count = 1;
    Profiles *p;

    for (const char *c = hosts; *c; c++)
        count += *c == ',';
    p = arena_alloc(mem, sizeof(*p) + count * sizeof(Binding), _Alignof(Profiles));
    TRY(parse_otherwise(chat_dialect, &p->otherwise));
    while (config_list_next(&rest, &item))
        if (item.len)
            TRY(err_wrap(parse_binding(item, &p->list[p->count++]), "GATEWAY_HOSTS"));
    *out = p;
    return OK;
}

static Slice without_port(Slice host)
{
    size_t end = host.len;

    if (host.len && host.ptr[0] == '[') {
        ptrdiff_t close = slice_find_char(host, ']');

        return close < 0 ? host : slice_take(host, (size_t)close + 1);
    }
    while (end > 0 && host.ptr[end - 1] >= '0' && host.ptr[end - 1] <= '9')
        end--;
    return end > 0 && host.ptr[end - 1] == ':' ? slice_take(host, end - 1) : host;
}

const Profile *profiles_find(const Profiles *p, Slice host, int port)
{
    Slice name = without_port(host);

    for (size_t i = 0; i < p->count; i++)
        if (p->list[i].host.len && slice_eq_nocase(p->list[i].host, name))
            return p->list[i].profile;
    for (size_t i = 0; i < p->count; i++)
        if (p->list[i].host.len == 0 && p->list[i].port == port)
            return p->list[i].profile;
    return p->otherwise;
}

int profile_dialect(const Profile *p, const Operation *op)
{
    if (op->profile_dialect && !p->keeps_dialects)
        return p->dialect;
    return dialect_base(p->dialect) == op->dialect ? p->dialect : op->dialect;
}
