/* exchange: see exchange.h. This file reads from top to bottom as a request goes: headers, body, steps, end. */
#include "services/gateway/exchange.h"

#include "atrium/reasons.atrium.h"
#include "services/gateway/connections.h"
#include "services/gateway/events.h"
#include "services/gateway/head.h"
#include "services/gateway/relay.h"
#include "services/gateway/ring.h"
#include "services/gateway/socket.h"

/* --- life -----------------------------------------------------------------------------------------------------------
 */
Exchange *exchange_new(Gateway *g, struct MHD_Connection *connection, int port, const char *uri)
{
    Exchange *x = g->idle;
    Arena *mem;
    size_t len = strlen(uri);
    const char *query = memchr(uri, '?', len);

    if (x) {
        g->idle = x->next;
        g->idle_count--;
        mem = x->mem;
    } else {
        x = xmalloc(sizeof(*x));
        mem = arena_new(EXCHANGE_ARENA_BYTES);
    }
    g->exchange_count++;
    memset(x, 0, offsetof(Exchange, headers));
    x->path.count = x->match.variable_count = x->out.count = 0;
    x->gateway = g;
    x->mem = mem;
    x->connection = connection;
    x->port = port;
    x->uri_end = uri + len;
    x->tables = tables_ref(g->tables);
    x->assets = assets_ref(g->assets);
    /* MHD takes the text to pieces in place. */
    x->raw_path = slice_of(arena_memdup(mem, uri, len), query ? (size_t)(query - uri) : len);
    if (query) {
        x->raw_query = slice_of(x->raw_path.ptr + (query - uri) + 1, (size_t)(uri + len - query) - 1);
        /* MHD would keep each parameter in the connection's memory, and close without an answer when that is full. */
        ((char *)(uintptr_t)query)[1] = '\0';
    }
    x->started_us = clock_monotonic_us(g->service->clock);
    return x;
}

void exchange_end(Exchange *x)
{
    Gateway *g = x->gateway;

    g->exchange_count--;
    g->body_bytes -= x->body_counted;
    relay_end(x);
    events_end(x);
    ring_release(x);
    if (x->socket)
        socket_free(x->socket);
    if (x->key_id)
        key_usage_count(g->key_usage, x->key_id, x->status >= 400);
    if (x->response)
        MHD_destroy_response(x->response);
    tables_unref(x->tables);
    assets_unref(x->assets);
    arena_reset(x->mem);
    if (g->idle_count >= EXCHANGES_IDLE_MAX) {
        arena_free(x->mem);
        free(x);
        return;
    }
    x->next = g->idle;
    g->idle = x;
    g->idle_count++;
}

void exchanges_free_idle(Gateway *g)
{
    while (g->idle) {
        Exchange *x = g->idle;

        g->idle = x->next;
        arena_free(x->mem);
        free(x);
    }
    g->idle_count = 0;
}

void exchange_suspend(Exchange *x)
{
    Gateway *g = x->gateway;

    x->suspended = true;
    g->suspended++;
    x->previous = NULL;
    x->next = g->sleeping;
    if (g->sleeping)
        g->sleeping->previous = x;
    g->sleeping = x;
    MHD_suspend_connection(x->connection);
}

void exchange_resume(Exchange *x)
{
    Gateway *g = x->gateway;

    if (!x->suspended)
        return;
    x->suspended = false;
    g->suspended--;
    *(x->previous ? &x->previous->next : &g->sleeping) = x->next;
    if (x->next)
        x->next->previous = x->previous;
    x->next = x->previous = NULL;
    g->resumed = true;
    MHD_resume_connection(x->connection);
}

void exchange_suspend_answer(Exchange *x)
{
    Connection *c = connection_of(x->connection);

    connections_enter(c->all, c, CONNECTION_WAITING);
    exchange_suspend(x);
    if (x->client_left)
        exchange_cut(x);
}

void exchange_note_progress(Exchange *x)
{
    Connection *c = connection_of(x->connection);

    connections_enter(c->all, c, CONNECTION_ANSWER);
}

void exchange_note_body(Exchange *x, size_t len)
{
    const GatewaySettings *s = x->gateway->settings;
    Connection *c = connection_of(x->connection);

    x->received += len;
    x->of_window += len;
    if ((int64_t)x->of_window * 1000 < s->min_rate_bytes * s->body_timeout_ms)
        return;
    x->of_window = 0;
    connections_enter(c->all, c, CONNECTION_BODY);
}

