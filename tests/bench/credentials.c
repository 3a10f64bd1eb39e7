/* What it costs the gateway to know whose a credential is: nanoseconds of CPU time, a line each. The bus is left out:
 * what the identity provider would answer about a key is answered here. Linked with the gateway's own files. */
#include <nats/nats.h>
#include <time.h>

#include "atrium/bus.pb-c.h"
#include "services/gateway/auth.h"
#include "shared/api_key.h"
#include "shared/message.h"

enum { WARM_UP = 20000, TURNS = 200000, ENTRIES = 1000, VERIFIED = 10 * ENTRIES, LIFE_S = 3600 };
static const char SECRET[] = "0123456789012345678901234567890123456789";
static const char SEED[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char LOGIN[] = "01a1f9d0-812a-7dc3-99d6-c818edbc95fa";
static const char *const GRANTED[] = {"auth.keys.read", "auth.users.read"};
static const RoleGrants ROLES[] = {{.name = "reader", .permissions = GRANTED, .permission_count = 2},
                                   {.name = "user", .permissions = GRANTED, .permission_count = 1}};

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "credentials: %s\n", what);
    exit(1);
}

/* Of this thread, so that other work on the machine does not count. */
static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Instead of the bus. */
static UpstreamRequest question;
Err upstream_send(Upstream *u, const UpstreamRequest *rq)
{
    (void)u;
    question = *rq;
    return OK;
}

/* What was asked for is a key of user 7 with the role reader. */
static void answer(void)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Atrium__ResolveTokenReply owner = ATRIUM__RESOLVE_TOKEN_REPLY__INIT;
    char role[] = "reader", *roles[] = {role}, tier[] = "agent";
    natsMsg *msg = NULL;
    Slice wire;

    SET(&owner, user_id, 7);
    SET(&owner, role, ROLE_USER);
    SET(&owner, expires_ms, INT64_C(253402300799000));
    SET(&owner, api_key, true);
    owner.login_id = (char *)(uintptr_t)LOGIN;
    owner.rate_tier = tier;
    owner.roles = roles;
    owner.n_roles = 1;
    wire = message_pack(mem, &owner.base);
    check(natsMsg_Create(&msg, "answer", NULL, wire.ptr, (int)wire.len) == NATS_OK, "no message");
    question.done(question.data, UPSTREAM_REPLIED, msg);
    natsMsg_Destroy(msg);
}

static void ignore(void *data, AuthVerdict verdict, const Identity *identity)
{
    (void)data, (void)verdict, (void)identity;
}

static int64_t check_often(Auth *auth, Slice token, int turns, const Operation *op)
{
    int64_t began_ns = cpu_ns();

    for (int i = 0; i < turns; i++) {
        Identity who;

        check(auth_check(auth, token, ignore, NULL, &who) == AUTH_GOOD && identity_may(&who, op), "not known");
    }
    return (cpu_ns() - began_ns) / turns;
}

static void verify_all(Auth *auth, const Slice *tokens)
{
    for (int i = 0; i < VERIFIED; i++) {
        Identity who;

        check(auth_check(auth, tokens[i], ignore, NULL, &who) == AUTH_GOOD, "not verified");
    }
}

/* More tokens than are remembered: each is forgotten before it comes again. */
static int64_t verify_often(Auth *auth, const JwtKey *key, Arena *mem)
{
    Slice *tokens = ARENA_ARRAY(mem, Slice, VERIFIED);
    int64_t now_s = clock_unix_ms(&SYSTEM_CLOCK) / 1000, began_ns;

    for (int i = 0; i < VERIFIED; i++)
        tokens[i] = slice(jwt_mint(key, mem,
                                   &(JwtClaims){.user_id = 1000 + i,
                                                .username = "somebody",
                                                .role = "user",
                                                .login_id = LOGIN,
                                                .issuer = "atrium",
                                                .issued_s = now_s,
                                                .expires_s = now_s + LIFE_S}));
    verify_all(auth, tokens);
    began_ns = cpu_ns();
    verify_all(auth, tokens);
    return (cpu_ns() - began_ns) / VERIFIED;
}

