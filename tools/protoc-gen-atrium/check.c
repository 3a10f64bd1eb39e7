/* check: what protoc lets pass and the platform does not. Every problem names its file and line. */
#include "product.h"

enum { RPC_MAX_BYTES = 10 * 1024 * 1024, SOCKET_FRAME_MAX_BYTES = 1024 * 1024 };

#define BYTES_REQUEST "atrium.BytesRequest"
#define BYTES_REPLY "atrium.BytesReply"
#define SOCKET_REQUEST "atrium.SocketRequest"
#define SOCKET_REPLY "atrium.SocketReply"

/* ------------------------------------------------------------------------------------------- messages, enums */

static void check_field(Model *m, const Message *message, const Field *f)
{
    if (f->required)
        model_problem(m, f->place, "%s.%s: required fields are not used here: say optional", message->full_name,
                      f->name);
    if (f->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_GROUP)
        model_problem(m, f->place, "%s.%s: groups are not used here: say message", message->full_name, f->name);
    if (f->rules->null == ATRIUM__NULL_INPUT__EMPTY_CLEARS && !f->repeated) {
        model_problem(m, f->place, "%s.%s: null: EMPTY_CLEARS is for lists", message->full_name, f->name);
    } else if (f->rules->null == ATRIUM__NULL_INPUT__CLEAR || f->rules->null == ATRIUM__NULL_INPUT__EMPTY_CLEARS) {
        const Field *cleared = message_field(message, "cleared");
        if (!cleared || !cleared->message || cleared->message->well_known != ATRIUM__WELL_KNOWN__FIELD_MASK)
            model_problem(m, f->place, "%s.%s: null: %s needs a field google.protobuf.FieldMask cleared in the message",
                          message->full_name, f->name,
                          f->rules->null == ATRIUM__NULL_INPUT__CLEAR ? "CLEAR" : "EMPTY_CLEARS");
    }
}

/* What a server-sent event's lines can hold, and each only once. */
static void check_event_parts(Model *m, const Message *message)
{
    const Field *taken[] = {[ATRIUM__EVENT_PART__EVENT_ID] = NULL, [ATRIUM__EVENT_PART__EVENT_NAME] = NULL};

    for (size_t i = 0; i < message->field_count; i++) {
        const Field *f = &message->fields[i];
        bool text = f->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_STRING, name;

        if ((size_t)f->rules->sse >= ARRAY_LEN(taken) || f->rules->sse == ATRIUM__EVENT_PART__EVENT_DATA)
            continue;
        name = f->rules->sse == ATRIUM__EVENT_PART__EVENT_NAME;
        if (f->repeated || !(text || (name ? f->enumeration != NULL : field_is_integer(f))))
            model_problem(m, f->place, "%s.%s: sse: %s is for one %s", message->full_name, f->name,
                          name ? "EVENT_NAME" : "EVENT_ID", name ? "string or enum" : "string or integer");
        if (taken[f->rules->sse])
            model_problem(m, f->place, "%s.%s: %s has its place in an event already", message->full_name, f->name,
                          taken[f->rules->sse]->name);
        taken[f->rules->sse] = f;
    }
}

/* "evt.auth.login.ended.{login_id}" */
static void check_event(Model *m, const File *file, const Message *e)
{
    const char *subject = e->event->subject ? e->event->subject : "";
    const char *start = arena_printf(m->mem, "evt.%s.", file->domain), *open = strchr(subject, '{');
    size_t len = strlen(subject);
    const char *key;
    const Field *f;

    if (!*file->domain)
        model_problem(m, e->event_place, "event %s: its package is no atrium.<domain>.v<N>", e->full_name);
    else if (strncmp(subject, start, strlen(start)) != 0)
        model_problem(m, e->event_place, "event %s: its subject has to start with %s", e->full_name, start);
    if (!e->event->type || !*e->event->type)
        model_problem(m, e->event_place, "event %s: has no type", e->full_name);
    if (!open || open == subject || open[-1] != '.' || subject[len - 1] != '}') {
        model_problem(m, e->event_place, "event %s: its subject has to end with its key: .{field}", e->full_name);
        return;
    }
    key = arena_strndup(m->mem, open + 1, (size_t)(subject + len - 1 - (open + 1)));
    f = message_field(e, key);
    if (!f)
        model_problem(m, e->event_place, "event %s: its key {%s} names no field", e->full_name, key);
    else if (f->repeated || f->message)
        model_problem(m, e->event_place, "event %s: its key {%s} is no single value", e->full_name, key);
}