void exchange_cut(Exchange *x)
{
    x->cut = true;
    connections_cut(connection_of(x->connection));
    exchange_resume(x);
}

void exchanges_abandon(Gateway *g)
{
    while (g->sleeping) {
        if (g->sleeping->answered || g->sleeping->body_open)
            exchange_cut(g->sleeping);
        else
            (void)exchange_fail(g->sleeping,
                                (Failure){.key = "UNAVAILABLE", .text = "the server is stopping", .retry_after_s = 1});
    }
}

/* --- who and what ------------------------------------------------------------------------------------------------ */
static void take_request_id(Exchange *x)
{
    const char *given = exchange_header(x, "x-request-id");
    size_t len = given ? strlen(given) : 0;
    bool fine = len > 0 && len <= HTTP_REQUEST_ID_MAX_BYTES;

    for (size_t i = 0; fine && i < len; i++)
        fine = (given[i] >= 'a' && given[i] <= 'z') || (given[i] >= 'A' && given[i] <= 'Z') ||
               (given[i] >= '0' && given[i] <= '9') || strchr("._-", given[i]);
    if (fine)
        memcpy(x->request_id, given, len + 1);
    else
        uuid_format(uuid_v4(), x->request_id);
}

/* The last word: that of the nearest proxy. */
static bool is_https(const char *forwarded)
{
    const char *comma = forwarded ? strrchr(forwarded, ',') : NULL;

    return forwarded && slice_eq_nocase(slice_trim(slice(comma ? comma + 1 : forwarded)), SLICE_LIT("https"));
}

static void take_client(Exchange *x)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    Address peer;

    (void)address_of(info ? info->client_addr : NULL, &peer); /* false leaves ::, which nobody trusts */
    x->over_tls = is_https(exchange_header(x, "x-forwarded-proto")) && networks_contain(x->gateway->trusted, &peer);
    x->client = client_address(x->gateway->trusted, &peer, exchange_header_joined(x, "x-forwarded-for"));
    address_format(&x->client, x->client_text);
}

static void take_trace(Exchange *x)
{
    const char *given = exchange_header(x, "traceparent");
    TraceContext parent;

    if (!given || !trace_parse(slice(given), &parent))
        parent = trace_root(tracer_sample(x->gateway->service->tracer));
    x->span = span_start(&parent, "unmatched", 2);
    memcpy(x->trace_id, x->span.self.trace_id, sizeof(x->trace_id));
}

static void set_dialect(Exchange *x, int dialect)
{
    x->dialect_id = dialect;
    x->dialect = dialect_get(dialect);
}

/* Listed by name, and not refused with q=0: wildcards mean documents. */
static bool accepts_events(const Exchange *x)
{
    Slice item, range, q, rest = exchange_header_joined(x, "accept");

    while (rest.len) {
        (void)slice_cut(rest, ',', &item, &rest);
        (void)slice_cut(item, ';', &range, &q);
        if (slice_eq_nocase(slice_trim(range), SLICE_LIT("text/event-stream")))
            return !slice_eq(slice_trim(q), SLICE_LIT("q=0"));
    }
    return false;
}

static void take_operation(Exchange *x)
{
    x->op = x->match.target;
    if (x->op->events && accepts_events(x))
        x->op = (Operation *)x->op->events;
    x->span.name = x->op->path; /* the tables outlive the exchange */
    set_dialect(x, profile_dialect(x->profile, x->op));
}

/* The path with a slash more or less at its end. */
static bool match_other_slash(Exchange *x, RouteMatch *out)
{
    RoutePath other = x->path;

    if (other.count > 1 && other.segments[other.count - 1].len == 0)
        other.count--;
    else if (other.count < ROUTES_MAX_SEGMENTS)
        other.segments[other.count++] = SLICE_LIT("");
    return routes_match(tables_routes(x->tables), x->mem, x->lookup_method, &other, out);
}

