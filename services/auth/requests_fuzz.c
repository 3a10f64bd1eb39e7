/* Fuzz target: requests of every rpc of auth, decoded and handled on a store in memory. The first byte chooses the rpc,
 * the second who calls, in which profile, and whether what follows is wire bytes or JSON, which the gateway's tables
 * turn into them: those must then be a message of the rpc. */
#include "services/auth/store_fake.h"
#include "shared/json.h"

enum { FILE_MAX_BYTES = 1 << 20, WIRE_MAX_BYTES = 1 << 20, ANN = 4711 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char LOGIN_ID[] = "0197a3c0-0000-7000-8000-000000000001";
static const char *const PROFILES[] = {"all", "chat", "chat-web", "sessions"};
static Fixture *f;
static Arena *forever;
static const TypeTables *types;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void load_types(void)
{
    static char bytes[FILE_MAX_BYTES];
    FILE *file = fopen(FUZZ_REAL_TABLES, "re");
    Atrium__Tables *tables;
    size_t len;

    check(file != NULL);
    len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    tables = atrium__tables__unpack(NULL, len, (const uint8_t *)bytes);
    check(tables && !err_failed(types_load(arena_new(1 << 16), tables, &types)));
    atrium__tables__free_unpacked(tables, NULL);
}

/* False: the gateway would refuse it. */
static bool json_to_request(const RpcMethod *method, Slice json, StrBuf *wire)
{
    const MessageType *type = types_find(types, slice(method->request->name));
    JsonProblems problems;

    return type && json_to_wire(&(JsonReadOptions){.lenient_scalars = json.len & 1}, type, json, wire, &problems);
}

static Request make_request(const RpcMethod *method, uint8_t bits)
{
    const char *profile = PROFILES[bits >> 3 & 3];
    Request rq = bits & 1 ? fake_user_request(f, profile, ANN, LOGIN_ID) : fake_request(f, profile);

    if (method->caller == RPC_GATEWAY || method->caller == RPC_SERVICE)
        rq.caller = (Caller){.kind = method->caller == RPC_GATEWAY ? CALLER_GATEWAY : CALLER_SERVICE,
                             .username = "",
                             .login_id = "",
                             .service = method->caller == RPC_GATEWAY ? "" : "ops"};
    return rq;
}

/* The accounts there are: one that a caller may be, and one with an address. */
static void fill_store(Arena *mem)
{
    static Account ann, bob;
    const FakeStore empty = {.now_us = fake.now_us};

    if (!ann.id) { /* in the fixture's own arena, which stays */
        ann = *fake_account(f, ANN, "ann", NULL, "secret1");
        bob = *fake_account(f, ANN + 1, "bob", "bob@example.com", "secret2");
        forever = f->mem;
    }
    fake = empty;
    f->mem = mem;
    fake.accounts[fake.account_count++] = ann;
    fake.accounts[fake.account_count++] = bob;
}

static void answer(const RpcHandler *handler, Request *rq, const ProtobufCMessage *in)
{
    ProtobufCMessage *out = message_new(f->mem, handler->method->reply), *again;
    Err e = rpc_call(&AUTH_V1_AUTH_SERVICE, rq, handler->method->name, in, out);

    if (err_failed(e))
        /* Whatever is sent, it is never our own fault; stores that have no stand-in say that there is no database. */
        check((strcmp(e.reason->key, "INTERNAL") != 0 || strstr(e.text, "no database")) && utf8_valid(slice(e.text)));
    else
        check(!err_failed(message_unpack(f->mem, handler->method->reply, message_pack(f->mem, out), &again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 14);
    StrBuf wire = strbuf_new(mem, WIRE_MAX_BYTES);
    const RpcHandler *handler;
    ProtobufCMessage *in;
    Request rq;

    if (len < 2)
        return 0;
    if (!f) {
        check(fake_setup((void **)&f) == 0);
        load_types();
    }
    fill_store(mem);
    handler = &AUTH_V1_AUTH_SERVICE.handlers[data[0] % AUTH_V1_AUTH_SERVICE.handler_count];
    if (data[1] & 4) {
        if (!json_to_request(handler->method, slice_of(data + 2, len - 2), &wire))
            return 0;
        check(!err_failed(message_unpack(mem, handler->method->request, strbuf_slice(&wire), &in)));
    } else if (err_failed(message_unpack(mem, handler->method->request, slice_of(data + 2, len - 2), &in))) {
        return 0;
    }
    fake.refresh_outcome = (data[1] >> 5 & 3) % (REFRESH_REUSED + 1);
    fake.resolve_done = fake.replace_done = fake.end_done = data[1] & 128;
    rq = make_request(handler->method, data[1]);
    answer(handler, &rq, in);
    return 0;
}