static void check_enum(Model *m, const Enum *e)
{
    for (size_t i = 0; i < e->value_count; i++) {
        const EnumValue *v = &e->values[i];
        if (!*v->json_name)
            model_problem(m, v->place, "%s: its JSON name is empty", v->name);
        if (!e->reasons && v->reason)
            model_problem(m, v->place, "%s: is a reason, but its enum has no option (atrium.enum_rules).reasons",
                          v->name);
        if (e->reasons && (!v->reason || !v->reason->http || !v->reason->bus))
            model_problem(m, v->place, "reason %s: needs http and bus statuses in (atrium.reason)", v->name);
    }
}

/* ------------------------------------------------------------------------------------------- rpcs */

static void check_variables(Model *m, const Rpc *rpc, const Binding *b)
{
    for (size_t i = 0; i < b->pattern.variable_count; i++) {
        const char *name = b->pattern.variables[i];
        const Field *f = message_field_at(rpc->request, name);
        if (rpc->rules->bytes)
            f = NULL; /* the data plane takes them from the path */
        else if (!f)
            model_problem(m, b->place, "%s %s: {%s} names no field of %s", b->method, b->path, name,
                          rpc->request->full_name);
        else if (f->repeated || f->message)
            model_problem(m, b->place, "%s %s: {%s} is no single value: %s", b->method, b->path, name,
                          f->repeated ? "it is repeated" : "it is a message");
        for (size_t j = 0; j < i; j++)
            if (strcmp(b->pattern.variables[j], name) == 0)
                model_problem(m, b->place, "%s %s: {%s} stands there twice", b->method, b->path, name);
    }
}

static void check_binding(Model *m, const Rpc *rpc, const Binding *b)
{
    if (!*b->method) {
        model_problem(m, b->place, "rpc %s: a binding without method and path", rpc->name);
        return;
    }
    if (b->pattern.problem) {
        model_problem(m, b->place, "%s %s: the path has %s", b->method, b->path, b->pattern.problem);
        return;
    }
    check_variables(m, rpc, b);
    if (*b->body && strcmp(b->body, "*") != 0 && !message_field(rpc->request, b->body))
        model_problem(m, b->place, "%s %s: body \"%s\" names no field of %s", b->method, b->path, b->body,
                      rpc->request->full_name);
    if (*b->response_body && !message_field(rpc->reply, b->response_body))
        model_problem(m, b->place, "%s %s: response_body \"%s\" names no field of %s", b->method, b->path,
                      b->response_body, rpc->reply->full_name);
}

static void check_binding_rules(Model *m, const Rpc *rpc)
{
    for (size_t i = 0; i < rpc->rules->n_binding; i++) {
        const char *path = rpc->rules->binding[i]->path ? rpc->rules->binding[i]->path : "";
        bool bound = false;
        for (size_t j = 0; j < rpc->binding_count; j++)
            bound |= strcmp(rpc->bindings[j].path, path) == 0;
        if (!bound)
            model_problem(m, rpc->rules_place, "rpc %s: rules for \"%s\", which is no binding of it", rpc->name, path);
        for (size_t j = 0; j < i; j++)
            if (rpc->rules->binding[j]->path && strcmp(rpc->rules->binding[j]->path, path) == 0)
                model_problem(m, rpc->rules_place, "rpc %s: two rules for \"%s\"", rpc->name, path);
    }
}

