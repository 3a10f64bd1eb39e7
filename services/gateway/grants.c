/* grants: see grants.h. */
#include "services/gateway/grants.h"

#include <pthread.h>
#include <stdatomic.h>

#include "atrium/bus.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "shared/identity_provider.h"
#include "shared/message.h"
#include "shared/tail.h"

enum { ASK_TIMEOUT_MS = 2000, RETRY_MS = 250, FIRST_CAPACITY = 256, SUBJECT_MAX_BYTES = 128 };

typedef struct Changed {
    int64_t user_id; /* 0 is a free place */
    AccessChange change;
} Changed;

struct Grants {
    GrantsOptions options;
    Tail *tail; /* NULL without a bus */

    /* The loop's. */
    Upstream *upstream;
    char subject[SUBJECT_MAX_BYTES];
    LoopTimer *retry;
    bool asked, again; /* again: something changed since it was asked */
    Arena *mem;        /* of `roles` */
    RoleGrants *roles;
    size_t role_count;
    atomic_uint_fast64_t generation; /* the admin thread asks, too */

    pthread_mutex_t lock; /* guards what follows */
    Changed *changed;     /* open addressing, never more than half full */
    size_t capacity, count;
    uint64_t last_number;
    AccessChange floor; /* of everybody */
    Gauge *gauge;
};

/* --- changes ----------------------------------------------------------------------------------------------------- */
static Changed *find_place(const Grants *g, int64_t user_id)
{
    /* Ids count up: multiplied, their differences reach the upper bits. */
    size_t at = (size_t)(((uint64_t)user_id * UINT64_C(0x9e3779b97f4a7c15)) >> 32);

    for (at &= g->capacity - 1; g->changed[at].user_id; at = (at + 1) & (g->capacity - 1))
        if (g->changed[at].user_id == user_id)
            break;
    return &g->changed[at];
}

/* Forgets changes that no token is older than; doubles the table when that is not enough. */
static void rebuild(Grants *g)
{
    int64_t oldest_ms = clock_unix_ms(g->options.clock) - g->options.age_ms;
    size_t old_capacity = g->capacity, keep = 0;
    Changed *old = g->changed;

    for (size_t i = 0; i < old_capacity; i++)
        keep += old[i].user_id && old[i].change.at_unix_ms > oldest_ms;
    while (g->capacity < keep * 4)
        g->capacity *= 2;
    g->changed = xcalloc(g->capacity, sizeof(Changed));
    g->count = 0;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].user_id && old[i].change.at_unix_ms > oldest_ms) {
            if (keep >= g->options.changes_max) {
                g->floor.number = MAX(g->floor.number, old[i].change.number);
                g->floor.at_unix_ms = MAX(g->floor.at_unix_ms, old[i].change.at_unix_ms);
            } else {
                *find_place(g, old[i].user_id) = old[i];
                g->count++;
            }
        }
    free(old);
}

void grants_note_change_of_all(Grants *g, int64_t at_unix_ms)
{
    pthread_mutex_lock(&g->lock);
    g->floor = (AccessChange){.number = ++g->last_number, .at_unix_ms = MAX(g->floor.at_unix_ms, at_unix_ms)};
    pthread_mutex_unlock(&g->lock);
}

void grants_note_change(Grants *g, int64_t user_id, int64_t at_unix_ms)
{
    Changed *place;

    pthread_mutex_lock(&g->lock);
    if ((g->count + 1) * 2 > g->capacity || g->count >= g->options.changes_max)
        rebuild(g);
    place = find_place(g, user_id);
    g->count += place->user_id == 0;
    *place = (Changed){.user_id = user_id, .change = {.number = ++g->last_number, .at_unix_ms = at_unix_ms}};
    gauge_set(g->gauge, (double)g->count);
    pthread_mutex_unlock(&g->lock);
}

AccessChange grants_change_of(Grants *g, int64_t user_id)
{
    AccessChange own, floor;

    pthread_mutex_lock(&g->lock);
    own = find_place(g, user_id)->change;
    floor = g->floor;
    pthread_mutex_unlock(&g->lock);
    return own.number > floor.number ? own : floor;
}

/* --- roles ------------------------------------------------------------------------------------------------------- */
static const char *const *copy_words(Arena *mem, const char *const *words, size_t count)
{
    const char **copy = ARENA_ARRAY(mem, const char *, count + 1);

    for (size_t i = 0; i < count; i++)
        copy[i] = arena_strdup(mem, words[i]);
    return copy;
}

void grants_set(Grants *g, const RoleGrants *roles, size_t count)
{
    Arena *mem = arena_new(4096);

    g->roles = ARENA_ARRAY(mem, RoleGrants, count + 1);
    for (size_t i = 0; i < count; i++)
        g->roles[i] = (RoleGrants){.name = arena_strdup(mem, roles[i].name),
                                   .permissions = copy_words(mem, roles[i].permissions, roles[i].permission_count),
                                   .permission_count = roles[i].permission_count};
    g->role_count = count;
    atomic_fetch_add(&g->generation, 1);
    arena_free(g->mem);
    g->mem = mem;
}