static StepResult redirect_to_slash(Exchange *x)
{
    bool slashed = x->raw_path.ptr[x->raw_path.len - 1] == '/';
    Slice path = slashed ? slice_take(x->raw_path, x->raw_path.len - 1) : x->raw_path;

    header_add(&x->out, "Location",
               arena_printf(x->mem, SLICE_FMT "%s%s" SLICE_FMT, SLICE_ARG(path), slashed ? "" : "/",
                            x->raw_query.len ? "?" : "", SLICE_ARG(x->raw_query)));
    return exchange_answer(x, slice_eq_cstr(x->lookup_method, "GET") ? 301 : 308, NULL, SLICE_LIT(""));
}

static int dialect_of(const void *target)
{
    return ((const Operation *)target)->dialect;
}

/* Where all contracts are served, a path that is not there belongs to the one whose paths are all around it. Returns
 * the profile whose manner it has. */
static const Profile *take_manner(Exchange *x)
{
    const Operation *near =
        x->profile->keeps_dialects ? routes_near(tables_routes(x->tables), &x->path, dialect_of) : NULL;
    const Profile *manner = near ? profile_of_dialect(near->dialect) : NULL;

    if (!manner)
        return x->profile;
    set_dialect(x, near->dialect);
    return manner;
}

/* Strangers learn nothing about such a profile's paths, not even that there is none. */
static bool tells_strangers_first(const Exchange *x, const Profile *p)
{
    return p->strangers_first && x->path.count > 2 && slice_eq_cstr(x->path.segments[0], "api") &&
           slice_eq_cstr(x->path.segments[1], "v1") &&
           !(p->strangers_except && slice_eq_cstr(x->path.segments[2], p->strangers_except));
}

static StepResult answer_unmatched(Exchange *x)
{
    const void *target = NULL;
    const char *allow = routes_allow(tables_routes(x->tables), x->mem, &x->path, &target);
    bool api = x->path.count > 1 && slice_eq_cstr(x->path.segments[0], "api");
    const char *key = "NOT_FOUND";

    counter_add(x->gateway->metrics.unmatched, 1);
    if (allow && !x->profile->hides_methods && !(x->profile->strangers_first && api)) {
        /* The path is known: its own dialect says so. */
        set_dialect(x, profile_dialect(x->profile, target));
        header_add(&x->out, "Allow", allow);
        key = "METHOD_NOT_ALLOWED";
    }
    return exchange_fail_no_route(x, key);
}

/* --- preflights -------------------------------------------------------------------------------------------------- */
static CorsRequest cors_request(const Exchange *x)
{
    return (CorsRequest){.origin = exchange_header(x, "origin"),
                         .method = exchange_header(x, "access-control-request-method"),
                         .headers = exchange_header(x, "access-control-request-headers"),
                         .with_credentials = exchange_header(x, "authorization") || exchange_header(x, "cookie")};
}

static bool answer_options(Exchange *x, StepResult *out)
{
    const Profile *profile = x->profile;
    CorsRequest rq = cors_request(x);
    const char *allow;
    CorsAnswer answer;

    if (strcmp(x->method, "OPTIONS") != 0)
        return false;
    if (!rq.method && routes_match(tables_routes(x->tables), x->mem, x->lookup_method, &x->path, &x->match))
        return false; /* an rpc of its own */
    if (rq.method || profile->options_anywhere) {
        answer = cors_preflight(x->gateway->cors, profile->cors, &rq, x->mem, &x->out);
        x->cors_done = true;
        *out = exchange_answer(x, answer.status, answer.body ? "text/plain; charset=utf-8" : NULL, slice(answer.body));
        return true;
    }
    allow = profile->options_refused ? NULL : routes_allow(tables_routes(x->tables), x->mem, &x->path, NULL);
    if (!allow)
        return false;
    header_add(&x->out, "Allow", allow);
    *out = exchange_answer(x, 204, NULL, SLICE_LIT(""));
    return true;
}

/* --- finding what it is about ------------------------------------------------------------------------------------ */
static Slice looked_up_path(const Exchange *x)
{
    if (x->profile->front && slice_eq_cstr(x->raw_path, "/"))
        return slice(x->profile->front);
    return x->profile->checkup && slice_eq_cstr(x->raw_path, "/health") ? slice(x->profile->checkup) : x->raw_path;
}