static void check_headers(Model *m, const Rpc *rpc)
{
    for (size_t i = 0; i < rpc->rules->n_headers; i++)
        for (const char *c = rpc->rules->headers[i]; *c; c++)
            if (!(*c == '-' || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9'))) {
                model_problem(m, rpc->rules_place, "rpc %s: header \"%s\" is not in lower case", rpc->name,
                              rpc->rules->headers[i]);
                break;
            }
}

static bool is_bytes_method(const char *method)
{
    static const char *const METHODS[] = {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"};

    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++)
        if (strcmp(METHODS[i], method) == 0)
            return true;
    return false;
}

/* The gateway passes these on as they come: rules about messages mean nothing for them. */
static void check_bytes(Model *m, const Rpc *rpc)
{
    static const Atrium__RpcRules NOTHING = ATRIUM__RPC_RULES__INIT;
    const Atrium__RpcRules *r = rpc->rules;
    const struct {
        const char *name;
        bool given;
    } meaningless[] = {
        {"idempotency", r->idempotency != ATRIUM__IDEMPOTENCY__NONE},
        {"lane", strcmp(r->lane, NOTHING.lane) != 0},
        {"timeout_ms", r->timeout_ms != 0},
        {"status", r->has_status},
        {"max_bytes", r->has_max_bytes},
        {"headers", r->n_headers > 0},
        {"data_envelope", r->data_envelope},
    };

    if (!message_is(rpc->request, BYTES_REQUEST) || !message_is(rpc->reply, BYTES_REPLY) || rpc->streams)
        model_problem(m, rpc->place, "rpc %s: bytes: has to be (%s) returns (%s)", rpc->name, BYTES_REQUEST,
                      BYTES_REPLY);
    if (rpc->binding_count == 0)
        model_problem(m, rpc->place, "rpc %s: bytes: there is no way to it but HTTP, and no path", rpc->name);
    for (size_t i = 0; i < ARRAY_LEN(meaningless); i++)
        if (meaningless[i].given)
            model_problem(m, rpc->rules_place, "rpc %s: bytes: %s means nothing here", rpc->name, meaningless[i].name);
    for (size_t i = 0; i < rpc->binding_count; i++) {
        const Binding *b = &rpc->bindings[i];
        if (*b->body || *b->response_body)
            model_problem(m, b->place, "%s %s: bytes: is all body, both ways", b->method, b->path);
        if (!is_bytes_method(b->method))
            model_problem(m, b->place, "%s %s: bytes: this method is not relayed", b->method, b->path);
    }
}

static bool is_close_code(uint32_t code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

/* What RFC 6455 lets a sub-protocol's name be: a token of HTTP. */
static bool is_token(const char *text)
{
    for (const char *c = text; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              strchr("!#$%&'*+-.^_`|~", *c)))
            return false;
    return *text != '\0';
}

static void check_socket_rules(Model *m, const Rpc *rpc)
{
    const Atrium__SocketRules *s = rpc->rules->socket;
    const struct {
        const char *name;
        uint32_t code;
    } codes[] = {{"flood_close", s->flood_close},
                 {"slow_close", s->slow_close},
                 {"revoked_close", s->revoked_close},
                 {"silent_close", s->silent_close}};

    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (!is_close_code(codes[i].code))
            model_problem(m, rpc->rules_place, "rpc %s: socket: %s: %u is no close code", rpc->name, codes[i].name,
                          codes[i].code);
    if (s->max_frame_bytes == 0 || s->max_frame_bytes > SOCKET_FRAME_MAX_BYTES)
        model_problem(m, rpc->rules_place, "rpc %s: socket: max_frame_bytes: 1 to %d", rpc->name,
                      SOCKET_FRAME_MAX_BYTES);
    for (size_t i = 0; i < s->n_protocols; i++)
        if (!is_token(s->protocols[i]))
            model_problem(m, rpc->rules_place, "rpc %s: socket: \"%s\" is no name of a protocol", rpc->name,
                          s->protocols[i]);
}

/* Its requests come from the edge, whatever the client sends. */
static void check_socket(Model *m, const Rpc *rpc)
{
    if (!message_is(rpc->request, SOCKET_REQUEST) || !message_is(rpc->reply, SOCKET_REPLY) || rpc->streams)
        model_problem(m, rpc->place, "rpc %s: socket: has to be (%s) returns (%s)", rpc->name, SOCKET_REQUEST,
                      SOCKET_REPLY);
    if (rpc->binding_count == 0)
        model_problem(m, rpc->place, "rpc %s: socket: there is no way to it but HTTP, and no path", rpc->name);
    for (size_t i = 0; i < rpc->binding_count; i++) {
        const Binding *b = &rpc->bindings[i];
        if (strcmp(b->method, "GET") != 0 || *b->body || *b->response_body)
            model_problem(m, b->place, "%s %s: socket: is bound to a GET alone", b->method, b->path);
        if (b->pattern.variable_count > 0)
            model_problem(m, b->place, "%s %s: socket: its path has no variables: the query says what there is to say",
                          b->method, b->path);
    }
    if (rpc->rules->idempotency == ATRIUM__IDEMPOTENCY__KEY || rpc->rules->data_envelope || rpc->rules->has_status)
        model_problem(m, rpc->rules_place, "rpc %s: socket: idempotency, status and envelopes mean nothing here",
                      rpc->name);
    check_socket_rules(m, rpc);
}

static void check_stream(Model *m, const Rpc *rpc)
{
    if (rpc->rules->idempotency == ATRIUM__IDEMPOTENCY__KEY)
        model_problem(m, rpc->rules_place, "rpc %s: a stream's replies are not kept, so it takes no idempotency key",
                      rpc->name);
    for (size_t i = 0; i < rpc->binding_count; i++) {
        const Binding *b = &rpc->bindings[i];
        if (strcmp(b->method, "GET") != 0 && strcmp(b->method, "POST") != 0)
            model_problem(m, b->place, "%s %s: a stream of events is for GET or POST", b->method, b->path);
        if (b->status != 200)
            model_problem(m, b->place, "%s %s: a stream of events begins with 200", b->method, b->path);
    }
}

/* What answers instead takes the same request, by the same path. */
static void check_events_rpc(Model *m, const Service *service, const Rpc *rpc)
{
    const char *name = rpc->rules->events_rpc;
    const Rpc *stream = NULL;

    for (size_t i = 0; i < service->rpc_count; i++)
        if (strcmp(service->rpcs[i].name, name) == 0)
            stream = &service->rpcs[i];
    if (!stream || !stream->streams || stream->binding_count == 0)
        model_problem(m, rpc->rules_place, "rpc %s: events_rpc: %s is no stream of this service with a path", rpc->name,
                      name);
    else if (stream->request != rpc->request)
        model_problem(m, rpc->rules_place, "rpc %s: events_rpc: %s takes another request", rpc->name, name);
    for (size_t i = 0; i < rpc->binding_count; i++)
        if (strcmp(rpc->bindings[i].method, "GET") != 0)
            model_problem(m, rpc->bindings[i].place, "%s %s: events_rpc is for GET", rpc->bindings[i].method,
                          rpc->bindings[i].path);
}

static void check_rpc(Model *m, const File *file, const Rpc *rpc)
{
    bool inside = rpc->caller == ATRIUM__CALLER_POLICY__SERVICE || rpc->caller == ATRIUM__CALLER_POLICY__GATEWAY;

    if (!*file->domain)
        model_problem(m, rpc->place, "rpc %s: its package is no atrium.<domain>.v<N>", rpc->name);
    if (!rpc->caller)
        model_problem(m, rpc->place, "rpc %s: has no caller policy: say who may call it, option (atrium.rpc).caller",
                      rpc->name);
    if (rpc->client_streams)
        model_problem(m, rpc->place, "rpc %s: streams of requests are not carried, only of replies", rpc->name);
    if (inside && rpc->binding_count > 0)
        model_problem(m, rpc->bindings[0].place, "rpc %s: bound to a path, but no caller of it comes over HTTP",
                      rpc->name);
    if (rpc->rules->max_bytes > RPC_MAX_BYTES)
        model_problem(m, rpc->rules_place, "rpc %s: max_bytes is more than %d", rpc->name, RPC_MAX_BYTES);
    if (rpc->rules->bytes)
        check_bytes(m, rpc);
    else if (message_is(rpc->request, BYTES_REQUEST) || message_is(rpc->reply, BYTES_REPLY))
        model_problem(m, rpc->place, "rpc %s: %s and %s are for rpcs with option bytes", rpc->name, BYTES_REQUEST,
                      BYTES_REPLY);
    if (rpc->rules->socket)
        check_socket(m, rpc);
    else if (message_is(rpc->request, SOCKET_REQUEST) || message_is(rpc->reply, SOCKET_REPLY))
        model_problem(m, rpc->place, "rpc %s: %s and %s are for rpcs with option socket", rpc->name, SOCKET_REQUEST,
                      SOCKET_REPLY);
    if (rpc->streams)
        check_stream(m, rpc);
    check_headers(m, rpc);
    for (size_t i = 0; i < rpc->binding_count; i++)
        check_binding(m, rpc, &rpc->bindings[i]);
    check_binding_rules(m, rpc);
}

void check_files(Model *m)
{
    for (size_t i = 0; i < m->file_count; i++) {
        const File *file = &m->files[i];
        if (!file->generate)
            continue;
        if (file->proto3)
            model_problem(m, file->syntax_place, "syntax is proto3: messages here are proto2, whose presence C sees");
        for (size_t j = 0; j < file->message_count; j++) {
            const Message *message = file->messages[j];
            for (size_t k = 0; k < message->field_count; k++)
                check_field(m, message, &message->fields[k]);
            check_event_parts(m, message);
            if (message->event)
                check_event(m, file, message);
        }
        for (size_t j = 0; j < file->enum_count; j++)
            check_enum(m, file->enums[j]);
    }
    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at)) {
        check_rpc(m, at.file, at.rpc);
        if (at.rpc->rules->events_rpc)
            check_events_rpc(m, at.service, at.rpc);
    }
}

