/* bytes: one request through its handler. See bytes.h and bytes_internal.h. */
#include "shared/bytes.h"

#include "atrium/options.pb-c.h"
#include "shared/bytes_internal.h"
#include "shared/rpc_internal.h"

/* --- what handlers ask ------------------------------------------------------------------------------------------- */
Request *bytes_request(BytesExchange *x)
{
    return &x->rq;
}

void *bytes_state(const BytesExchange *x)
{
    return x->state;
}

void bytes_set_state(BytesExchange *x, void *state)
{
    x->state = state;
}

const char *bytes_method(const BytesExchange *x)
{
    return x->method;
}

bool bytes_is_head(const BytesExchange *x)
{
    return strcmp(x->method, "HEAD") == 0;
}

Slice bytes_path(const BytesExchange *x)
{
    return x->path;
}

Slice bytes_variable(const BytesExchange *x, const char *name)
{
    for (size_t i = 0; i < x->match.variable_count; i++)
        if (slice_eq_cstr(x->match.variables[i].field, name))
            return x->match.variables[i].value;
    return SLICE_LIT("");
}

bool bytes_query(const BytesExchange *x, const char *name, Slice *out)
{
    Slice rest = x->query, one, key, value, decoded;

    while (rest.len) {
        (void)slice_cut(rest, '&', &one, &rest); /* without one, all of it is the last */
        (void)slice_cut(one, '=', &key, &value); /* without one, there is no value */
        if (percent_decode(x->rq.mem, key, true, &decoded) && slice_eq_cstr(decoded, name) &&
            percent_decode(x->rq.mem, value, true, out))
            return true;
    }
    return false;
}

const char *bytes_header(const BytesExchange *x, const char *name)
{
    return request_header(&x->rq, name);
}

int64_t bytes_length(const BytesExchange *x)
{
    return x->head.chunked ? BYTES_UNKNOWN : (int64_t)MIN(x->head.content_length, (uint64_t)INT64_MAX);
}

void bytes_limit_body(BytesExchange *x, uint64_t max_bytes)
{
    x->limit = max_bytes;
}

uint64_t bytes_received(const BytesExchange *x)
{
    return x->received;
}

Slice bytes_body(const BytesExchange *x)
{
    return strbuf_slice(&x->gathered);
}

BytesOutcome bytes_outcome(const BytesExchange *x)
{
    return (BytesOutcome)atomic_load(&x->outcome);
}

int bytes_status(const BytesExchange *x)
{
    return x->answer.made ? x->answer.status : 0;
}

uint64_t bytes_sent(const BytesExchange *x)
{
    return x->sent;
}

bool bytes_is_cut(const BytesExchange *x)
{
    return atomic_load(&x->cut);
}

/* --- logins ------------------------------------------------------------------------------------------------------ */
static void bind_key(BytesExchange *x, LoginKey login)
{
    if (x->bind)
        x->bind(x, login);
}

void bytes_bind_login(BytesExchange *x, const char *login_id)
{
    if (login_id[0])
        bind_key(x, login_key(slice(login_id)));
}

Err bytes_take_ticket(BytesExchange *x, Slice text, const char *kind, Ticket *out)
{
    Revocations *revocations = x->options->revocations;
    Ticket ticket;

    TRY(ticket_verify(x->options->tickets, x->rq.clock, x->rq.mem, text, kind, &ticket));
    if (ticket.login_id[0] && revocations) {
        LoginKey login = login_key(slice(ticket.login_id));

        if (!revocations_ready(revocations))
            return err_make(&UNAVAILABLE, "it is not known at the moment whose login has ended");
        bind_key(x, login); /* before the look: what ends in between is cut */
        if (revocations_has(revocations, login))
            return err_make(&PERMISSION_DENIED, "this link does not hold, or not any more");
    }
    *out = ticket;
    return OK;
}

/* --- the row ----------------------------------------------------------------------------------------------------- */
Err bytes_routes(Arena *mem, const BytesService *const *services, size_t count, RouteTree **out)
{
    RouteTree *tree = routes_new(mem);

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < services[i]->row_count; j++) {
            const BytesRow *row = &services[i]->rows[j];

            TRY(err_wrap(routes_add(tree, row->method, row->path, row), row->rpc));
        }
    *out = tree;
    return OK;
}

static const BytesRow *match(BytesExchange *x, const RouteTree *routes, const RoutePath *path)
{
    if (routes_match(routes, x->rq.mem, slice(x->method), path, &x->match))
        return x->match.target;
    if (bytes_is_head(x) && routes_match(routes, x->rq.mem, SLICE_LIT("GET"), path, &x->match))
        return x->match.target;
    return NULL;
}

