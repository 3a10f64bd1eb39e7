/* tables: see tables.h. */
#include "services/gateway/tables.h"

#include "atrium/reasons.atrium.h"
#include "services/gateway/dialect.h"
#include "shared/message.h"

enum { ARENA_CHUNK_BYTES = 64 * 1024 };

typedef struct ReasonEntry {
    const char *key;
    int bus;
    ReasonLook looks[DIALECT_COUNT];
} ReasonEntry;

struct Tables {
    Arena *mem; /* holds all of it, this struct included */
    unsigned references;
    RouteTree *routes;
    Operation **operations;
    size_t operation_count;
    ReasonEntry *reasons; /* sorted by key */
    size_t reason_count;
    RateRule *rates;
    size_t rate_count;
    const TypeTables *types;
    const Operation **sockets;
    size_t socket_count;
    StreamSpec *streams;
    size_t stream_count;
};

/* --- reasons --------------------------------------------------------------------------------------------------------
 */
/* "auth.v1.USERNAME_TAKEN" -> "USERNAME_TAKEN" */
static const char *last_word(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot ? dot + 1 : key;
}

static const char *own_text(Arena *mem, const char *text)
{
    return text && text[0] ? arena_strdup(mem, text) : NULL;
}

static void load_reason(Arena *mem, const Atrium__ReasonRow *row, ReasonEntry *out)
{
    const Atrium__ReasonRules none = ATRIUM__REASON_RULES__INIT;
    const Atrium__ReasonRules *rules = row->rules ? row->rules : &none;
    ReasonLook look = {.http = rules->http ? (int)rules->http : 500, .shown = rules->shown};
    bool own[DIALECT_COUNT] = {false};

    out->key = arena_strdup(mem, row->key);
    out->bus = (int)rules->bus;
    look.code = rules->code && rules->code[0] ? arena_strdup(mem, rules->code) : last_word(out->key);
    for (int d = 0; d < DIALECT_COUNT; d++)
        out->looks[d] = look;
    for (size_t i = 0; i < rules->n_in; i++) {
        const Atrium__ReasonIn *in = rules->in[i];
        ReasonLook *l;

        if ((unsigned)in->dialect >= DIALECT_COUNT)
            continue;
        l = &out->looks[in->dialect];
        if (in->code && in->code[0])
            l->code = arena_strdup(mem, in->code);
        if (in->http)
            l->http = (int)in->http;
        l->text = own_text(mem, in->text);
        own[in->dialect] = true;
    }
    for (int d = 0; d < DIALECT_COUNT; d++)
        if (!own[d])
            out->looks[d] = out->looks[dialect_base(d)];
}

static int compare_reasons(const void *a, const void *b)
{
    return strcmp(((const ReasonEntry *)a)->key, ((const ReasonEntry *)b)->key);
}

static Err load_reasons(Tables *t, const Atrium__Tables *file)
{
    t->reasons = ARENA_ARRAY(t->mem, ReasonEntry, file->n_reasons + 1);
    for (size_t i = 0; i < file->n_reasons; i++) {
        if (!file->reasons[i]->key || !file->reasons[i]->key[0])
            return err_make(&INVALID_ARGUMENT, "reason %zu has no key", i);
        load_reason(t->mem, file->reasons[i], &t->reasons[t->reason_count++]);
    }
    qsort(t->reasons, t->reason_count, sizeof(t->reasons[0]), compare_reasons);
    return OK;
}

static const ReasonEntry *find_reason(const Tables *t, const char *key)
{
    const ReasonEntry wanted = {.key = key};

    return key ? bsearch(&wanted, t->reasons, t->reason_count, sizeof(wanted), compare_reasons) : NULL;
}