static StepResult find_operation(Exchange *x)
{
    const RouteTree *routes = tables_routes(x->tables);
    RouteMatch other;
    StepResult result;

    if (!routes_split(x->mem, looked_up_path(x), &x->path))
        return exchange_fail_with(x, "INVALID_ARGUMENT", "the path is not valid percent-encoded UTF-8");
    if (answer_options(x, &result))
        return result;
    if ((strcmp(x->method, "HEAD") == 0 && routes_match(routes, x->mem, SLICE_LIT("HEAD"), &x->path, &x->match)) ||
        routes_match(routes, x->mem, x->lookup_method, &x->path, &x->match)) {
        take_operation(x);
        return STEP_NEXT;
    }
    if (match_other_slash(x, &other)) {
        const Operation *op = other.target;

        if (dialect_get(op->dialect)->slash_tolerant) {
            x->match = other;
            take_operation(x);
            return STEP_NEXT;
        }
        if (x->profile->slash_redirects)
            return redirect_to_slash(x);
    }
    return STEP_NEXT; /* own paths, or none: with the body read */
}

static bool needs_credential(const Exchange *x)
{
    return x->op && x->op->caller >= ATRIUM__CALLER_POLICY__USER;
}

static StepResult refuse_stranger(Exchange *x, AuthFault fault)
{
    if (x->dialect->www_authenticate)
        header_add(&x->out, "WWW-Authenticate", "Bearer");
    return exchange_fail_with(x, "UNAUTHENTICATED",
                              x->dialect->auth_texts[fault] ? x->dialect->auth_texts[fault]
                                                            : x->dialect->auth_texts[AUTH_FAULT_INVALID]);
}

/* What can be told from the head alone, so that no body is kept for it. */
static StepResult check_head(Exchange *x)
{
    uint32_t max_bytes = x->op && !x->op->socket ? x->op->max_bytes : DISCARD_MAX_BYTES;

    if (!x->chunked && !exchange_is_relayed(x) && x->content_length > max_bytes)
        return exchange_fail(
            x, (Failure){.key = "PAYLOAD_TOO_LARGE", .text = "the request body is too large", .max_bytes = max_bytes});
    if (needs_credential(x) && !x->dialect->syntax_before_auth && x->credential != CREDENTIAL_GIVEN)
        return refuse_stranger(x, x->credential == CREDENTIAL_NONE ? AUTH_FAULT_MISSING : AUTH_FAULT_MALFORMED);
    return STEP_NEXT;
}

bool exchange_begin(Exchange *x, const char *method, const char *version)
{
    Gateway *g = x->gateway;
    const char *bad;
    int status = 0; /* the kind's own */

    x->begun = true;
    x->method = method;
    x->http_1_1 = strcmp(version, "HTTP/1.1") == 0;
    x->lookup_method = slice(strcmp(method, "HEAD") == 0 ? "GET" : method);
    bad = head_read(x, method, version, &status);
    x->profile = profiles_find(g->profiles, slice(exchange_header(x, "host")), x->port);
    set_dialect(x, x->profile->dialect);
    take_request_id(x);
    take_client(x);
    take_trace(x);
    x->body = strbuf_new(x->mem, SIZE_MAX);
    if (bad) {
        counter_add(g->metrics.refused_framing, 1);
        x->unread = true; /* nobody knows where the next request begins */
        (void)exchange_fail(x, (Failure){.key = "INVALID_ARGUMENT", .http = status, .text = bad});
        return true;
    }
    if (find_operation(x) == STEP_NEXT) {
        if (x->op)
            request_find_credential(x);
        (void)check_head(x); /* answers, or not: x->answered tells */
    }
    return true;
}

/* --- the body ---------------------------------------------------------------------------------------------------- */
bool exchange_is_refused_early(const Exchange *x)
{
    return x->answered && (x->unread || (x->has_body && (x->expects || x->content_length > DISCARD_MAX_BYTES)));
}

bool exchange_take_body(Exchange *x, const char *data, size_t len)
{
    Gateway *g = x->gateway;

    x->received += len;
    if (x->answered || !x->op)
        return x->received <= DISCARD_CHUNKED_MAX_BYTES; /* only a chunked one can be that long here */
    if (x->received > x->op->max_bytes) {
        (void)exchange_fail(x, (Failure){.key = "PAYLOAD_TOO_LARGE",
                                         .text = "the request body is too large",
                                         .max_bytes = x->op->max_bytes});
        return true;
    }
    if (g->body_bytes + (int64_t)len > g->settings->body_memory_bytes) {
        (void)exchange_fail(x,
                            (Failure){.key = "UNAVAILABLE", .text = "too many uploads at a time", .retry_after_s = 1});
        return true;
    }
    g->body_bytes += (int64_t)len;
    x->body_counted += (int64_t)len;
    strbuf_append(&x->body, slice_of(data, len));
    return true;
}

