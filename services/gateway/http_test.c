/* Tests of the whole edge in one process: raw bytes over TCP on one side, a service of a few lines on the bus on the
 * other. The tables are made here, so that no domain is needed. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atrium/bus.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "services/gateway/exchange.h"
#include "services/gateway/gateway.h"
#include "services/gateway/listener.h"
#include "shared/message.h"
#include "shared/testing.h"

static const char SECRET[] = "0123456789012345678901234567890123456789";
static const char KEY[] = "sel_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA3Jy7iC";
static const char KEY_ID[] = "01a1f9d0-812a-7dc3-99d6-c818edbc95fa";
static const char LAPSED[] = "it-was-good-once";
static const char OPAQUE[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

typedef struct Fixture {
    Arena *mem;
    GatewaySettings settings;
    CommonSettings common;
    Service service;
    void *context;
    pthread_t thread;
    int port;
    natsConnection *nc;
    natsSubscription *subs[12];
    size_t sub_count;
    char tables[64];
} Fixture;
static Fixture f;

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

static void write_tables(const char *path, bool later)
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

/* What came in reports; the first of them is not confirmed. */
static struct {
    atomic_int tries, taken;
    char id[64];
    atomic_int requests, errors;
    atomic_bool same_again, for_key;
} reports;

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

/* Nobody knows the key before the test says so. */
static atomic_bool key_is_known;
static const char KEY_SEED[] = "0123456789abcdef0123456789abcdef";

static JwsSigner *test_signer(void)
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
    } else if (strcmp(rpc, "Empty") == 0) {
        reply_wire(nc, msg, "", 0);
    } else if (strcmp(rpc, "GetGrants") == 0) {
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
static const char *nats_url(void)
{
    const char *url = getenv("TEST_NATS_URL");

    if (!url)
        fail_msg("TEST_NATS_URL is not set: tests/run-units provides it");
    return url;
}

static void *run_gateway(void *data)
{
    loop_run(((Gateway *)data)->loop);
    return NULL;
}

static int start_all(void **state)
{
    static const char *const SUBJECTS[] = {"rpc.edgetest.edgetest.v1.Echo",       "rpc.edgetest.edgetest.v1.Who",
                                           "rpc.edgetest.edgetest.v1.Fails",      "rpc.edgetest.edgetest.v1.Silent",
                                           "rpc.edgetest.edgetest.v1.Empty",      "rpc.edgetest.auth.v1.ResolveToken",
                                           "rpc.edgetest.auth.v1.GetGrants",      "rpc.edgetest.auth.v1.ReportKeyUsage",
                                           "rpc.edgetest.auth.v1.GetSigningKeys", "rpc.edgetest.edgetest.v1.Baker"};
    const char *subjects[] = {"evt.auth.>"};
    jsStreamConfig stream;
    (void)state;

    f = (Fixture){.mem = arena_new(4096)};
    snprintf(f.tables, sizeof(f.tables), "/tmp/gateway-test-%d.tables", getpid());
    write_tables(f.tables, false);
    f.common = (CommonSettings){.bus_url = nats_url(),
                                .bus_user = "",
                                .bus_password = "",
                                .bus_ca_file = "",
                                .slot = "edgetest",
                                .redis_url = "",
                                .shutdown_timeout_ms = 1000};
    f.settings = (GatewaySettings){.server_addr = "127.0.0.1:0",
                                   .hosts = "chat.test=chat,rag.test=rag,media.test=media",
                                   .tables_file = f.tables,
                                   .openapi_file = "",
                                   .asyncapi_file = "",
                                   .docs_dir = "",
                                   .jwt_secret = SECRET,
                                   .jwt_hs256 = true,
                                   .signing_key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                                   .caller_ttl_ms = 60000,
                                   .token_cache_ttl_ms = 1000,
                                   .token_cache_max = 100,
                                   .revocation_age_ms = 86400000,
                                   .revocations_max = 1000,
                                   .rate_limits = "",
                                   .rate_table_max = 100,
                                   .cors_origins = "http://good.example",
                                   .allowed_origins = "",
                                   .trusted_proxies = "127.0.0.1",
                                   .cookie_secure = "auto",
                                   .metrics_from = "127.0.0.0/8",
                                   .environment = "production",
                                   .connections_max = 64,
                                   .backlog = 64,
                                   .connection_memory_bytes = 16384,
                                   .connection_timeout_ms = 10000,
                                   .head_timeout_ms = 10000,
                                   .body_timeout_ms = 10000,
                                   .min_rate_bytes = 1024,
                                   .body_memory_bytes = 1048576};
    f.service = (Service){.name = "gateway",
                          .version = "1",
                          .commit = "c",
                          .build_date = "d",
                          .mem = f.mem,
                          .common = &f.common,
                          .settings = &f.settings,
                          .clock = &SYSTEM_CLOCK,
                          .metrics = metrics_new()};
    assert_ok(cache_new("", "t", NULL, f.service.metrics, &f.service.cache));
    assert_ok(bus_connect(&(BusOptions){.url = f.common.bus_url,
                                        .user = "gateway",
                                        .password = "",
                                        .ca_file = "",
                                        .slot = "edgetest",
                                        .version = "1.0.0",
                                        .threaded = true},
                          5000, &f.service.bus));
    jsStreamConfig_Init(&stream);
    stream.Name = "EVT_AUTH";
    stream.Subjects = subjects;
    stream.SubjectsLen = 1;
    assert_ok(bus_ensure_stream(f.service.bus, &stream));
    assert_int_equal(natsConnection_ConnectTo(&f.nc, f.common.bus_url), NATS_OK);
    for (size_t i = 0; i < ARRAY_LEN(SUBJECTS); i++)
        assert_int_equal(natsConnection_Subscribe(&f.subs[f.sub_count++], f.nc, SUBJECTS[i], serve, NULL), NATS_OK);
    assert_int_equal(natsConnection_Flush(f.nc), NATS_OK);
    assert_ok(gateway_check(&f.common, &f.settings));
    assert_ok(gateway_open(&f.service, &f.context));
    assert_ok(gateway_start(f.context));
    f.port = listener_port(((Gateway *)f.context)->listeners[0]);
    return pthread_create(&f.thread, NULL, run_gateway, f.context);
}

static int stop_all(void **state)
{
    Gateway *g = f.context;
    (void)state;

    loop_stop(g->loop);
    pthread_join(f.thread, NULL);
    gateway_close(f.context);
    for (size_t i = 0; i < f.sub_count; i++)
        bus_unsubscribe(f.subs[i]);
    natsConnection_Close(f.nc);
    natsConnection_Destroy(f.nc);
    bus_close(f.service.bus);
    cache_free(f.service.cache);
    metrics_free(f.service.metrics);
    arena_free(f.mem);
    unlink(f.tables);
    return 0;
}

/* --- a client that sends bytes as they are ----------------------------------------------------------------------- */
static int open_connection(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f.port)};
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