/* ------------------------------------------------------------------------------------------- all files together */

/* A name that may stand only once, and where it stands first. */
typedef struct Seen {
    const char *key;
    Place place;
} Seen;

typedef struct SeenList {
    Seen *list;
    size_t count, room;
} SeenList;

/* NULL when it was not seen. */
static const Place *seen_at(const SeenList *s, const char *key)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->list[i].key, key) == 0)
            return &s->list[i].place;
    return NULL;
}

/* Where `key` was seen before; else notes it. */
static const Place *seen_before(SeenList *s, const char *key, Place place)
{
    const Place *first = seen_at(s, key);
    if (first)
        return first;
    if (s->count == s->room) {
        s->room = s->room ? 2 * s->room : 64;
        s->list = xrealloc(s->list, s->room * sizeof(*s->list));
    }
    s->list[s->count++] = (Seen){key, place};
    return NULL;
}

static void seen_done(SeenList *s)
{
    free(s->list);
}

/* A tier that is found by its name. */
static void check_tiers(Model *m, const File *file, const Atrium__RateClass *rate)
{
    for (size_t i = 0; i < rate->n_tier; i++) {
        const char *name = rate->tier[i]->name ? rate->tier[i]->name : "";
        if (!*name)
            model_problem(m, file->rules_place, "rate class \"%s\": a tier has no name", rate->name);
        for (size_t j = 0; j < i; j++)
            if (rate->tier[j]->name && strcmp(rate->tier[j]->name, name) == 0)
                model_problem(m, file->rules_place, "rate class \"%s\": tier \"%s\" stands twice", rate->name, name);
    }
}