/* --- the steps --------------------------------------------------------------------------------------------------- */
static StepResult answer_own_paths(Exchange *x)
{
    StepResult result;

    if (x->op)
        return STEP_NEXT;
    if (own_path(x, &result))
        return result;
    if (!tells_strangers_first(x, take_manner(x)))
        return answer_unmatched(x);
    request_find_credential(x);
    return x->credential == CREDENTIAL_GIVEN
               ? STEP_NEXT
               : refuse_stranger(x, x->credential == CREDENTIAL_NONE ? AUTH_FAULT_MISSING : AUTH_FAULT_MALFORMED);
}

/* Broken JSON, in dialects that tell even strangers. Other faults are kept for later. */
static StepResult check_syntax(Exchange *x)
{
    if (!x->op || x->op->bytes || x->op->socket || !x->dialect->syntax_before_auth)
        return STEP_NEXT;
    request_transcode(x);
    if (x->fault && x->fault->fault_count && strcmp(x->fault->faults[0].kind, "json_invalid") == 0)
        return exchange_fail(x, *x->fault);
    if (x->fault && x->fault->from_router)
        return exchange_fail(x, *x->fault);
    return STEP_NEXT;
}

/* Tokens are of the login; what has none, of the user. */
static Slice csrf_owner(Exchange *x, const Identity *identity)
{
    return slice(identity->login_id[0] ? arena_strdup(x->mem, identity->login_id)
                                       : arena_printf(x->mem, "user %" PRId64, identity->user_id));
}

static StepResult take_verdict(Exchange *x, AuthVerdict verdict, const Identity *identity)
{
    switch (verdict) {
    case AUTH_GOOD:
        x->user_id = identity->user_id;
        x->role = identity->role;
        x->key_id = identity->api_key ? arena_strdup(x->mem, identity->login_id) : NULL;
        x->rate_tier = arena_strdup(x->mem, identity->rate_tier);
        x->csrf_owner = csrf_owner(x, identity);
        x->has_login = identity->login_id[0] != '\0';
        if (x->has_login)
            x->login = login_key(slice(identity->login_id));
        if (x->op && x->op->socket) {
            x->login_id = arena_strdup(x->mem, identity->login_id);
            auth_keep_login(x->gateway->auth, identity);
        }
        if (x->op) {
            x->lacks_permission = !identity_may(identity, x->op);
            x->caller_header = arena_strdup(x->mem, auth_caller_header(x->gateway->auth, identity, x->op));
        }
        return STEP_NEXT;
    case AUTH_UNAVAILABLE:
        return exchange_fail(
            x,
            (Failure){.key = "UNAVAILABLE", .text = "credentials cannot be checked at the moment", .retry_after_s = 1});
    case AUTH_WAIT:
        return STEP_WAIT;
    case AUTH_BAD:
    case AUTH_EXPIRED:
        break;
    }
    if (x->op && !needs_credential(x))
        return STEP_NEXT; /* OPTIONAL: a bad credential is as none */
    return refuse_stranger(x, verdict == AUTH_EXPIRED ? AUTH_FAULT_EXPIRED : AUTH_FAULT_INVALID);
}

static void verdict_came(void *data, AuthVerdict verdict, const Identity *identity)
{
    Exchange *x = data;

    if (take_verdict(x, verdict, identity) == STEP_NEXT)
        exchange_continue(x);
}

static StepResult authenticate(Exchange *x)
{
    Identity identity;
    AuthVerdict verdict;

    if (x->op && x->op->caller == ATRIUM__CALLER_POLICY__ANYONE)
        return STEP_NEXT;
    if (x->credential != CREDENTIAL_GIVEN) {
        if (!needs_credential(x))
            return STEP_NEXT;
        return refuse_stranger(x, x->credential == CREDENTIAL_NONE ? AUTH_FAULT_MISSING : AUTH_FAULT_MALFORMED);
    }
    verdict = auth_check(x->gateway->auth, x->token, verdict_came, x, &identity);
    return take_verdict(x, verdict, &identity);
}