static Err find_row(BytesExchange *x, const RouteTree *routes)
{
    RoutePath *path = ARENA_NEW(x->rq.mem, RoutePath);
    const char *allow;

    if (!routes_split(x->rq.mem, x->path, path))
        return err_make(&INVALID_BODY, "the path is malformed");
    x->row = match(x, routes, path);
    if (x->row) {
        x->rpc = x->row->rpc;
        x->dialect = x->row->dialect;
        return OK;
    }
    allow = routes_allow(routes, x->rq.mem, path, NULL);
    if (!allow)
        return err_make(&NOT_FOUND, "there is nothing here");
    request_set_header(&x->rq, "Allow", allow);
    return err_make(&METHOD_NOT_ALLOWED, "not with this method");
}

/* --- the caller -------------------------------------------------------------------------------------------------- */
static Err believe_caller(BytesExchange *x, const char *header)
{
    const BytesOptions *o = x->options;

    if (!o->verifier)
        return err_make(&UNAUTHENTICATED, "this service takes no callers");
    TRY(caller_verify(o->verifier, x->rq.mem, slice(header), &x->rq.caller));
    if (x->rq.caller.login_id[0] && o->revocations) {
        LoginKey login = login_key(slice(x->rq.caller.login_id));

        /* The gateway looked before it signed; what it did not know by then ends here. */
        bind_key(x, login);
        if (revocations_has(o->revocations, login))
            return err_make(&UNAUTHENTICATED, "the login has ended");
    }
    x->rq.caller_header = header;
    return OK;
}

static const Caller NOBODY = {.kind = CALLER_NOBODY, .username = "", .login_id = "", .service = ""};

static Err find_caller(BytesExchange *x)
{
    const RpcMethod as_method = {.caller = x->row->caller, .permission = x->row->permission};
    const char *header = http_head_get(x->head.fields, x->head.count, "atrium-caller");

    if (x->rq.caller.kind == CALLER_NOBODY)
        x->rq.caller = NOBODY;
    if (header && x->row->caller != RPC_ANYONE) {
        Err e = believe_caller(x, header);

        if (e.reason && x->row->caller != RPC_OPTIONAL)
            return e;
        if (e.reason)
            x->rq.caller = NOBODY;
    }
    return rpc_check_caller(&as_method, &x->rq.caller, true);
}

/* --- the handler's steps ----------------------------------------------------------------------------------------- */
static void set_deadline(BytesExchange *x)
{
    const BytesSettings *s = x->options->settings;

    if (s)
        x->rq.deadline_ms = clock_monotonic_ms(x->rq.clock) + s->step_timeout_ms;
}

static Err check_cut(const BytesExchange *x)
{
    return bytes_is_cut(x) ? err_make(&CANCELLED, "the login has ended, or the service stops") : OK;
}

static Err check_length(const BytesExchange *x, uint64_t length)
{
    if (length > x->limit)
        return err_make(&PAYLOAD_TOO_LARGE, "more than %" PRIu64 " bytes", x->limit);
    return OK;
}

static Err run_begin(BytesExchange *x, const RouteTree *routes)
{
    TRY(find_row(x, routes));
    TRY(find_caller(x));
    x->begun = true;
    set_deadline(x);
    if (x->row->handler->begin)
        TRY(x->row->handler->begin(x));
    if (!x->answer.made && !x->head.chunked)
        TRY(check_length(x, x->head.content_length));
    return OK;
}

void bytes_begin(BytesExchange *x, const RouteTree *routes)
{
    Err e;

    x->limit = BYTES_BODY_MAX_BYTES;
    if (bytes_cors_preflight(x, routes))
        return;
    e = run_begin(x, routes);
    x->gathered = strbuf_new(x->rq.mem, (size_t)MIN(x->limit, (uint64_t)SIZE_MAX - 1));
    if (err_failed(e))
        answer_failure(x, e);
}

static Err take_piece(BytesExchange *x, Slice piece)
{
    x->received += piece.len;
    TRY(check_cut(x));
    TRY(check_length(x, x->received));
    set_deadline(x);
    if (x->row->handler->data)
        return x->row->handler->data(x, piece);
    strbuf_append(&x->gathered, piece);
    return OK;
}

void bytes_take(BytesExchange *x, Slice piece)
{
    Err e = take_piece(x, piece);

    if (err_failed(e))
        answer_failure(x, e);
}