static void check_rates(Model *m)
{
    CLEANUP(seen_done) SeenList classes = {0};

    for (size_t i = 0; i < m->file_count; i++) {
        const File *file = &m->files[i];
        for (size_t j = 0; j < file->rules->n_rates; j++) {
            const char *name = file->rules->rates[j]->name ? file->rules->rates[j]->name : "";
            const Place *first = seen_before(&classes, name, file->rules_place);
            if (!*name || strcmp(name, "none") == 0)
                model_problem(m, file->rules_place, "a rate class cannot be called \"%s\"", name);
            else if (first)
                model_problem(m, file->rules_place, "rate class \"%s\": exists already, at %s:%d", name, first->file,
                              first->line);
            else
                check_tiers(m, file, file->rules->rates[j]);
        }
    }
    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at)) {
        if (*at.rpc->rate && !seen_at(&classes, at.rpc->rate))
            model_problem(m, at.rpc->place, "rpc %s: there is no rate class \"%s\"", at.rpc->name, at.rpc->rate);
        for (size_t i = 0; i < at.rpc->binding_count; i++) {
            const Binding *b = &at.rpc->bindings[i];
            if (*b->rate && strcmp(b->rate, at.rpc->rate) != 0 && !seen_at(&classes, b->rate))
                model_problem(m, b->place, "%s %s: there is no rate class \"%s\"", b->method, b->path, b->rate);
        }
    }
}