RoleGrants grants_of_role(const Grants *g, const char *name)
{
    for (size_t i = 0; i < g->role_count; i++)
        if (strcmp(g->roles[i].name, name) == 0)
            return g->roles[i];
    return (RoleGrants){.name = name};
}

uint64_t grants_generation(const Grants *g)
{
    return atomic_load(&g->generation);
}

bool grants_ready(Grants *g)
{
    return grants_generation(g) > 0 && (!g->tail || tail_current(g->tail));
}

/* --- asking ------------------------------------------------------------------------------------------------------ */
static bool read_reply(Grants *g, natsMsg *msg)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    ProtobufCMessage *message;
    const Atrium__GetGrantsReply *reply;
    RoleGrants *roles;

    if (bus_header(msg, "Nats-Service-Error-Code") ||
        err_failed(message_unpack(mem, &atrium__get_grants_reply__descriptor,
                                  slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)), &message)))
        return false;
    reply = (const Atrium__GetGrantsReply *)message;
    roles = ARENA_ARRAY(mem, RoleGrants, reply->n_roles + 1);
    for (size_t i = 0; i < reply->n_roles; i++)
        roles[i] = (RoleGrants){.name = reply->roles[i]->name ? reply->roles[i]->name : "",
                                .permissions = (const char *const *)reply->roles[i]->permissions,
                                .permission_count = reply->roles[i]->n_permissions};
    grants_set(g, roles, reply->n_roles);
    LOG_INFO(g->options.log, "grants_known", "roles", g->role_count);
    return true;
}

static void ask(void *data);

static void answered(void *data, UpstreamOutcome outcome, natsMsg *msg)
{
    Grants *g = data;

    g->asked = false;
    if (outcome != UPSTREAM_REPLIED || !read_reply(g, msg))
        loop_timer_set(g->retry, RETRY_MS, 0);
    else if (g->again)
        ask(g);
}

static void ask(void *data)
{
    Grants *g = data;
    static const BusHeader HEADERS[] = {{"Atrium-Timeout-Ms", "2000"}};
    const UpstreamRequest rq = {.subject = g->subject,
                                .callee = IDENTITY_DOMAIN,
                                .headers = HEADERS,
                                .header_count = ARRAY_LEN(HEADERS),
                                .timeout_ms = ASK_TIMEOUT_MS,
                                .done = answered,
                                .data = g};

    g->again = g->asked;
    if (g->asked || !g->upstream)
        return;
    if (err_failed(upstream_send(g->upstream, &rq)))
        loop_timer_set(g->retry, RETRY_MS, 0);
    else
        g->asked = true;
}

void grants_connect(Grants *g, Upstream *upstream)
{
    g->upstream = upstream;
    g->retry = loop_timer_new(g->options.loop, ask, g);
    loop_timer_set(g->retry, 0, 0);
}

/* --- start and stop ---------------------------------------------------------------------------------------------- */
static void take_change(void *data, const TailMessage *message)
{
    Grants *g = data;
    int64_t user_id;

    if (!slice_to_int64(slice(message->key), &user_id))
        return;
    if (user_id == 0)
        loop_post(g->options.loop, ask, g);
    else if (user_id < 0)
        grants_note_change_of_all(g, message->at_unix_ms);
    else
        grants_note_change(g, user_id, message->at_unix_ms);
}

Err grants_start(const GrantsOptions *options, Grants **out)
{
    CLEANUP(grants_stop_at) Grants *g = xcalloc(1, sizeof(*g));

    g->options = *options;
    g->capacity = FIRST_CAPACITY;
    g->changed = xcalloc(g->capacity, sizeof(Changed));
    pthread_mutex_init(&g->lock, NULL);
    g->gauge = metrics_gauge(options->metrics, "atrium_access_changes",
                             "Users whose access changed during the life of a token.", "");
    snprintf(g->subject, sizeof(g->subject), "rpc.%s." IDENTITY_GRANTS_RPC, options->slot);
    if (options->bus)
        TRY(tail_start(&(TailOptions){.bus = options->bus,
                                      .clock = options->clock,
                                      .log = options->log,
                                      .name = "access",
                                      .stream = IDENTITY_STREAM,
                                      .subject = IDENTITY_ACCESS_SUBJECT_PREFIX "*",
                                      .take = take_change,
                                      .data = g},
                       &g->tail));
    *out = MOVE(g);
    return OK;
}

void grants_stop(Grants *g)
{
    if (!g)
        return;
    tail_stop(g->tail);
    if (g->options.loop)
        loop_unpost(g->options.loop, ask, g);
    loop_timer_free(g->retry);
    arena_free(g->mem);
    pthread_mutex_destroy(&g->lock);
    free(g->changed);
    free(g);
}
