/* http_fixture: see http_fixture.h. */
#include "services/gateway/http_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atrium/bus.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "shared/message.h"

/* --- the tables -------------------------------------------------------------------------------------------------- */
typedef struct RouteSpec {
    const char *method, *path, *rpc, *body;
    int caller, dialect;
    uint32_t timeout_ms, status, max_bytes;
    const char *rate;
} RouteSpec;

static const RouteSpec ROUTES[] = {
    {"POST", "/echo/{n}", "Echo", "*", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM, 2000, 200, 1000, ""},
    {"GET", "/echo/{n}", "Echo", "", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM, 2000, 200, 1000, ""},
    {"POST", "/chat", "Echo", "*", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__RETROCAST, 2000, 201, 1000, ""},
    {"POST", "/media", "Echo", "*", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__MEDIAVAULT, 2000, 200, 1000, ""},
    {"POST", "/rag/open", "Echo", "*", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__YOUTUBETALKER, 2000, 200, 1000,
     ""},
    {"POST", "/rag/", "Echo", "*", ATRIUM__CALLER_POLICY__USER, ATRIUM__DIALECT__YOUTUBETALKER, 2000, 200, 1000, ""},
    {"GET", "/who", "Who", "", ATRIUM__CALLER_POLICY__USER, ATRIUM__DIALECT__ATRIUM, 2000, 200, 1000, ""},
    {"GET", "/seen", "Who", "", ATRIUM__CALLER_POLICY__USER, ATRIUM__DIALECT__ATRIUM, 2000, 200, 1000, ""},
    {"GET", "/maybe", "Who", "", ATRIUM__CALLER_POLICY__OPTIONAL, ATRIUM__DIALECT__ATRIUM, 2000, 200, 1000, ""},
    {"GET", "/admin", "Who", "", ATRIUM__CALLER_POLICY__ADMIN, ATRIUM__DIALECT__ATRIUM, 2000, 200, 1000, ""},
    {"GET", "/silent", "Silent", "", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM, 100, 200, 1000, ""},
    {"GET", "/held", "Silent", "", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM, 20000, 200, 1000, ""},
    {"POST", "/held", "Silent", "*", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM, 20000, 200, 1000, ""},
    {"PUT", "/held", "Silent", "*", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM, 20000, 200, 1000, ""},
    {"GET", "/nobody", "Nobody", "", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM, 2000, 200, 1000, ""},
    {"GET", "/fails", "Fails", "", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__RETROCAST, 2000, 200, 1000, ""},
    {"GET", "/limited", "Echo", "", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__RETROCAST, 2000, 200, 1000, "few"},
    {"GET", "/events", "Who", "", ATRIUM__CALLER_POLICY__USER, ATRIUM__DIALECT__TOGATHER, 2000, 200, 1000, ""},
    {"POST", "/events", "Who", "*", ATRIUM__CALLER_POLICY__USER, ATRIUM__DIALECT__TOGATHER, 2000, 200, 1000, ""},
    {"POST", "/portal", "Who", "*", ATRIUM__CALLER_POLICY__USER, ATRIUM__DIALECT__TOGATHER, 2000, 200, 1000, ""},
    {"POST", "/baker", "Baker", "*", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__TOGATHER, 2000, 200, 1000, ""},
    {"GET", "/sessions", "Who", "", ATRIUM__CALLER_POLICY__USER, ATRIUM__DIALECT__STREAMSPACE, 2000, 200, 1000, ""},
    {"GET", "/vault", "Who", "", ATRIUM__CALLER_POLICY__USER, ATRIUM__DIALECT__MEDIAVAULT, 2000, 200, 1000, ""},
    {"DELETE", "/gone", "Empty", "", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM, 2000, 204, 1000, ""},
};
static const RouteSpec LATER = {"GET", "/later", "Echo", "", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM,
                                2000,  200,      1000,   ""};

static Atrium__FieldRow *field_row(Arena *mem, uint32_t number, const char *name, FieldKind kind)
{
    Atrium__FieldRow *row = MESSAGE_NEW(mem, Atrium__FieldRow, atrium__field_row__init);

    SET(row, number, number);
    row->name = row->json_name = arena_strdup(mem, name);
    SET(row, type, kind);
    return row;
}