typedef struct Answer {
    int status;
    char head[4096], body[8192];
    size_t body_len;
    bool closed;
} Answer;

/* One answer; `no_body` for HEAD. */
static void read_answer(int fd, bool no_body, Answer *out)
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

static void send_bytes(int fd, const char *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static Answer ask_bytes(const char *bytes, size_t len)
{
    int fd = open_connection();
    Answer answer;

    send_bytes(fd, bytes, len);
    read_answer(fd, strncmp(bytes, "HEAD", 4) == 0, &answer);
    close(fd);
    return answer;
}

static Answer ask_text(const char *text)
{
    return ask_bytes(text, strlen(text));
}

/* `head` without its last empty line. */
static Answer ask(const char *head)
{
    char text[4096];

    snprintf(text, sizeof(text), "%s\r\nHost: t\r\n\r\n", head);
    return ask_text(text);
}

static Answer post(const char *path, const char *type, const char *body)
{
    char text[8192];

    snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: t\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
             path, type, strlen(body), body);
    return ask_bytes(text, strlen(text));
}

static void assert_header(const Answer *a, const char *line)
{
    if (!strcasestr(a->head, line))
        fail_msg("no \"%s\" in:\n%s", line, a->head);
}

/* --- tests ------------------------------------------------------------------------------------------------------- */
static void requests_travel_there_and_back(void **state)
{
    Answer a = post("/echo/5?text=ignored", "application/json", "{\"text\":\"h\\u00e9\",\"n\":9}");
    (void)state;

    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"text\":\"h\303\251\",\"n\":5}"); /* the path wins */
    assert_header(&a, "\r\nX-Content-Type-Options: nosniff\r\n");
    assert_header(&a, "\r\nX-Request-ID: ");
    a = ask("GET /echo/-3?text=a+b%21&text=c&unknown=1 HTTP/1.1\r\nX-Request-ID: my.id-7");
    assert_string_equal(a.body, "{\"text\":\"c\",\"n\":-3}");
    assert_header(&a, "\r\nX-Request-ID: my.id-7\r\n");
    a = ask("GET /echo/1 HTTP/1.1\r\nX-Request-ID: bad id");
    assert_null(strstr(a.head, "bad id"));
    a = ask("HEAD /echo/1 HTTP/1.1");
    assert_int_equal(a.status, 200);
    assert_header(&a, "\r\nContent-Length: 7\r\n");
    a = ask("DELETE /gone HTTP/1.1");
    assert_int_equal(a.status, 204);
    assert_int_equal(a.body_len, 0);
}

static void dialects_differ(void **state)
{
    Answer a = post("/chat", "application/json; charset=utf-8", "{\"TEXT\":\"<b>\"} trailing");
    (void)state;

    assert_int_equal(a.status, 201);
    assert_string_equal(a.body, "{\"text\":\"\\u003cb\\u003e\"}\n");
    a = post("/chat", "text/plain", "{}");
    assert_int_equal(a.status, 400);
    a = post("/chat", "application/json", "[1]");
    assert_int_equal(a.status, 400);
    assert_string_equal(a.body, "{\"error\":{\"code\":\"INVALID_BODY\",\"message\":\"invalid request body\"},"
                                "\"message\":\"invalid request body\"}\n");
    a = post("/chat", "application/json", "");
    assert_int_equal(a.status, 201);
    a = post("/echo/x", "application/json", "{}");
    assert_int_equal(a.status, 400);
    assert_header(&a, "\r\nContent-Type: application/problem+json\r\n");
}