/* What an answer without a known key is called, by its bus status. */
static const char *common_key(int bus_status)
{
    static const struct {
        int bus;
        const char *key;
    } COMMON[] = {
        {1, "CANCELLED"},       {3, "INVALID_ARGUMENT"},  {4, "DEADLINE_EXCEEDED"}, {5, "NOT_FOUND"},
        {6, "CONFLICT"},        {7, "PERMISSION_DENIED"}, {8, "RATE_LIMITED"},      {9, "PRECONDITION_FAILED"},
        {10, "CONFLICT"},       {11, "INVALID_ARGUMENT"}, {12, "UNIMPLEMENTED"},    {14, "UNAVAILABLE"},
        {16, "UNAUTHENTICATED"}};

    for (size_t i = 0; i < ARRAY_LEN(COMMON); i++)
        if (COMMON[i].bus == bus_status)
            return COMMON[i].key;
    return "INTERNAL";
}

ReasonLook tables_reason(const Tables *t, const char *key, int bus_status, int dialect)
{
    const ReasonEntry *entry = find_reason(t, key);

    if (!entry)
        entry = find_reason(t, common_key(bus_status));
    if (!entry) {
        /* A file without the common reasons: this program still knows them. */
        const Reason *own = reason_find(key ? key : "INTERNAL");

        own = own ? own : &INTERNAL;
        return (ReasonLook){.code = own->code, .http = own->http, .shown = own->shown};
    }
    return entry->looks[(unsigned)dialect < DIALECT_COUNT ? dialect : 0];
}

/* --- rates ------------------------------------------------------------------------------------------------------- */
static RateRule rate_rule(Arena *mem, const Atrium__RateClass *row)
{
    static const int BY[] = {[ATRIUM__RATE_KEY__ADDRESS] = RATE_BY_ADDRESS,
                             [ATRIUM__RATE_KEY__USER_ID] = RATE_BY_USER,
                             [ATRIUM__RATE_KEY__CALLER] = RATE_BY_CALLER};

    return (RateRule){.name = arena_strdup(mem, row->name ? row->name : ""),
                      .limit = row->limit,
                      .window_ms = row->window_ms ? row->window_ms : 60000,
                      .by = (size_t)row->by < ARRAY_LEN(BY) ? BY[row->by] : RATE_BY_ADDRESS,
                      .exact = row->exact,
                      .per_rpc = row->per_rpc,
                      .per_path = row->per_path};
}

static Err load_rates(Tables *t, const Atrium__Tables *file, const char *overrides)
{
    t->rates = ARENA_ARRAY(t->mem, RateRule, file->n_rates + 1);
    for (size_t i = 0; i < file->n_rates; i++) {
        const Atrium__RateClass *row = file->rates[i];
        RateRule *rule = &t->rates[t->rate_count++];

        *rule = rate_rule(t->mem, row);
        rule->tiers = ARENA_ARRAY(t->mem, RateRule, row->n_tier + 1);
        for (size_t j = 0; j < row->n_tier; j++) {
            RateRule *tier = &rule->tiers[rule->tier_count++];

            *tier = rate_rule(t->mem, row);
            tier->tier = arena_strdup(t->mem, row->tier[j]->name ? row->tier[j]->name : "");
            tier->limit = row->tier[j]->limit;
        }
    }
    return rates_apply_overrides(t->rates, t->rate_count, overrides);
}

static bool limits_anybody(const RateRule *rule)
{
    for (size_t i = 0; i < rule->tier_count; i++)
        if (rule->tiers[i].limit)
            return true;
    return rule->limit > 0;
}

static Err find_rate(const Tables *t, const char *name, const RateRule **out)
{
    *out = NULL;
    if (!name || !name[0] || strcmp(name, "none") == 0)
        return OK;
    for (size_t i = 0; i < t->rate_count; i++)
        if (strcmp(t->rates[i].name, name) == 0) {
            *out = limits_anybody(&t->rates[i]) ? &t->rates[i] : NULL;
            return OK;
        }
    return err_make(&INVALID_ARGUMENT, "no rate class \"%s\"", name);
}

/* --- operations -------------------------------------------------------------------------------------------------- */
static bool is_raw(const MessageType *m)
{
    return message_type_well_known(m) == ATRIUM__WELL_KNOWN__HTTP_BODY;
}