/* Only a page that may read our answers has the token. */
static bool has_csrf_token(const Exchange *x)
{
    const char *token = exchange_header(x, "x-csrf-token");

    return token && csrf_matches(x->gateway->csrf, x->mem, x->csrf_owner, clock_unix_ms(x->gateway->service->clock),
                                 slice(token));
}

/* A page of ours, or one whose pages may act with a user's cookies. */
static bool is_known_origin(const Exchange *x, const char *origin)
{
    const char *host = exchange_header(x, "host"), *scheme_end = strstr(origin, "://");

    return (scheme_end && host && strcmp(scheme_end + 3, host) == 0) || cors_origin_listed(x->gateway->cors, origin);
}

/* A page of another origin can make a browser send a cookie, but neither an Authorization header nor what it cannot
 * read. */
static bool is_forgeable(const Exchange *x)
{
    const char *origin = exchange_header(x, "origin");

    if (!x->by_cookie || slice_eq_cstr(x->lookup_method, "GET") || has_csrf_token(x))
        return false;
    return !origin || !is_known_origin(x, origin);
}

/* Where cookies are credentials, a form of another origin could log a browser in as whom that page likes. Forms cannot
 * be JSON, and for that a browser asks first. */
static bool is_foreign_form(const Exchange *x)
{
    const char *origin = exchange_header(x, "origin");

    return x->op->caller == ATRIUM__CALLER_POLICY__ANYONE && (x->dialect->cookie || x->op->cookie) && origin &&
           !slice_eq_cstr(x->lookup_method, "GET") && !is_known_origin(x, origin) && !request_is_json(x);
}

static StepResult authorize(Exchange *x)
{
    if (!x->op)
        return answer_unmatched(x); /* a known caller may know that there is nothing */
    if (x->user_id && is_forgeable(x))
        return exchange_fail_with(x, "CSRF_FAILURE",
                                  "a cookie alone does not allow this: send X-CSRF-Token, or a known Origin");
    if (is_foreign_form(x))
        return exchange_fail_with(x, "CSRF_FAILURE", "from another origin: as application/json only");
    if ((x->op->caller == ATRIUM__CALLER_POLICY__OPERATOR && x->role < ROLE_OPERATOR) ||
        (x->op->caller == ATRIUM__CALLER_POLICY__ADMIN && x->role < ROLE_ADMIN))
        return exchange_fail_with(x, "PERMISSION_DENIED",
                                  x->op->caller == ATRIUM__CALLER_POLICY__ADMIN ? "for administrators only"
                                                                                : "for operators only");
    if (needs_credential(x) && x->lacks_permission)
        return exchange_fail_with(x, "PERMISSION_DENIED", "you lack the permission for this");
    return STEP_NEXT;
}

static StepResult refuse_too_many(Exchange *x)
{
    return exchange_fail(x, (Failure){.key = "RATE_LIMITED",
                                      .text = "too many requests, please try again later",
                                      .retry_after_s = (uint32_t)((x->rate.reset_ms + 999) / 1000)});
}

static void rate_came(void *data, RateDecision decision)
{
    Exchange *x = data;

    x->rate = decision;
    x->has_rate = true;
    if (decision.allowed)
        exchange_continue(x);
    else
        (void)refuse_too_many(x);
}

static void count_as(const Exchange *x, int by, StrBuf *key)
{
    Address network = address_network(&x->client);
    char text[ADDRESS_TEXT_BYTES];

    if (by == RATE_BY_CALLER && x->key_id) {
        strbuf_printf(key, "k%s", x->key_id);
    } else if (by != RATE_BY_ADDRESS && x->user_id) {
        strbuf_printf(key, "u%" PRId64, x->user_id);
    } else {
        address_format(&network, text);
        strbuf_append_cstr(key, text);
    }
}

Slice exchange_caller(const Exchange *x)
{
    StrBuf key = strbuf_new(x->mem, RATES_KEY_MAX_BYTES);

    count_as(x, RATE_BY_CALLER, &key);
    return strbuf_slice(&key);
}