/* The texts of dialects that word faults themselves, and media's headers and line ends. */
static void faults_are_told_in_the_words_of_the_contract(void **state)
{
    static const struct {
        const char *path, *type, *body;
        int status;
        const char *told;
    } CASES[] = {
        {"/media", "", "", 400,
         "\"message\": \"decode request: request_body: missing request body: missing request body\""},
        {"/media", "", "{\"n\":{}}", 400,
         "\"message\": \"decode request: N: invalid json parameter: Input should be a valid integer, unable to parse "
         "string as an integer\",\n  \"details\": null\n}"},
        {"/media", "", "[", 400, "\"message\": \"decode request: the body is no JSON object\""},
        {"/media?n=x", "", "{}", 200, "{}\n"},
        {"/rag/open", "application/json", "", 400, "\"msg\":\"Field required\""},
        {"/rag/open", "text/plain", "{}", 400,
         "\"msg\":\"Input should be a valid dictionary or object to extract fields from\""},
        {"/rag/open", "application/json", "{\"text\":\"\xff\"}", 400,
         "{\"detail\":\"There was an error parsing the body\"}"},
        {"/echo/1", "text/plain", "{}", 400, "\"detail\":\"Content-Type must be application/json\""},
    };
    Answer a;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        a = post(CASES[i].path, CASES[i].type, CASES[i].body);
        assert_int_equal(a.status, CASES[i].status);
        assert_non_null(strstr(a.body, CASES[i].told));
    }
    a = ask_text("POST /media HTTP/1.1\r\nHost: x\r\nX-Correlation-ID: mine\r\nContent-Length: 2\r\n\r\n{}");
    assert_string_equal(a.body, "{}\n");
    assert_header(&a, "\r\nX-Correlation-ID: mine\r\n");
    assert_header(&a, "\r\nX-Encore-Trace-ID: ");
    a = ask_text("PUT /media HTTP/1.1\r\nHost: x\r\n\r\n");
    /* The reasons here are this program's, without dialects: the status is not the contract's, the shape is. */
    assert_int_equal(a.status, 405);
    assert_string_equal(a.body, "{\n  \"code\": \"METHOD_NOT_ALLOWED\",\n  \"message\": \"endpoint not found\",\n  "
                                "\"details\": null\n}");
}

static void health_and_wrong_methods_are_told_as_the_profile_says(void **state)
{
    Answer a = ask_text("GET /health HTTP/1.1\r\nHost: rag.test\r\n\r\n");
    (void)state;

    assert_string_equal(a.body, "{\"status\":\"healthy\",\"service\":\"atrium\",\"environment\":\"production\"}");
    a = ask_text("GET /health HTTP/1.1\r\nHost: chat.test\r\n\r\n");
    assert_string_equal(a.body, "{\"status\":\"ok\"}\n");
    a = ask_text("PUT /health HTTP/1.1\r\nHost: media.test\r\n\r\n");
    assert_int_equal(a.status, 404);
    assert_non_null(strstr(a.body, "\"message\": \"endpoint not found\""));
    a = ask_text("PUT /health HTTP/1.1\r\nHost: rag.test\r\n\r\n");
    assert_int_equal(a.status, 405);
    assert_string_equal(a.body, "{\"detail\":\"Method Not Allowed\"}");
}

static void rag_tells_strangers_of_broken_json_first(void **state)
{
    Answer a = post("/rag", "application/json", "{\"text\":");
    (void)state;

    /* The reasons here are this program's, without dialects: the status is not the contract's, the shape is. */
    assert_non_null(strstr(a.body, "\"type\":\"json_invalid\",\"loc\":[\"body\","));
    a = post("/rag/", "application/json", "{\"text\":5}");
    assert_int_equal(a.status, 401);
    assert_non_null(strstr(a.body, "Not authenticated"));
}

static void unknown_paths_and_methods_are_told(void **state)
{
    Answer a = ask("GET /nothing HTTP/1.1");
    (void)state;

    assert_int_equal(a.status, 404);
    assert_header(&a, "\r\nContent-Type: application/problem+json\r\n");
    a = ask("PUT /echo/1 HTTP/1.1");
    assert_int_equal(a.status, 405);
    assert_header(&a, "\r\nAllow: GET, HEAD, OPTIONS, POST\r\n");
    a = ask("OPTIONS /echo/1 HTTP/1.1");
    assert_int_equal(a.status, 204);
    assert_header(&a, "\r\nAllow: GET, HEAD, OPTIONS, POST\r\n");
    a = ask("GET /echo/%zz HTTP/1.1");
    assert_int_equal(a.status, 400);
    a = ask_text("PUT /echo/1 HTTP/1.1\r\nHost: media.test\r\n\r\n");
    assert_int_equal(a.status, 404);
    assert_non_null(strstr(a.body, "\"message\": \"endpoint not found\""));
    a = ask_text("GET /nothing HTTP/1.1\r\nHost: rag.test:80\r\n\r\n");
    assert_string_equal(a.body, "{\"detail\":\"Not Found\"}");
    a = ask_text("GET /api/v1/x HTTP/1.1\r\nHost: chat.test\r\n\r\n");
    assert_int_equal(a.status, 401);
}