static Err bind_body(const Atrium__RouteRow *row, Operation *op)
{
    const char *body = row->body ? row->body : "";

    op->body = BODY_NONE;
    if (strcmp(body, "*") == 0) {
        op->body = BODY_WHOLE;
        op->raw_request = is_raw(op->request);
    } else if (body[0]) {
        op->body = BODY_FIELD;
        op->body_field = message_type_by_name(op->request, slice(body), false);
        if (!op->body_field || op->body_field->kind != FIELD_MESSAGE || op->body_field->repeated)
            return err_make(&INVALID_ARGUMENT, "body \"%s\" is no message field", body);
        op->raw_request = is_raw(op->body_field->message);
    }
    op->raw_reply = is_raw(op->reply) && !(row->response_body && row->response_body[0]);
    return OK;
}

static const char *const *copy_list(Arena *mem, char *const *from, size_t count)
{
    const char **list = ARENA_ARRAY(mem, const char *, count + 1);

    for (size_t i = 0; i < count; i++)
        list[i] = arena_strdup(mem, from[i]);
    return list;
}

static void set_audience(Arena *mem, const Atrium__Tables *file, Operation *op)
{
    const Atrium__DomainRow *domain = NULL;
    const char **list;

    for (size_t i = 0; i < file->n_domains; i++)
        if (file->domains[i]->name && strcmp(file->domains[i]->name, op->domain) == 0)
            domain = file->domains[i];
    list = ARENA_ARRAY(mem, const char *, 1 + (domain ? domain->n_depends : 0));
    list[op->audience_count++] = op->domain;
    for (size_t i = 0; domain && i < domain->n_depends; i++)
        list[op->audience_count++] = arena_strdup(mem, domain->depends[i]);
    op->audience = list;
}

/* Which fields of the reply have a line of their own in an event. */
static void set_event_fields(Arena *mem, const Atrium__Tables *file, const Atrium__RouteRow *row, Operation *op)
{
    const Atrium__TypeRow *type = row->reply < file->n_types ? file->types[row->reply] : NULL;

    op->raw_event = op->streams && slice_eq(message_type_name(op->reply), SLICE_LIT("atrium.EventBody"));
    for (size_t i = 0; type && op->streams && i < type->n_fields; i++) {
        const Atrium__FieldRow *f = type->fields[i];

        if (f->sse == ATRIUM__EVENT_PART__EVENT_ID)
            op->event_id = slice(arena_strdup(mem, f->name));
        else if (f->sse == ATRIUM__EVENT_PART__EVENT_NAME)
            op->event_name = slice(arena_strdup(mem, f->name));
    }
}

/* --- WebSockets -------------------------------------------------------------------------------------------------- */
static Err load_socket(Arena *mem, const Atrium__RouteRow *row, const SocketSpec **out)
{
    const Atrium__SocketRules *rules = row->socket;
    SocketSpec *s = ARENA_NEW(mem, SocketSpec);

    if (rules->max_frame_bytes == 0 || rules->max_frame_bytes > SOCKET_FRAME_IN_MAX_BYTES)
        return err_make(&INVALID_ARGUMENT, "max_frame_bytes: 1 to %d", SOCKET_FRAME_IN_MAX_BYTES);
    s->max_frame_bytes = rules->max_frame_bytes;
    s->frames_per_minute = rules->frames_per_minute;
    s->queue_bytes = rules->queue_bytes;
    s->flood_close = (uint16_t)rules->flood_close;
    s->slow_close = (uint16_t)rules->slow_close;
    s->revoked_close = (uint16_t)rules->revoked_close;
    s->silent_close = (uint16_t)rules->silent_close;
    s->farewell = slice_of(arena_memdup(mem, rules->farewell.data, rules->farewell.len), rules->farewell.len);
    s->protocols = copy_list(mem, rules->protocols, rules->n_protocols);
    s->protocol_count = rules->n_protocols;
    *out = s;
    return OK;
}