static Atrium__RouteRow *route_row(Arena *mem, const RouteSpec *spec)
{
    Atrium__RouteRow *row = MESSAGE_NEW(mem, Atrium__RouteRow, atrium__route_row__init);

    row->method = arena_strdup(mem, spec->method);
    row->path = arena_strdup(mem, spec->path);
    row->domain = arena_strdup(mem, "edgetest");
    row->version = arena_strdup(mem, "v1");
    row->rpc = arena_strdup(mem, spec->rpc);
    row->body = arena_strdup(mem, spec->body);
    row->rate = arena_strdup(mem, spec->rate);
    if (strcmp(spec->path, "/seen") == 0)
        row->permission = arena_strdup(mem, "edgetest.see");
    if (strcmp(spec->path, "/portal") == 0)
        row->cookie = arena_strdup(mem, "dev_auth_token");
    SET(row, request, 0);
    SET(row, reply, 0);
    SET(row, caller, (Atrium__CallerPolicy)spec->caller);
    SET(row, dialect, (Atrium__Dialect)spec->dialect);
    SET(row, timeout_ms, spec->timeout_ms);
    SET(row, status, spec->status);
    SET(row, max_bytes, spec->max_bytes);
    if (strcmp(spec->method, "GET") == 0)
        SET(row, idempotency, ATRIUM__IDEMPOTENCY__SAFE);
    else if (strcmp(spec->method, "PUT") == 0)
        SET(row, idempotency, ATRIUM__IDEMPOTENCY__KEY);
    return row;
}

static Atrium__ReasonRow *reason_row(Arena *mem, const char *key, uint32_t http)
{
    Atrium__ReasonRow *row = MESSAGE_NEW(mem, Atrium__ReasonRow, atrium__reason_row__init);

    row->key = arena_strdup(mem, key);
    row->rules = MESSAGE_NEW(mem, Atrium__ReasonRules, atrium__reason_rules__init);
    SET(row->rules, http, http);
    SET(row->rules, bus, 9);
    SET(row->rules, shown, true);
    return row;
}

void write_tables(const char *path, bool later)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    Atrium__Tables file = ATRIUM__TABLES__INIT;
    Atrium__TypeRow *echo = MESSAGE_NEW(mem, Atrium__TypeRow, atrium__type_row__init), *types[] = {echo};
    Atrium__RouteRow *routes[ARRAY_LEN(ROUTES) + 1];
    Atrium__ReasonRow *reasons[] = {reason_row(mem, "edgetest.v1.TOO_ODD", 409),
                                    reason_row(mem, "UNSUPPORTED_MEDIA_TYPE", 400)};
    Atrium__RateClass *few = MESSAGE_NEW(mem, Atrium__RateClass, atrium__rate_class__init), *rates[] = {few};
    Slice wire;
    FILE *out;

    echo->name = arena_strdup(mem, "edgetest.v1.Echo");
    echo->fields = ARENA_ARRAY(mem, Atrium__FieldRow *, 2);
    echo->fields[echo->n_fields++] = field_row(mem, 1, "text", FIELD_STRING);
    echo->fields[echo->n_fields++] = field_row(mem, 2, "n", FIELD_INT32);
    SET(&file, format, TYPES_FORMAT);
    file.types = types;
    file.n_types = 1;
    few->name = arena_strdup(mem, "few");
    SET(few, limit, 2);
    SET(few, window_ms, 60000);
    file.rates = rates;
    file.n_rates = 1;
    for (size_t i = 0; i < ARRAY_LEN(ROUTES); i++)
        routes[file.n_routes++] = route_row(mem, &ROUTES[i]);
    if (later)
        routes[file.n_routes++] = route_row(mem, &LATER);
    file.routes = routes;
    file.reasons = reasons;
    file.n_reasons = ARRAY_LEN(reasons);
    wire = message_pack(mem, &file.base);
    out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(wire.ptr, 1, wire.len, out), wire.len);
    fclose(out);
}

/* --- the service ------------------------------------------------------------------------------------------------- */
static void reply_wire(natsConnection *nc, natsMsg *msg, const void *data, size_t len)
{
    (void)natsConnection_Publish(nc, natsMsg_GetReply(msg), data, (int)len); /* the test notices */
}

static void reply_failure(natsConnection *nc, natsMsg *msg)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Atrium__Status status = ATRIUM__STATUS__INIT;
    natsMsg *reply;
    Slice wire;

    status.reason = arena_strdup(mem, "edgetest.v1.TOO_ODD");
    status.text = arena_strdup(mem, "odd numbers are full");
    SET(&status, retry_after_s, 7);
    wire = message_pack(mem, &status.base);
    if (natsMsg_Create(&reply, natsMsg_GetReply(msg), NULL, wire.ptr, (int)wire.len) != NATS_OK)
        return;
    natsMsgHeader_Set(reply, "Nats-Service-Error-Code", "9");
    natsConnection_PublishMsg(nc, reply);
    natsMsg_Destroy(reply);
}