static void ambiguous_requests_are_refused(void **state)
{
#define RAW(text)                                                                                                      \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }
    static const struct {
        const char *bytes;
        size_t len;
    } BAD[] = {
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nTransfer-Encoding: "
            "chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: "
            "2\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
            "chunked\r\n\r\n0\r\n\r\n"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: +2\r\n\r\n{}"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: 2x\r\n\r\n{}"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length : 2\r\n\r\n{}"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX-A: a\0b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX-A: a\0b\r\nX-B: c\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX-A: a\r\n b\r\nX-B: c\r\n\r\n"),
        RAW("GET /echo/1\0x HTTP/1.1\r\nHost: t\r\n\r\n"),
        RAW("GET /echo/1 x HTTP/1.1\r\nHost: t\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX A: b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX(A): b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: chat.test\r\nhost: rag.test\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\nHost: t\n\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\nX-A: b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX-A: a\rX-B: b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX-A: a\001b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: a b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\n\r\n"),
        RAW("G\0T /echo/1 HTTP/1.1\r\nHost: t\r\n\r\n"),
        RAW("<b> /echo/1 HTTP/1.1\r\nHost: t\r\n\r\n"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n"),
    };
#undef RAW
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        int fd = open_connection();
        Answer first, second;

        send_bytes(fd, BAD[i].bytes, BAD[i].len);
        read_answer(fd, false, &first);
        /* Refused, and nothing that follows on this connection is read. MHD itself just closes for some. */
        if (first.status != 400 && !first.closed)
            fail_msg("case %zu: %d %s", i, first.status, first.body);
        read_answer(fd, false, &second);
        if (!second.closed && second.status != 400)
            fail_msg("case %zu: a second answer, %d", i, second.status);
        close(fd);
    }
}

static void connections_live_on(void **state)
{
    static const char THREE[] =
        "GET /echo/1 HTTP/1.1\r\nHost: t\r\n\r\n"
        "POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"
        "POST /echo/3 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    int fd = open_connection();
    Answer a;
    (void)state;

    send_bytes(fd, THREE, sizeof(THREE) - 1);
    read_answer(fd, false, &a);
    assert_string_equal(a.body, "{\"n\":1}");
    read_answer(fd, false, &a);
    assert_int_equal(a.status, 404);
    read_answer(fd, false, &a);
    assert_string_equal(a.body, "{\"n\":3}");
    close(fd);
}

static void bodies_have_a_limit(void **state)
{
    char body[3000], text[4096];
    Answer a;
    (void)state;

    memset(body, ' ', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    a = post("/echo/1", "application/json", body);
    assert_int_equal(a.status, 413);
    snprintf(text, sizeof(text),
             "POST /echo/1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
             strlen(body), body);
    a = ask_bytes(text, strlen(text));
    assert_int_equal(a.status, 413);
    a = ask_text("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999\r\n\r\n");
    assert_int_equal(a.status, 413);
    assert_header(&a, "\r\nConnection: close\r\n");
    /* Also where nobody would read it. */
    a = ask_text("POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999\r\n\r\n");
    assert_int_equal(a.status, 413);
}

static void count_exchanges(void *data)
{
    atomic_size_t *out = data;

    atomic_store(out, ((Gateway *)f.context)->exchange_count);
}

static size_t exchanges_now(void)
{
    atomic_size_t count = SIZE_MAX;
    size_t seen;

    loop_post(((Gateway *)f.context)->loop, count_exchanges, &count);
    while ((seen = atomic_load(&count)) == SIZE_MAX)
        sched_yield();
    return seen;
}

/* libmicrohttpd drops these at different points, and does not tell the end of each. */
static void nothing_stays_of_a_request_that_is_dropped(void **state)
{
    char query[801], text[900];
    (void)state;

    for (size_t i = 0; i < 400; i++)
        memcpy(query + 2 * i, "a&", 3); /* more parameters than are looked at */
    snprintf(text, sizeof(text), "GET /echo/1?%s HTTP/1.1\r\nHost: t\r\n\r\n", query);
    const char *const cases[] = {text, "GET /echo/1 HTTP/1.1\r\nno colon\r\n\r\n",
                                 "GET /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = open_connection();

        send_bytes(fd, cases[i], strlen(cases[i]));
        close(fd);
    }
    assert_int_equal(ask("GET /echo/1 HTTP/1.1").status, 200); /* by now all of them have been looked at */
    for (int64_t end_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + 5000; exchanges_now() > 0;)
        if (clock_monotonic_ms(&SYSTEM_CLOCK) > end_ms)
            fail_msg("%zu requests are still held", exchanges_now());
}

static void heads_of_eight_kilobytes_fit(void **state)
{
    char text[8400];
    size_t len = (size_t)snprintf(text, sizeof(text), "GET /echo/1 HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer ");
    Answer a;
    (void)state;

    memset(text + len, 'x', 8192 - len - 4);
    memcpy(text + 8192 - 4, "\r\n\r\n", 4);
    a = ask_bytes(text, 8192);
    assert_int_equal(a.status, 200);
}

static Answer ask_long(const char *begin, const char *piece, size_t times, const char *end)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    StrBuf text = strbuf_new(mem, 1 << 20);
    Slice whole;

    strbuf_append_cstr(&text, begin);
    for (size_t i = 0; i < times; i++)
        strbuf_append_cstr(&text, piece);
    strbuf_append_cstr(&text, end);
    assert_true(strbuf_finish(&text, &whole));
    return ask_bytes(whole.ptr, whole.len);
}