static Err load_streams(Tables *t, const Atrium__Tables *file, const char *slot)
{
    t->streams = ARENA_ARRAY(t->mem, StreamSpec, file->n_streams + 1);
    for (size_t i = 0; i < file->n_streams; i++) {
        const Atrium__StreamRow *row = file->streams[i];
        StreamSpec *s = &t->streams[t->stream_count++];

        if (!row->domain || !row->version || !row->rpc)
            return err_make(&INVALID_ARGUMENT, "stream %zu: without domain, version or rpc", i);
        s->domain = arena_strdup(t->mem, row->domain);
        s->version = arena_strdup(t->mem, row->version);
        s->rpc = arena_strdup(t->mem, row->rpc);
        s->subject = arena_printf(t->mem, "rpc.%s.%s.%s.%s", slot, s->domain, s->version, s->rpc);
        s->reply = types_at(t->types, row->reply);
        s->timeout_ms = row->timeout_ms ? row->timeout_ms : 5000;
        if (!s->reply)
            return err_make(&INVALID_ARGUMENT, "stream %s: no such message type", s->rpc);
    }
    return OK;
}

static Err load_operation(Tables *t, const Atrium__Tables *file, const TypeTables *types, const char *slot,
                          const Atrium__RouteRow *row)
{
    Arena *mem = t->mem;
    Operation *op = ARENA_NEW(mem, Operation);

    if (!row->method || !row->domain || !row->version || !row->rpc)
        return err_make(&INVALID_ARGUMENT, "a row without method, domain, version or rpc");
    op->method = arena_strdup(mem, row->method);
    op->path = arena_strdup(mem, row->path);
    op->domain = arena_strdup(mem, row->domain);
    op->version = arena_strdup(mem, row->version);
    op->rpc = arena_strdup(mem, row->rpc);
    op->subject = arena_printf(mem, "rpc.%s.%s.%s.%s", slot, row->domain, row->version, row->rpc);
    op->request = types_at(types, row->request);
    op->reply = types_at(types, row->reply);
    if (!op->request || !op->reply)
        return err_make(&INVALID_ARGUMENT, "no such message type");
    TRY(bind_body(row, op));
    op->response_body = row->response_body ? arena_strdup(mem, row->response_body) : "";
    op->caller = (int)row->caller;
    op->cookie = row->cookie && row->cookie[0] ? arena_strdup(mem, row->cookie) : NULL;
    op->permission = row->permission ? arena_strdup(mem, row->permission) : "";
    if (op->caller < ATRIUM__CALLER_POLICY__ANYONE || op->caller > ATRIUM__CALLER_POLICY__ADMIN)
        return err_make(&INVALID_ARGUMENT, "its caller policy is not for HTTP");
    op->timeout_ms = row->timeout_ms ? row->timeout_ms : 5000;
    op->status = row->status ? row->status : 200;
    op->max_bytes = row->max_bytes ? row->max_bytes : 1048576;
    op->dialect = (unsigned)row->dialect < DIALECT_COUNT ? (int)row->dialect : ATRIUM__DIALECT__ATRIUM;
    op->profile_dialect = row->profile_dialect;
    op->headers = copy_list(mem, row->headers, row->n_headers);
    op->header_count = row->n_headers;
    op->data_envelope = row->data_envelope;
    op->lenient_body = row->lenient_body;
    op->streams = row->streams;
    op->bytes = row->bytes;
    op->idempotency_key = row->idempotency == ATRIUM__IDEMPOTENCY__KEY;
    op->safe_again = row->idempotency == ATRIUM__IDEMPOTENCY__SAFE;
    op->events_rpc = row->events_rpc ? arena_strdup(mem, row->events_rpc) : "";
    set_event_fields(mem, file, row, op);
    set_audience(mem, file, op);
    if (row->socket) {
        TRY(load_socket(mem, row, &op->socket));
        t->sockets[t->socket_count++] = op;
    }
    TRY(find_rate(t, row->rate, &op->rate));
    TRY(routes_add(t->routes, op->method, op->path, op));
    t->operations[t->operation_count++] = op;
    return OK;
}