/* Field 1 with a text. */
static void reply_text(natsConnection *nc, natsMsg *msg, const char *text)
{
    char wire[256];
    size_t len = strlen(text);

    wire[0] = 1 << 3 | 2;
    wire[1] = (char)len;
    memcpy(wire + 2, text, len);
    reply_wire(nc, msg, wire, len + 2);
}

Reports reports;

static void take_report(natsConnection *nc, natsMsg *msg)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    ProtobufCMessage *message;
    const Atrium__KeyUsageReport *report;

    assert_ok(message_unpack(mem, &atrium__key_usage_report__descriptor,
                             slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)), &message));
    report = (const Atrium__KeyUsageReport *)message;
    if (atomic_fetch_add(&reports.tries, 1) == 0) {
        snprintf(reports.id, sizeof(reports.id), "%s", report->report_id);
        reply_failure(nc, msg);
        return;
    }
    if (atomic_load(&reports.taken) == 0)
        atomic_store(&reports.same_again, strcmp(reports.id, report->report_id) == 0);
    for (size_t i = 0; i < report->n_keys; i++) {
        atomic_store(&reports.for_key, strcmp(report->keys[i]->key_id, KEY_ID) == 0);
        atomic_fetch_add(&reports.requests, (int)report->keys[i]->requests);
        atomic_fetch_add(&reports.errors, (int)report->keys[i]->errors);
    }
    atomic_fetch_add(&reports.taken, 1);
    reply_wire(nc, msg, "", 0);
}

atomic_bool key_is_known;

JwsSigner *test_signer(void)
{
    JwsSigner *signer;

    assert_ok(jws_signer_new(JWS_EDDSA, slice_of(KEY_SEED, JWS_PRIVATE_BYTES), "fresh", &signer));
    return signer;
}

static void reply_code(natsConnection *nc, natsMsg *msg, const char *code, const char *reason)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Atrium__Status status = ATRIUM__STATUS__INIT;
    natsMsg *reply;
    Slice wire;

    status.reason = arena_strdup(mem, reason);
    wire = message_pack(mem, &status.base);
    if (natsMsg_Create(&reply, natsMsg_GetReply(msg), NULL, wire.ptr, (int)wire.len) != NATS_OK)
        return;
    natsMsgHeader_Set(reply, "Nats-Service-Error-Code", code);
    natsConnection_PublishMsg(nc, reply);
    natsMsg_Destroy(reply);
}

static void reply_cookies(natsConnection *nc, natsMsg *msg)
{
    natsMsg *reply;

    if (natsMsg_Create(&reply, natsMsg_GetReply(msg), NULL, NULL, 0) != NATS_OK)
        return;
    natsMsgHeader_Add(reply, "Http-Access-Control-Allow-Origin", "*");
    natsMsgHeader_Add(reply, "Http-Set-Cookie", "one=1; Path=/");
    natsMsgHeader_Add(reply, "Http-Set-Cookie", "__Host-two=2; Path=/; Secure");
    natsConnection_PublishMsg(nc, reply);
    natsMsg_Destroy(reply);
}

static void reply_keys(natsConnection *nc, natsMsg *msg)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(jws_signer_free_at) JwsSigner *signer = test_signer();
    Atrium__GetSigningKeysReply reply = ATRIUM__GET_SIGNING_KEYS_REPLY__INIT;
    Atrium__SigningKey key = ATRIUM__SIGNING_KEY__INIT, *keys[] = {&key};
    Slice public = jws_signer_public(signer, mem), wire;

    if (!atomic_load(&key_is_known)) {
        reply_code(nc, msg, "14", "UNAVAILABLE");
        return;
    }
    key.kid = arena_strdup(mem, "fresh");
    key.algorithm = arena_strdup(mem, "EdDSA");
    SET(&key, public_key, ((ProtobufCBinaryData){.len = public.len, .data = (uint8_t *)(uintptr_t) public.ptr}));
    reply.keys = keys;
    reply.n_keys = 1;
    wire = message_pack(mem, &reply.base);
    reply_wire(nc, msg, wire.ptr, wire.len);
}