static void heads_have_limits(void **state)
{
    static const char GET[] = "GET /echo/1 HTTP/1.1\r\nHost: t\r\n", END[] = " HTTP/1.1\r\nHost: t\r\n\r\n";
    Answer a;
    (void)state;

    assert_int_equal(ask_long(GET, "A: b\r\n", HTTP_HEAD_FIELDS_MAX - 1, "\r\n").status, 200);
    a = ask_long(GET, "A: b\r\n", HTTP_HEAD_FIELDS_MAX, "\r\n");
    assert_int_equal(a.status, 431);
    assert_header(&a, "\r\nConnection: close\r\n");
    assert_int_equal(ask_long("GET /echo/1?", "x", HTTP_HEAD_URL_MAX_BYTES - strlen("/echo/1?"), END).status, 200);
    assert_int_equal(ask_long("GET /echo/1?", "x", HTTP_HEAD_URL_MAX_BYTES - strlen("/echo/1?") + 1, END).status, 414);
    assert_int_equal(ask_long("GET /echo/1?", "a&", REQUEST_QUERY_MAX, END).status, 200);
    assert_int_equal(ask_long("GET /echo/1?", "a&", REQUEST_QUERY_MAX + 1, END).status, 400);
}

static void services_that_fail_are_told_apart(void **state)
{
    Answer a = ask("GET /nobody HTTP/1.1");
    (void)state;

    assert_int_equal(a.status, 503);
    assert_header(&a, "\r\nRetry-After: 1\r\n");
    a = ask("GET /silent HTTP/1.1");
    assert_int_equal(a.status, 504);
    a = ask("GET /fails HTTP/1.1");
    assert_int_equal(a.status, 409);
    assert_header(&a, "\r\nRetry-After: 7\r\n");
    assert_string_equal(a.body, "{\"error\":{\"code\":\"TOO_ODD\",\"message\":\"odd numbers are full\"},"
                                "\"message\":\"odd numbers are full\"}\n");
}

static void lose_the_bus(void *data)
{
    Gateway *g = data;

    if (upstream_waiting(g->upstream))
        upstream_lost(g->upstream);
    else
        loop_post(g->loop, lose_the_bus, g); /* the request is still on its way to us */
}

static void what_waits_when_the_bus_is_lost_is_answered_at_once(void **state)
{
    static const struct {
        const char *head;
        int status;
    } ROWS[] = {
        {"GET /held HTTP/1.1", 503},
        {"POST /held HTTP/1.1\r\nContent-Length: 0", 504}, /* it may have happened: nobody is asked to try again */
        {"PUT /held HTTP/1.1\r\nContent-Length: 0", 504},
        {"PUT /held HTTP/1.1\r\nContent-Length: 0\r\nIdempotency-Key: k1", 503},
    };
    int64_t began_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Answer a;

        loop_post(((Gateway *)f.context)->loop, lose_the_bus, f.context);
        a = ask(ROWS[i].head);
        assert_int_equal(a.status, ROWS[i].status);
        if (a.status == 503)
            assert_header(&a, "\r\nRetry-After: 1\r\n");
    }
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - began_ms < 10000);
}

static void limits_count_and_say_so(void **state)
{
    Answer a = ask("GET /limited HTTP/1.1");
    (void)state;

    assert_int_equal(a.status, 200);
    assert_header(&a, "\r\nX-RateLimit-Remaining: 1\r\n");
    assert_header(&a, "\r\nRateLimit-Policy: \"few\";q=2;w=60\r\n");
    a = ask("GET /limited HTTP/1.1");
    assert_int_equal(a.status, 200);
    a = ask("GET /limited HTTP/1.1");
    assert_int_equal(a.status, 429);
    assert_header(&a, "\r\nRetry-After: ");
    assert_header(&a, "\r\nX-RateLimit-Remaining: 0\r\n");
}

static Answer ask_as(const char *path, const char *token)
{
    char head[2048];

    snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nAuthorization: Bearer %s", path, token);
    return ask(head);
}

static void flush_usage(void *data)
{
    key_usage_flush(((Gateway *)data)->key_usage);
}

/* Until so much was told; an answer is here a moment before its request is counted. */
static bool is_told(const atomic_int *what, int wanted)
{
    Gateway *g = f.context;

    for (int i = 0; i < 2000 && atomic_load(what) < wanted; i++) {
        loop_post(g->loop, flush_usage, g);
        nats_Sleep(5);
    }
    return atomic_load(what) == wanted;
}

/* The tail of the revocations must have caught up before credentials can be judged. */
static Answer ask_when_ready(const char *path, const char *token)
{
    Answer a = {.status = 503};

    for (int i = 0; i < 500 && a.status == 503; i++) {
        a = ask_as(path, token);
        if (a.status == 503)
            nats_Sleep(10);
    }
    return a;
}

static void requests_of_keys_are_counted_and_told_until_that_is_confirmed(void **state)
{
    (void)state;
    assert_int_equal(ask_when_ready("/seen", KEY).status, 200);
    assert_int_equal(ask_as("/seen", KEY).status, 200);
    assert_int_equal(ask_as("/who", KEY).status, 403);
    assert_true(is_told(&reports.requests, 3)); /* though the first report was not confirmed */
    assert_true(atomic_load(&reports.same_again) && atomic_load(&reports.for_key));
    assert_true(atomic_load(&reports.tries) > atomic_load(&reports.taken));
    assert_int_equal(atomic_load(&reports.errors), 1);
    assert_int_equal(ask_as("/seen", KEY).status, 200);
    assert_true(is_told(&reports.requests, 4));
}