/* The one key that is known. */
static JwsSigner *add_key(JwtKeys *keys, Arena *mem)
{
    uint8_t secret[JWS_PRIVATE_BYTES];
    JwtKeyRow row = {.alg = JWS_EDDSA, .kid = "one"};
    JwsSigner *signer;

    jws_private_make(row.alg, secret);
    check(!err_failed(jws_signer_new(row.alg, slice_of(secret, sizeof(secret)), row.kid, &signer)), "no key");
    row.public_key = jws_signer_public(signer, mem);
    jwt_keys_set(keys, &row, 1);
    return signer;
}

int main(void)
{
    const Operation op = {.permission = "auth.keys.read"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 20);
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    CLEANUP(revocations_stop_at) Revocations *revocations = NULL;
    CLEANUP(grants_stop_at) Grants *grants = NULL;
    CLEANUP(jwt_key_free_at) JwtKey *jwt_key = NULL;
    CLEANUP(jwt_keys_free_at) JwtKeys *jwt_keys = NULL;
    CLEANUP(jws_signer_free_at) JwsSigner *signer = NULL;
    CLEANUP(auth_free_at) Auth *auth = NULL;
    int64_t now_s = clock_unix_ms(&SYSTEM_CLOCK) / 1000, jwt_ns, jws_ns, key_ns, verify_ns;
    Slice jwt, jws, key = slice(api_key_make(mem, API_KEY_COMMONS));
    Identity who;

    check(nats_Open(0) == NATS_OK, "no libnats");
    check(!err_failed(revocations_start(
              &(RevocationsOptions){.clock = &SYSTEM_CLOCK, .metrics = metrics, .age_ms = 1000, .entries_max = 16},
              &revocations)) &&
              !err_failed(grants_start(
                  &(GrantsOptions){
                      .clock = &SYSTEM_CLOCK, .metrics = metrics, .slot = "main", .age_ms = 1000, .changes_max = 16},
                  &grants)) &&
              !err_failed(jwt_key_new(slice(SECRET), &jwt_key)) &&
              !err_failed(jwt_keys_new(
                  &(JwtKeysOptions){.clock = &SYSTEM_CLOCK, .metrics = metrics, .slot = "main", .jwt_secret = SECRET},
                  &jwt_keys)),
          "no start");
    grants_set(grants, ROLES, ARRAY_LEN(ROLES));
    check(!err_failed(auth_new(&(AuthOptions){.clock = &SYSTEM_CLOCK,
                                              .metrics = metrics,
                                              .upstream = (Upstream *)mem, /* is only handed to upstream_send */
                                              .revocations = revocations,
                                              .grants = grants,
                                              .slot = "main",
                                              .jwt_keys = jwt_keys,
                                              .signing_key = SEED,
                                              .caller_ttl_ms = 60000,
                                              .token_cache_ttl_ms = 60000,
                                              .entries_max = ENTRIES},
                               &auth)),
          "no auth");
    jwt = slice(jwt_mint(jwt_key, mem,
                         &(JwtClaims){.user_id = 8,
                                      .username = "somebody",
                                      .role = "user",
                                      .login_id = LOGIN,
                                      .issuer = "atrium",
                                      .issued_s = now_s,
                                      .expires_s = now_s + LIFE_S}));
    signer = add_key(jwt_keys, mem);
    jws = slice(jws_sign(signer, mem,
                         slice(jwt_claims_write(mem, &(JwtClaims){.user_id = 9,
                                                                  .username = "somebody",
                                                                  .role = "user",
                                                                  .login_id = LOGIN,
                                                                  .issuer = "atrium",
                                                                  .issued_s = now_s,
                                                                  .expires_s = now_s + LIFE_S}))));
    check(auth_check(auth, key, ignore, NULL, &who) == AUTH_WAIT, "not asked");
    answer();
    (void)check_often(auth, jwt, WARM_UP, &op);
    (void)check_often(auth, jws, WARM_UP, &op);
    (void)check_often(auth, key, WARM_UP, &op);
    jws_ns = check_often(auth, jws, TURNS, &op);
    jwt_ns = check_often(auth, jwt, TURNS, &op);
    key_ns = check_often(auth, key, TURNS, &op);
    verify_ns = verify_often(auth, jwt_key, mem);
    printf("jwt_remembered %" PRId64 "\njws_remembered %" PRId64 "\nkey_remembered %" PRId64 "\njwt_verified %" PRId64
           "\n",
           jwt_ns, jws_ns, key_ns, verify_ns);
    return 0;
}