static void serve(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    const char *subject = natsMsg_GetSubject(msg), *rpc = strrchr(subject, '.') + 1;

    (void)sub, (void)data;
    if (strcmp(rpc, "Echo") == 0) {
        reply_wire(nc, msg, natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
    } else if (strcmp(rpc, "Who") == 0) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
        const char *header = bus_header(msg, "Atrium-Caller");
        Caller caller = {.username = ""};
        char text[64];

        if (header)
            assert_ok(caller_decode(mem, slice(header), &caller));
        snprintf(text, sizeof(text), "%" PRId64, caller.user_id);
        reply_text(nc, msg, text);
    } else if (strcmp(rpc, "Fails") == 0) {
        reply_failure(nc, msg);
    } else if (strcmp(rpc, "Baker") == 0) {
        reply_cookies(nc, msg);
    } else if (strcmp(rpc, "Empty") == 0 || strcmp(rpc, "GetGrants") == 0) {
        reply_wire(nc, msg, "", 0); /* no role grants anything */
    } else if (strcmp(rpc, "ReportKeyUsage") == 0) {
        take_report(nc, msg);
    } else if (strcmp(rpc, "ResolveToken") == 0) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
        Atrium__ResolveTokenReply owner = ATRIUM__RESOLVE_TOKEN_REPLY__INIT;
        Slice body = slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
        bool key = memmem(body.ptr, body.len, KEY, strlen(KEY)) != NULL;
        bool known = key || memmem(body.ptr, body.len, OPAQUE, strlen(OPAQUE)) != NULL;
        char permission[] = "edgetest.see", *permissions[] = {permission};
        Slice wire;

        SET(&owner, user_id, known ? 42 : 0);
        SET(&owner, role, ROLE_USER);
        SET(&owner, expires_ms, clock_unix_ms(&SYSTEM_CLOCK) + 60000);
        SET(&owner, api_key, key);
        owner.login_id = (char *)(uintptr_t)(key ? KEY_ID : "");
        owner.permissions = permissions;
        owner.n_permissions = key;
        wire = message_pack(mem, &owner.base);
        if (known)
            reply_wire(nc, msg, wire.ptr, wire.len);
        else
            reply_code(nc, msg, "16",
                       memmem(body.ptr, body.len, LAPSED, strlen(LAPSED)) ? "auth.v1.SESSION_EXPIRED"
                                                                          : "UNAUTHENTICATED");
    } else if (strcmp(rpc, "GetSigningKeys") == 0) {
        reply_keys(nc, msg);
    }
    natsMsg_Destroy(msg);
}

/* --- set-up ------------------------------------------------------------------------------------------------------ */
int start_all(void **state)
{
    static const char *const SUBJECTS[] = {"edgetest.v1.Echo",   "edgetest.v1.Who",        "edgetest.v1.Fails",
                                           "edgetest.v1.Silent", "edgetest.v1.Empty",      "auth.v1.ResolveToken",
                                           "auth.v1.GetGrants",  "auth.v1.ReportKeyUsage", "auth.v1.GetSigningKeys",
                                           "edgetest.v1.Baker"};
    (void)state;

    edge_prepare();
    write_tables(f.tables, false);
    edge_stream("EVT_AUTH", "evt.auth.>");
    for (size_t k = 0; k < ARRAY_LEN(SUBJECTS); k++)
        edge_serve(SUBJECTS[k], serve);
    assert_ok(gateway_check(&f.common, &f.settings));
    edge_start();
    return 0;
}

/* --- a client that sends bytes as they are ----------------------------------------------------------------------- */
void read_answer(int fd, bool no_body, Answer *out)
{
    size_t len = 0;
    char *length;

    *out = (Answer){.status = 0};
    while (!memmem(out->head, len, "\r\n\r\n", 4)) {
        ssize_t got = len + 1 < sizeof(out->head) ? recv(fd, out->head + len, 1, 0) : -1;

        if (got <= 0) {
            out->closed = true;
            return;
        }
        len += (size_t)got;
    }
    out->status = (int)strtol(out->head + 9, NULL, 10);
    length = strcasestr(out->head, "\r\ncontent-length:");
    if (length && !no_body)
        out->body_len = strtoul(length + 17, NULL, 10);
    assert_true(out->body_len < sizeof(out->body));
    for (size_t at = 0; at < out->body_len;) {
        ssize_t got = recv(fd, out->body + at, out->body_len - at, 0);

        assert_true(got > 0);
        at += (size_t)got;
    }
}

Answer ask_bytes(const char *bytes, size_t len)
{
    int fd = open_connection();
    Answer answer;

    send_bytes(fd, bytes, len);
    read_answer(fd, strncmp(bytes, "HEAD", 4) == 0, &answer);
    close(fd);
    return answer;
}

Answer ask_text(const char *text)
{
    return ask_bytes(text, strlen(text));
}

Answer ask(const char *head)
{
    char text[4096];

    snprintf(text, sizeof(text), "%s\r\nHost: t\r\n\r\n", head);
    return ask_text(text);
}

Answer post(const char *path, const char *type, const char *body)
{
    char text[8192];

    snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: t\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
             path, type, strlen(body), body);
    return ask_bytes(text, strlen(text));
}

void assert_header(const Answer *a, const char *line)
{
    if (!strcasestr(a->head, line))
        fail_msg("no \"%s\" in:\n%s", line, a->head);
}
