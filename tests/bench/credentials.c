/* What it costs the gateway to know whose a credential is: nanoseconds, a line each. The bus is left out: what the
 * identity provider would answer about a key is answered here. Linked with the gateway's own files. */
#include <nats/nats.h>

#include "atrium/bus.pb-c.h"
#include "services/gateway/auth.h"
#include "shared/api_key.h"
#include "shared/message.h"

enum { WARM_UP = 20000, TURNS = 200000, VERIFIED = 20000, LIFE_S = 3600 };
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
    int64_t began_us = clock_monotonic_us(&SYSTEM_CLOCK);

    for (int i = 0; i < turns; i++) {
        Identity who;

        check(auth_check(auth, token, ignore, NULL, &who) == AUTH_GOOD && identity_may(&who, op), "not known");
    }
    return (clock_monotonic_us(&SYSTEM_CLOCK) - began_us) * 1000 / turns;
}

/* A token that was never seen, each time. */
static int64_t verify_often(Auth *auth, const JwtKey *key, Arena *mem)
{
    Slice *tokens = ARENA_ARRAY(mem, Slice, VERIFIED);
    int64_t now_s = clock_unix_ms(&SYSTEM_CLOCK) / 1000, began_us;

    for (int i = 0; i < VERIFIED; i++)
        tokens[i] = slice(jwt_mint(key, mem,
                                   &(JwtClaims){.user_id = 1000 + i,
                                                .username = "somebody",
                                                .role = "user",
                                                .login_id = LOGIN,
                                                .issuer = "atrium",
                                                .issued_s = now_s,
                                                .expires_s = now_s + LIFE_S}));
    began_us = clock_monotonic_us(&SYSTEM_CLOCK);
    for (int i = 0; i < VERIFIED; i++) {
        Identity who;

        check(auth_check(auth, tokens[i], ignore, NULL, &who) == AUTH_GOOD, "not verified");
    }
    return (clock_monotonic_us(&SYSTEM_CLOCK) - began_us) * 1000 / VERIFIED;
}

int main(void)
{
    const Operation op = {.permission = "auth.keys.read"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 20);
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    CLEANUP(revocations_stop_at) Revocations *revocations = NULL;
    CLEANUP(grants_stop_at) Grants *grants = NULL;
    CLEANUP(jwt_key_free_at) JwtKey *jwt_key = NULL;
    CLEANUP(auth_free_at) Auth *auth = NULL;
    int64_t now_s = clock_unix_ms(&SYSTEM_CLOCK) / 1000, jwt_ns, key_ns, verify_ns;
    Slice jwt, key = slice(api_key_make(mem, API_KEY_COMMONS));
    Identity who;

    check(nats_Open(0) == NATS_OK, "no libnats");
    check(!err_failed(revocations_start(
              &(RevocationsOptions){.clock = &SYSTEM_CLOCK, .metrics = metrics, .age_ms = 1000, .entries_max = 16},
              &revocations)) &&
              !err_failed(grants_start(
                  &(GrantsOptions){
                      .clock = &SYSTEM_CLOCK, .metrics = metrics, .slot = "main", .age_ms = 1000, .changes_max = 16},
                  &grants)) &&
              !err_failed(jwt_key_new(slice(SECRET), &jwt_key)),
          "no start");
    grants_set(grants, ROLES, ARRAY_LEN(ROLES));
    check(!err_failed(auth_new(&(AuthOptions){.clock = &SYSTEM_CLOCK,
                                              .metrics = metrics,
                                              .upstream = (Upstream *)mem, /* is only handed to upstream_send */
                                              .revocations = revocations,
                                              .grants = grants,
                                              .slot = "main",
                                              .jwt_secret = SECRET,
                                              .signing_key = SEED,
                                              .caller_ttl_ms = 60000,
                                              .token_cache_ttl_ms = 60000,
                                              .entries_max = 50000},
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
    check(auth_check(auth, key, ignore, NULL, &who) == AUTH_WAIT, "not asked");
    answer();
    (void)check_often(auth, jwt, WARM_UP, &op);
    (void)check_often(auth, key, WARM_UP, &op);
    jwt_ns = check_often(auth, jwt, TURNS, &op);
    key_ns = check_often(auth, key, TURNS, &op);
    verify_ns = verify_often(auth, jwt_key, mem);
    printf("jwt_remembered %" PRId64 "\nkey_remembered %" PRId64 "\njwt_verified %" PRId64 "\n", jwt_ns, key_ns,
           verify_ns);
    return 0;
}