static Err run_end(BytesExchange *x)
{
    TRY(check_cut(x)); /* all may have come before the cut was felt */
    set_deadline(x);
    if (x->row->handler->end)
        TRY(x->row->handler->end(x));
    return x->answer.made ? OK : bytes_answer_empty(x, 204);
}

void bytes_finish(BytesExchange *x)
{
    Err e = run_end(x);

    if (err_failed(e))
        answer_failure(x, e);
}

void bytes_done(BytesExchange *x, BytesOutcome outcome)
{
    atomic_store(&x->outcome, (int)(bytes_is_cut(x) && outcome != BYTES_SENT ? BYTES_CUT : outcome));
    answer_close_source(x);
    if (x->answer.body_is_content && outcome == BYTES_SENT)
        x->sent = x->answer.body.len;
    if (!x->begun)
        return;
    x->begun = false;
    set_deadline(x);
    if (x->row->handler->done)
        x->row->handler->done(x);
}

/* --- for tests of handlers --------------------------------------------------------------------------------------- */
enum { CALL_READ_BYTES = 4096, CALL_BODY_MAX_BYTES = 256 * 1024 * 1024 };

static Err read_file_source(const BytesSource *s, uint64_t at, char *into, size_t len, size_t *out_len)
{
    ssize_t n = pread(s->fd, into, len, (off_t)(s->fd_offset + at));

    if (n < 0)
        return err_errno(&INTERNAL, "read");
    *out_len = (size_t)n;
    return OK;
}

static Err gather_source(BytesExchange *x, StrBuf *into)
{
    const BytesSource *s = &x->answer.source;
    char piece[CALL_READ_BYTES];
    size_t len = 1;

    while (len > 0 && (x->answer.length < 0 || into->len < (size_t)x->answer.length)) {
        size_t want = x->answer.length < 0 ? sizeof(piece) : MIN(sizeof(piece), (size_t)x->answer.length - into->len);

        if (s->fd >= 0)
            TRY(read_file_source(s, into->len, piece, want, &len));
        else
            TRY(s->read(s->data, piece, want, &len));
        strbuf_append(into, slice_of(piece, len));
    }
    return OK;
}

static void feed(BytesExchange *x, Slice body, size_t piece_bytes)
{
    while (body.len && !x->answer.made) {
        Slice piece = slice_take(body, piece_bytes ? piece_bytes : body.len);

        bytes_take(x, piece);
        body = slice_skip(body, piece.len);
    }
    if (!x->answer.made)
        bytes_finish(x);
}

static BytesReply reply_of(BytesExchange *x)
{
    Arena *mem = x->rq.mem;
    BytesReply reply = {.status = x->answer.status, .body = x->answer.body};
    RequestHeader *headers = ARENA_ARRAY(mem, RequestHeader, ANSWER_HEADERS_MAX + ARRAY_LEN(x->rq.reply.headers));
    StrBuf sent = strbuf_new(mem, CALL_BODY_MAX_BYTES);

    for (size_t i = 0; i < x->rq.reply.header_count; i++)
        headers[reply.header_count++] = x->rq.reply.headers[i];
    for (size_t i = 0; i < x->answer.header_count; i++)
        headers[reply.header_count++] = x->answer.headers[i];
    reply.headers = headers;
    if (x->answer.has_source && !bytes_is_head(x)) {
        Err e = gather_source(x, &sent);

        if (err_failed(e))
            x->failure = e;
        reply.body = strbuf_slice(&sent);
        x->sent = sent.len;
    }
    if (bytes_is_head(x))
        reply.body = SLICE_LIT("");
    reply.e = x->failure;
    return reply;
}

BytesReply bytes_call(const BytesService *service, Request *rq, const TicketKeys *tickets, const char *method,
                      const char *path, Slice body, size_t piece_bytes)
{
    const BytesOptions options = {.tickets = tickets};
    BytesExchange *x = ARENA_NEW(rq->mem, BytesExchange);
    RouteTree *routes;
    BytesReply reply;
    Err e = bytes_routes(rq->mem, &service, 1, &routes);

    if (err_failed(e))
        return (BytesReply){.e = e};
    x->rq = *rq;
    x->options = &options;
    x->rpc = "none";
    x->method = method;
    (void)slice_cut(slice(path), '?', &x->path, &x->query); /* without one, all of it is the path */
    x->head = (HttpHead){.has_body = body.len > 0, .content_length = body.len};
    bytes_begin(x, routes);
    if (!x->answer.made)
        feed(x, body, piece_bytes);
    reply = reply_of(x);
    bytes_done(x, err_failed(reply.e) && x->answer.has_source ? BYTES_FAILED : BYTES_SENT);
    return reply;
}