static StepResult limit(Exchange *x)
{
    const RateRule *rule = x->op->rate ? rate_rule_for(x->op->rate, x->rate_tier) : NULL;
    StrBuf key;

    if (!rule || rule->limit == 0)
        return STEP_NEXT;
    key = strbuf_new(x->mem, RATES_KEY_MAX_BYTES);
    strbuf_printf(&key, "%s|%s|", rule->name, rule->per_path ? x->op->path : rule->per_rpc ? x->op->rpc : "");
    count_as(x, (int)rule->by, &key);
    if (!rates_take(x->gateway->rates, rule, strbuf_slice(&key), loop_now_ms(x->gateway->loop), rate_came, x, &x->rate))
        return STEP_WAIT;
    x->has_rate = true;
    return x->rate.allowed ? STEP_NEXT : refuse_too_many(x);
}

static StepResult limit_first(Exchange *x)
{
    return x->dialect->validates_before_rate ? STEP_NEXT : limit(x);
}

static StepResult transcode(Exchange *x)
{
    if (!x->transcoded && !x->op->bytes && !x->op->socket)
        request_transcode(x);
    return x->fault ? exchange_fail(x, *x->fault) : STEP_NEXT;
}

static StepResult limit_last(Exchange *x)
{
    return x->dialect->validates_before_rate ? limit(x) : STEP_NEXT;
}

/* It may have happened: only where a second try does no harm is the client asked for one. */
static StepResult answer_lost(Exchange *x)
{
    if (x->op->safe_again || (x->op->idempotency_key && exchange_header(x, "idempotency-key")))
        return exchange_fail(
            x, (Failure){.key = "UNAVAILABLE", .text = "the service was lost meanwhile", .retry_after_s = 1});
    return exchange_fail_with(x, "DEADLINE_EXCEEDED", "the service was lost meanwhile; it may have happened");
}

/* Some clients expect on their socket what they did before they have the answer: it is made, and told later. */
static void hold_answer(Exchange *x, natsMsg *msg)
{
    const char *after = bus_header(msg, "Atrium-After");

    if (after && !bus_header(msg, "Nats-Service-Error-Code"))
        (void)ring_hold(x, after, exchange_resume);
}

static void reply_came(void *data, UpstreamOutcome outcome, natsMsg *msg)
{
    Exchange *x = data;

    if (outcome == UPSTREAM_REPLIED) {
        hold_answer(x, msg);
        (void)exchange_answer_reply(x, msg);
    } else if (outcome == UPSTREAM_NOBODY)
        (void)exchange_fail(x, (Failure){.key = "UNAVAILABLE",
                                         .text = arena_printf(x->mem, "%s is not available", x->op->domain),
                                         .retry_after_s = 1});
    else if (outcome == UPSTREAM_LOST)
        (void)answer_lost(x);
    else
        (void)exchange_fail_with(x, "DEADLINE_EXCEEDED", "no answer in time; it may have happened");
}

StepResult exchange_fail_send(Exchange *x, Err e)
{
    if (e.reason == &PAYLOAD_TOO_LARGE)
        return exchange_fail(
            x,
            (Failure){.key = "PAYLOAD_TOO_LARGE", .text = "the request is too large", .max_bytes = x->op->max_bytes});
    return exchange_fail(x, (Failure){.key = e.reason == &INVALID_ARGUMENT ? "INVALID_ARGUMENT" : "UNAVAILABLE",
                                      .text = e.reason == &INVALID_ARGUMENT ? arena_strdup(x->mem, e.text)
                                                                            : "the service cannot be reached",
                                      .retry_after_s = e.reason == &INVALID_ARGUMENT ? 0 : 1});
}

static StepResult send_to_service(Exchange *x)
{
    Err e;

    if (x->op->bytes)
        return relay_start(x);
    if (x->op->socket)
        return socket_start(x);
    if (x->op->streams)
        return events_start(x);
    e = request_send(x, reply_came);
    return err_failed(e) ? exchange_fail_send(x, e) : STEP_WAIT;
}

/* The way of a request whose body is complete, or relayed. */
typedef StepResult (*Step)(Exchange *x);
static const Step STEPS[] = {answer_own_paths, check_syntax, authenticate, authorize,
                             limit_first,      transcode,    limit_last,   send_to_service};

void exchange_run(Exchange *x)
{
    while (!x->answered && x->step < ARRAY_LEN(STEPS)) {
        StepResult result = STEPS[x->step](x);

        x->step++;
        if (result == STEP_WAIT)
            return;
    }
}

void exchange_continue(Exchange *x)
{
    exchange_run(x);
}