static const Operation *find_stream(const Tables *t, const Operation *of)
{
    for (size_t i = 0; i < t->operation_count; i++) {
        const Operation *op = t->operations[i];

        if (op->streams && strcmp(op->rpc, of->events_rpc) == 0 && strcmp(op->domain, of->domain) == 0 &&
            strcmp(op->version, of->version) == 0)
            return op;
    }
    return NULL;
}

static Err link_streams(const Tables *t)
{
    for (size_t i = 0; i < t->operation_count; i++) {
        Operation *op = t->operations[i];

        if (!op->events_rpc[0])
            continue;
        op->events = find_stream(t, op);
        if (!op->events)
            return err_make(&INVALID_ARGUMENT, "%s: there is no stream %s", op->path, op->events_rpc);
    }
    return OK;
}

static Err load_all(Tables *t, const Atrium__Tables *file, const char *slot, const char *rate_limits)
{
    if (file->format != TABLES_FORMAT)
        return err_make(&INVALID_ARGUMENT, "format %u, this program reads %d", file->format, TABLES_FORMAT);
    TRY(err_wrap(types_load(t->mem, file, &t->types), "message types"));
    TRY(load_reasons(t, file));
    TRY(load_rates(t, file, rate_limits));
    TRY(load_streams(t, file, slot));
    t->routes = routes_new(t->mem);
    t->sockets = ARENA_ARRAY(t->mem, const Operation *, file->n_routes + 1);
    t->operations = ARENA_ARRAY(t->mem, Operation *, file->n_routes + 1);
    for (size_t i = 0; i < file->n_routes; i++) {
        const Atrium__RouteRow *row = file->routes[i];
        Err e = row->path ? load_operation(t, file, t->types, slot, row)
                          : err_make(&INVALID_ARGUMENT, "a row without a path");

        if (err_failed(e))
            return err_wrap(e, row->path ? row->path : "?");
    }
    return link_streams(t);
}

Err tables_load(Slice file, const char *slot, const char *rate_limits, Tables **out)
{
    CLEANUP(arena_free_at) Arena *scratch = arena_new(ARENA_CHUNK_BYTES);
    CLEANUP(tables_unref_at) Tables *t = NULL;
    Arena *mem = arena_new(ARENA_CHUNK_BYTES);
    ProtobufCMessage *message;

    t = ARENA_NEW(mem, Tables);
    t->mem = mem;
    t->references = 1;
    TRY(err_wrap(message_unpack(scratch, &atrium__tables__descriptor, file, &message), "data file"));
    TRY(load_all(t, (const Atrium__Tables *)message, slot, rate_limits));
    *out = MOVE(t);
    return OK;
}

Tables *tables_ref(Tables *t)
{
    t->references++;
    return t;
}

void tables_unref(Tables *t)
{
    if (t && --t->references == 0) {
        Arena *mem = t->mem; /* it holds `t` itself */

        arena_free(mem);
    }
}

const RouteTree *tables_routes(const Tables *t)
{
    return t->routes;
}

size_t tables_operation_count(const Tables *t)
{
    return t->operation_count;
}

const TypeTables *tables_types(const Tables *t)
{
    return t->types;
}

const Operation *const *tables_sockets(const Tables *t, size_t *out_count)
{
    *out_count = t->socket_count;
    return t->sockets;
}

const StreamSpec *tables_stream(const Tables *t, const char *domain, const char *version, const char *rpc)
{
    for (size_t i = 0; i < t->stream_count; i++) {
        const StreamSpec *s = &t->streams[i];

        if (strcmp(s->rpc, rpc) == 0 && strcmp(s->domain, domain) == 0 && strcmp(s->version, version) == 0)
            return s;
    }
    return NULL;
}