static void callers_are_known_by_their_tokens(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(jwt_key_free_at) JwtKey *key = NULL;
    int64_t now_s = clock_unix_ms(&SYSTEM_CLOCK) / 1000;
    char login[64], subject[128];
    const char *jwt;
    jsPubAck *ack = NULL;
    jsErrCode code;
    Answer a;
    (void)state;

    snprintf(login, sizeof(login), "edgetest-%d-%" PRId64, getpid(), now_s);
    assert_ok(jwt_key_new(slice(SECRET), &key));
    jwt = jwt_mint(key, mem,
                   &(JwtClaims){.user_id = 7,
                                .username = "ada",
                                .email = "",
                                .role = "user",
                                .login_id = login,
                                .jti = "",
                                .issuer = "",
                                .issued_s = now_s,
                                .expires_s = now_s + 900});
    a = ask("GET /who HTTP/1.1");
    assert_int_equal(a.status, 401);
    assert_header(&a, "\r\nWWW-Authenticate: Bearer\r\n");
    a = ask_when_ready("/who", jwt);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"text\":\"7\"}");
    assert_int_equal(ask_as("/admin", jwt).status, 403);
    a = ask_as("/who", OPAQUE);
    assert_string_equal(a.body, "{\"text\":\"42\"}");
    assert_int_equal(ask_as("/who", "bbbb").status, 401);
    /* A permission opens what asks for it; a key, nothing else. */
    assert_int_equal(ask_as("/seen", jwt).status, 403);
    assert_int_equal(ask_as("/seen", OPAQUE).status, 403);
    a = ask_as("/seen", KEY);
    assert_string_equal(a.body, "{\"text\":\"42\"}");
    assert_int_equal(ask_as("/who", KEY).status, 403);
    a = ask_as("/maybe", "bbbb");
    assert_string_equal(a.body, "{\"text\":\"0\"}");
    a = ask_as("/maybe", jwt);
    assert_string_equal(a.body, "{\"text\":\"7\"}");

    /* The login ends: its token is refused as soon as the event is there. */
    snprintf(subject, sizeof(subject), "evt.auth.login.ended.%s", login);
    assert_int_equal(js_Publish(&ack, bus_jetstream(f.service.bus), subject, "", 0, NULL, &code), NATS_OK);
    jsPubAck_Destroy(ack);
    for (int i = 0; i < 500 && a.status == 200; i++) {
        nats_Sleep(10);
        a = ask_as("/who", jwt);
    }
    assert_int_equal(a.status, 401);
}

/* After callers_are_known_by_their_tokens: by then credentials can be judged. */
static void a_token_waits_for_the_key_that_it_names(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(jws_signer_free_at) JwsSigner *signer = test_signer();
    CLEANUP(jws_signer_free_at) JwsSigner *stranger = NULL;
    int64_t now_s = clock_unix_ms(&SYSTEM_CLOCK) / 1000;
    const JwtClaims claims = {.user_id = 7, .expires_s = now_s + 900};
    const char *jwt = jws_sign(signer, mem, slice(jwt_claims_write(mem, &claims)));
    const char *other = jws_sign(signer, mem, SLICE_LIT("{}"));
    Answer a;
    (void)state;

    /* Who cannot be asked says nothing about the token. */
    assert_int_equal(ask_as("/who", jwt).status, 503);
    atomic_store(&key_is_known, true);
    a = ask_as("/who", jwt);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"text\":\"7\"}");
    assert_int_equal(ask_as("/who", jwt).status, 200);
    assert_int_equal(ask_as("/who", other).status, 401);
    /* Names that nobody knows are refused when the keys are there anew, not before. */
    assert_ok(jws_signer_new(JWS_EDDSA, slice_of(KEY_SEED, JWS_PRIVATE_BYTES), "stale", &stranger));
    other = jws_sign(stranger, mem, slice(jwt_claims_write(mem, &claims)));
    assert_int_equal(ask_as("/who", other).status, 401);
    assert_int_equal(ask_as("/who", other).status, 401);
}

/* --- cookies ----------------------------------------------------------------------------------------------------- */
/* Up to the end of its line or `end`; borrowed from `mem`. */
static char *after(Arena *mem, const Answer *a, const char *begin, char end)
{
    const char *at = strstr(a->head, begin);
    Slice head, rest;

    if (!at)
        fail_msg("no \"%s\" in:\n%s", begin, a->head);
    (void)slice_cut(slice(at + strlen(begin)), end, &head, &rest);
    return slice_cstr(mem, head);
}

static Answer write_by_cookie(const char *path, const char *cookie, const char *more)
{
    char head[1024];

    snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nContent-Length: 0\r\nCookie: other=1; %s=%s%s%s", path, cookie,
             OPAQUE, more[0] ? "\r\n" : "", more);
    return ask(head);
}