static void check_routes(Model *m)
{
    CLEANUP(seen_done) SeenList routes = {0}, subjects = {0};

    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at)) {
        const char *subject = arena_printf(m->mem, "%s.%s.%s", at.file->domain, at.file->version, at.rpc->name);
        const Place *first = seen_before(&subjects, subject, at.rpc->place);
        if (first)
            model_problem(m, at.rpc->place, "rpc %s: its subject %s is taken, at %s:%d", at.rpc->name, subject,
                          first->file, first->line);
        for (size_t i = 0; i < at.rpc->binding_count; i++) {
            const Binding *b = &at.rpc->bindings[i];
            const char *shape = arena_printf(m->mem, "%s %s", b->method, b->pattern.shape);
            if (b->pattern.problem)
                continue;
            first = seen_before(&routes, shape, b->place);
            if (first)
                model_problem(m, b->place, "%s %s: clashes with the route at %s:%d", b->method, b->path, first->file,
                              first->line);
        }
    }
}

/* Reasons are constants of one C program, so their names are unique over all domains. */
static void check_reason_names(Model *m)
{
    CLEANUP(seen_done) SeenList names = {0};

    for (size_t i = 0; i < m->file_count; i++)
        for (size_t j = 0; j < m->files[i].enum_count; j++) {
            const Enum *e = m->files[i].enums[j];
            for (size_t k = 0; e->reasons && k < e->value_count; k++) {
                const EnumValue *v = &e->values[k];
                const Place *first = seen_before(&names, v->name, v->place);
                if (first)
                    model_problem(m, v->place, "reason %s: exists already, at %s:%d", v->name, first->file,
                                  first->line);
            }
        }
}

static bool domain_known(const Domain *domains, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(domains[i].name, name) == 0)
            return true;
    return false;
}

static bool has_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* A data plane cuts what is transferred for a login that ends: it has to hear of the ends, where somebody tells them.
 */
static void check_bytes_hear_auth(Model *m, const Domain *domains, size_t count)
{
    static const char TELLS[] = "auth";

    if (!domain_known(domains, count, TELLS))
        return;
    for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at))
        for (size_t i = 0; i < count; i++) {
            const Domain *d = &domains[i];
            if (at.rpc->rules->bytes && strcmp(d->name, at.file->domain) == 0 && strcmp(d->name, TELLS) != 0 &&
                !has_name(d->consumes, d->consume_count, TELLS))
                model_problem(m, at.rpc->place, "rpc %s: bytes: domain %s has to say consumes: \"%s\"", at.rpc->name,
                              d->name, TELLS);
        }
}

static void check_domains(Model *m)
{
    static const char *const TAKEN[] = {"gateway", "ops"}; /* users of the bus that are no domains */
    Domain *domains;
    size_t count = model_domains(m, &domains);

    for (size_t i = 0; i < count; i++) {
        const Domain *d = &domains[i];
        for (size_t j = 0; j < ARRAY_LEN(TAKEN); j++)
            if (strcmp(d->name, TAKEN[j]) == 0)
                model_problem(m, d->place, "a domain cannot be called \"%s\"", d->name);
        for (size_t j = 0; j < d->depend_count; j++)
            if (!domain_known(domains, count, d->depends[j]) || strcmp(d->depends[j], d->name) == 0)
                model_problem(m, d->place, "domain %s: depends on \"%s\", which is no other domain", d->name,
                              d->depends[j]);
        for (size_t j = 0; j < d->consume_count; j++)
            if (!domain_known(domains, count, d->consumes[j]))
                model_problem(m, d->place, "domain %s: consumes events of \"%s\", which is no domain", d->name,
                              d->consumes[j]);
    }
    check_bytes_hear_auth(m, domains, count);
}

void check_platform(Model *m)
{
    check_rates(m);
    check_routes(m);
    check_reason_names(m);
    check_domains(m);
}