static void a_cookie_alone_writes_nothing(void **state)
{
    static const struct {
        const char *more;
        int status;
    } CASES[] = {
        {"", 403},
        {"Origin: http://bad.example", 403},
        {"Origin: null", 403},
        {"X-CSRF-Token: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 403},
        {"X-CSRF-Token:", 403},
        {"Origin: http://t", 200},
        {"Origin: http://good.example", 200},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    char *token, *cookie;
    Answer a;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        a = write_by_cookie("/events", "auth_token", CASES[i].more);
        if (a.status != CASES[i].status)
            fail_msg("%s: %d", CASES[i].more, a.status);
        if (a.status == 403)
            assert_non_null(strstr(a.body, "CSRF_FAILURE"));
    }
    /* What reads tell opens writes, wherever they come from. */
    a = ask(arena_printf(mem, "GET /events HTTP/1.1\r\nCookie: auth_token=%s", OPAQUE));
    assert_int_equal(a.status, 200);
    token = after(mem, &a, "\r\nX-CSRF-Token: ", '\r');
    cookie = after(mem, &a, "\r\nSet-Cookie: csrf=", '\r');
    assert_string_equal(cookie, arena_printf(mem, "%s; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax", token));
    a = write_by_cookie("/events", "auth_token", arena_printf(mem, "X-CSRF-Token: %s", token));
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"text\":\"42\"}\n");
    assert_null(strstr(a.head, "X-CSRF-Token"));
    a = write_by_cookie("/events", "auth_token",
                        arena_printf(mem, "Origin: http://bad.example\r\nX-CSRF-Token: %s", token));
    assert_int_equal(a.status, 200);
    /* Who sends a header himself is asked for nothing. */
    a = ask(arena_printf(mem, "POST /events HTTP/1.1\r\nContent-Length: 0\r\nAuthorization: Bearer %s", OPAQUE));
    assert_int_equal(a.status, 200);
}

/* Else it could log a browser in as somebody else. */
static void a_form_of_another_origin_is_refused_where_cookies_are_credentials(void **state)
{
    static const struct {
        const char *path, *more;
        int status;
    } CASES[] = {
        {"/baker", "Origin: http://bad.example\r\nContent-Type: text/plain", 403},
        {"/baker", "Origin: null\r\nContent-Type: application/x-www-form-urlencoded", 403},
        {"/baker", "Origin: http://bad.example", 403},
        {"/baker", "Origin: http://bad.example\r\nContent-Type: application/json", 200},
        {"/baker", "Origin: http://good.example\r\nContent-Type: text/plain", 200},
        {"/baker", "Origin: http://t\r\nContent-Type: text/plain", 200},
        {"/baker", "Content-Type: text/plain", 200},                               /* no browser's */
        {"/media", "Origin: http://bad.example\r\nContent-Type: text/plain", 400}, /* for its empty body */
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Answer a = ask(arena_printf(mem, "POST %s HTTP/1.1\r\n%s\r\nContent-Length: 0", CASES[i].path, CASES[i].more));

        if (a.status != CASES[i].status)
            fail_msg("%s %s: %d", CASES[i].path, CASES[i].more, a.status);
    }
}

static void an_rpc_may_have_a_cookie_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(write_by_cookie("/portal", "dev_auth_token", "Origin: http://t").status, 200);
    assert_int_equal(write_by_cookie("/portal", "auth_token", "Origin: http://t").status, 401);
    assert_int_equal(write_by_cookie("/events", "dev_auth_token", "Origin: http://t").status, 401);
    assert_int_equal(write_by_cookie("/portal", "dev_auth_token", "").status, 403);
}

static void reads_tell_the_token_in_the_dialects_way(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Answer a = ask_as("/sessions", OPAQUE);
    (void)state;

    assert_int_equal(a.status, 200);
    assert_header(
        &a, arena_printf(mem, "\r\nSet-Cookie: csrf_token=%s; Path=/; ", after(mem, &a, "\r\nX-CSRF-Token: ", '\r')));
    a = ask_as("/who", OPAQUE);
    assert_null(strstr(a.head, "Set-Cookie"));
    a = ask_as("/sessions", "bbbb");
    assert_int_equal(a.status, 401);
    assert_null(strstr(a.head, "Set-Cookie"));
}

typedef struct SettingChange {
    const char *value;
    atomic_bool done;
} SettingChange;

static void change_cookie_secure(void *data)
{
    SettingChange *change = data;

    f.settings.cookie_secure = change->value;
    atomic_store(&change->done, true);
}

/* In the thread that reads it. */
static void set_cookie_secure(const char *value)
{
    SettingChange change = {.value = value};

    loop_post(((Gateway *)f.context)->loop, change_cookie_secure, &change);
    while (!atomic_load(&change.done))
        sched_yield();
}

static void cookies_are_secure_over_tls(void **state)
{
    static const char PLAIN[] = "\r\nSet-Cookie: one=1; Path=/\r\n",
                      SECURE[] = "\r\nSet-Cookie: one=1; Path=/; Secure\r\n";
    static const struct {
        const char *forwarded, *setting, *wanted;
    } CASES[] = {
        {"X-Other: 1", "auto", PLAIN},
        {"X-Forwarded-Proto: http", "auto", PLAIN},
        {"X-Forwarded-Proto: https", "auto", SECURE},
        {"X-Forwarded-Proto: HTTPS", "auto", SECURE},
        {"X-Forwarded-Proto: http, https", "auto", SECURE},
        {"X-Forwarded-Proto: https, http", "auto", PLAIN}, /* the client's own word, before the proxy's */
        {"X-Forwarded-Proto: https", "off", PLAIN},
        {"X-Other: 1", "on", SECURE},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Answer a;

        set_cookie_secure(CASES[i].setting);
        a = ask(arena_printf(mem, "POST /baker HTTP/1.1\r\nContent-Length: 0\r\n%s", CASES[i].forwarded));
        assert_header(&a, CASES[i].wanted);
        assert_header(&a, "\r\nSet-Cookie: __Host-two=2; Path=/; Secure\r\n");
    }
    set_cookie_secure("auto");
}

static void media_tells_five_ways_of_being_nobody(void **state)
{
    static const struct {
        const char *header;
        int status;
        const char *text;
    } CASES[] = {
        {"X-Other: 1", 401, "missing auth param"},
        {"Authorization:", 401, "missing auth param"},
        {"Authorization: Bearer nobody-knows", 401, "invalid session"},
        {"Authorization: nobody-knows", 401, "invalid session"},
        {"Authorization: Bearer", 401, "invalid session"},
        {"Authorization: Bearer it-was-good-once", 401, "session expired"},
        {"Authorization: it-was-good-once", 401, "session expired"},
        {"Authorization: bearer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 200, "42"},
        {"Authorization: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 200, "42"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Answer a = ask(arena_printf(mem, "GET /vault HTTP/1.1\r\n%s", CASES[i].header));

        if (a.status != CASES[i].status || !strstr(a.body, CASES[i].text))
            fail_msg("%s: %d %s", CASES[i].header, a.status, a.body);
    }
    /* Others do not tell the difference. */
    assert_non_null(strstr(ask_as("/sessions", LAPSED).body, "Invalid or expired token"));
}

static void origins_are_answered(void **state)
{
    Answer a = ask("GET /echo/1 HTTP/1.1\r\nOrigin: http://good.example");
    (void)state;

    assert_header(&a, "\r\nAccess-Control-Allow-Origin: http://good.example\r\n");
    a = ask("OPTIONS /echo/1 HTTP/1.1\r\nOrigin: http://good.example\r\nAccess-Control-Request-Method: POST");
    assert_int_equal(a.status, 204);
    assert_header(&a, "\r\nAccess-Control-Allow-Methods: ");
    a = ask("GET /nothing HTTP/1.1\r\nOrigin: http://bad.example");
    assert_null(strcasestr(a.head, "allow-origin"));
}

static void own_paths_answer(void **state)
{
    static const char *const PATHS[] = {"/livez", "/healthz", "/version", "/metrics", "/", "/api/health"};
    Answer a;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++) {
        char head[64];

        if (strcmp(PATHS[i], "/metrics") == 0)
            continue; /* longer than our buffer: the black-box suite reads it */
        snprintf(head, sizeof(head), "GET %s HTTP/1.1", PATHS[i]);
        assert_int_equal(ask(head).status, 200);
    }
    a = ask("POST /livez HTTP/1.1");
    assert_int_equal(a.status, 405);
    assert_header(&a, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
}

static void post_reload(void *data)
{
    gateway_reload(data);
}

static void tables_change_while_serving(void **state)
{
    Answer a = ask("GET /later HTTP/1.1");
    FILE *out;
    (void)state;

    assert_int_equal(a.status, 404);
    out = fopen(f.tables, "w"); /* a file that is not good changes nothing */
    assert_non_null(out);
    fputs("rubbish", out);
    fclose(out);
    loop_post(((Gateway *)f.context)->loop, post_reload, f.context);
    assert_int_equal(ask("GET /later HTTP/1.1").status, 404);
    assert_int_equal(ask("GET /echo/1 HTTP/1.1").status, 200);
    write_tables(f.tables, true);
    loop_post(((Gateway *)f.context)->loop, post_reload, f.context);
    for (int i = 0; i < 500 && a.status != 200; i++)
        a = ask("GET /later HTTP/1.1");
    assert_int_equal(a.status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_travel_there_and_back),
        cmocka_unit_test(dialects_differ),
        cmocka_unit_test(faults_are_told_in_the_words_of_the_contract),
        cmocka_unit_test(health_and_wrong_methods_are_told_as_the_profile_says),
        cmocka_unit_test(rag_tells_strangers_of_broken_json_first),
        cmocka_unit_test(unknown_paths_and_methods_are_told),
        cmocka_unit_test(ambiguous_requests_are_refused),
        cmocka_unit_test(connections_live_on),
        cmocka_unit_test(bodies_have_a_limit),
        cmocka_unit_test(nothing_stays_of_a_request_that_is_dropped),
        cmocka_unit_test(heads_of_eight_kilobytes_fit),
        cmocka_unit_test(heads_have_limits),
        cmocka_unit_test(services_that_fail_are_told_apart),
        cmocka_unit_test(what_waits_when_the_bus_is_lost_is_answered_at_once),
        cmocka_unit_test(limits_count_and_say_so),
        cmocka_unit_test(requests_of_keys_are_counted_and_told_until_that_is_confirmed),
        cmocka_unit_test(callers_are_known_by_their_tokens),
        cmocka_unit_test(a_token_waits_for_the_key_that_it_names),
        cmocka_unit_test(a_cookie_alone_writes_nothing),
        cmocka_unit_test(a_form_of_another_origin_is_refused_where_cookies_are_credentials),
        cmocka_unit_test(an_rpc_may_have_a_cookie_of_its_own),
        cmocka_unit_test(reads_tell_the_token_in_the_dialects_way),
        cmocka_unit_test(cookies_are_secure_over_tls),
        cmocka_unit_test(media_tells_five_ways_of_being_nobody),
        cmocka_unit_test(origins_are_answered),
        cmocka_unit_test(own_paths_answer),
        cmocka_unit_test(tables_change_while_serving),
    };

    return cmocka_run_group_tests(tests, start_all, stop_all);
}
