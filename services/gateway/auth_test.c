/* Tests of credentials: JWTs, revocations, signed identities. Opaque tokens go through http_test.c, with a bus. */
#include "services/gateway/auth.h"

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

static const char SECRET[] = "0123456789012345678901234567890123456789";
static const char SEED[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char LOGIN[] = "01a1f9d0-812a-7dc3-99d6-c818edbc95fa";

static int64_t now_us;
static int64_t read_now(void *context)
{
    (void)context;
    return now_us;
}
static const Clock CLOCK = {.unix_us = read_now, .monotonic_us = read_now};

static const char *const CURATOR[] = {"rag.curate", "media.curate"}, *const OPERATOR[] = {"auth.users.read"};
static const char *const EVERYBODY[] = {"chat.write"};
static const RoleGrants ROLES[] = {
    {.name = "user", .permissions = EVERYBODY, .permission_count = 1},
    {.name = "operator", .permissions = OPERATOR, .permission_count = 1},
    {.name = "curator", .permissions = CURATOR, .permission_count = 2},
};

typedef struct Fixture {
    Arena *mem;
    Metrics *metrics;
    Revocations *revocations;
    Grants *grants;
    JwtKeys *jwt_keys;
    Auth *auth;
    JwtKey *key;
} Fixture;

static void set_up(Fixture *f, size_t entries)
{
    now_us = INT64_C(1800000000) * 1000000;
    f->mem = arena_new(4096);
    f->metrics = metrics_new();
    assert_ok(revocations_start(
        &(RevocationsOptions){.clock = &CLOCK, .metrics = f->metrics, .age_ms = 86400000, .entries_max = 1000},
        &f->revocations));
    assert_ok(grants_start(
        &(GrantsOptions){
            .clock = &CLOCK, .metrics = f->metrics, .slot = "main", .age_ms = 86400000, .changes_max = 1000},
        &f->grants));
    grants_set(f->grants, ROLES, ARRAY_LEN(ROLES));
    assert_ok(jwt_keys_new(
        &(JwtKeysOptions){.clock = &CLOCK, .metrics = f->metrics, .slot = "main", .jwt_secret = SECRET}, &f->jwt_keys));
    assert_ok(auth_new(&(AuthOptions){.clock = &CLOCK,
                                      .metrics = f->metrics,
                                      .revocations = f->revocations,
                                      .grants = f->grants,
                                      .jwt_keys = f->jwt_keys,
                                      .slot = "main",
                                      .signing_key = SEED,
                                      .caller_ttl_ms = 60000,
                                      .token_cache_ttl_ms = 5000,
                                      .entries_max = entries},
                       &f->auth));
    assert_ok(jwt_key_new(slice(SECRET), &f->key));
}

static void tear_down(Fixture *f)
{
    jwt_key_free(f->key);
    auth_free(f->auth);
    jwt_keys_free(f->jwt_keys);
    revocations_stop(f->revocations);
    grants_stop(f->grants);
    metrics_free(f->metrics);
    arena_free(f->mem);
}

static Slice mint_with(Fixture *f, int64_t user_id, const char *role, const char *further, const char *login_id,
                       int64_t life_s)
{
    int64_t now_s = now_us / 1000000;
    const char *const roles[] = {further};

    return slice(jwt_mint(f->key, f->mem,
                          &(JwtClaims){.user_id = user_id,
                                       .username = "ada",
                                       .email = "",
                                       .role = role,
                                       .roles = roles,
                                       .role_count = further ? 1 : 0,
                                       .login_id = login_id,
                                       .jti = "",
                                       .issuer = "atrium",
                                       .issued_s = now_s,
                                       .expires_s = now_s + life_s}));
}

static Slice mint(Fixture *f, int64_t user_id, const char *role, const char *login_id, int64_t life_s)
{
    return mint_with(f, user_id, role, NULL, login_id, life_s);
}

static void good_tokens_are_known_until_they_expire(void **state)
{
    Fixture f;
    Identity who;
    Slice token;
    (void)state;

    set_up(&f, 100);
    token = mint(&f, 7, "admin", LOGIN, 900);
    for (int i = 0; i < 2; i++) { /* verified, then remembered */
        assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_GOOD);
        assert_int_equal(who.user_id, 7);
        assert_int_equal(who.role, ROLE_ADMIN);
        assert_string_equal(who.username, "ada");
        assert_string_equal(who.login_id, LOGIN);
    }
    now_us += INT64_C(900) * 1000000;
    assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_BAD);
    tear_down(&f);
}

static void bad_tokens_are_refused(void **state)
{
    Fixture f;
    Identity who;
    Slice token;
    char *changed;
    (void)state;

    set_up(&f, 100);
    token = mint(&f, 7, "", LOGIN, 900);
    changed = arena_strndup(f.mem, token.ptr, token.len);
    changed[token.len - 3] ^= 1;
    assert_int_equal(auth_check(f.auth, slice(changed), NULL, NULL, &who), AUTH_BAD);
    assert_int_equal(auth_check(f.auth, SLICE_LIT("a.b.c"), NULL, NULL, &who), AUTH_BAD);
    assert_int_equal(auth_check(f.auth, SLICE_LIT(""), NULL, NULL, &who), AUTH_BAD);
    assert_int_equal(auth_check(f.auth, SLICE_LIT("opaque"), NULL, NULL, &who), AUTH_BAD); /* no bus here */
    assert_int_equal(auth_check(f.auth, mint(&f, 7, "emperor", LOGIN, 900), NULL, NULL, &who), AUTH_BAD);
    tear_down(&f);
}

static void a_revoked_login_is_refused_at_once(void **state)
{
    Fixture f;
    Identity who;
    Slice token, other;
    (void)state;

    set_up(&f, 100);
    token = mint(&f, 7, "", LOGIN, 900);
    other = mint(&f, 7, "", "01a1f9d0-812a-7dc3-99d6-c818edbc95fb", 900);
    assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_GOOD);
    revocations_add(f.revocations, login_key(SLICE_LIT("01A1F9D0-812A-7DC3-99D6-C818EDBC95FA")),
                    now_us / 1000 + 86400000);
    assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_BAD);
    assert_int_equal(auth_check(f.auth, other, NULL, NULL, &who), AUTH_GOOD);
    tear_down(&f);
}

static void revocations_are_kept_in_bounds(void **state)
{
    Fixture f;
    char id[64];
    int64_t now_ms;
    (void)state;

    set_up(&f, 100);
    now_ms = now_us / 1000;
    for (int i = 0; i < 5000; i++) {
        snprintf(id, sizeof(id), "login %d", i);
        revocations_add(f.revocations, login_key(slice(id)), now_ms + 1000 + i);
    }
    assert_true(revocations_count(f.revocations) <= 1000);
    assert_true(revocations_has(f.revocations, login_key(SLICE_LIT("login 4999"))));
    assert_false(revocations_has(f.revocations, login_key(SLICE_LIT("login 0")))); /* the oldest go first */
    now_us += INT64_C(6001) * 1000;
    assert_false(revocations_has(f.revocations, login_key(SLICE_LIT("login 4999")))); /* it is over anyway */
    tear_down(&f);
}

static void identities_are_signed_for_a_domain_and_its_dependencies(void **state)
{
    static const char *const CHAT[] = {"chat", "media"}, *const RAG[] = {"rag"};
    const Operation chat = {.domain = "chat", .audience = CHAT, .audience_count = 2};
    const Operation rag = {.domain = "rag", .audience = RAG, .audience_count = 1};
    Fixture f;
    Identity who;
    char *public_key;
    const char *first;
    Caller caller;
    CallerVerifier *media, *auth;
    (void)state;

    set_up(&f, 100);
    assert_ok(caller_public_key(f.mem, slice(SEED), &public_key));
    assert_ok(caller_verifier_new(slice(public_key), "media", &CLOCK, &media));
    assert_ok(caller_verifier_new(slice(public_key), "auth", &CLOCK, &auth));
    assert_int_equal(auth_check(f.auth, mint(&f, 7, "operator", LOGIN, 900), NULL, NULL, &who), AUTH_GOOD);
    first = arena_strdup(f.mem, auth_caller_header(f.auth, &who, &chat));
    assert_ok(caller_verify(media, f.mem, slice(first), &caller));
    assert_int_equal(caller.user_id, 7);
    assert_int_equal(caller.role, ROLE_OPERATOR);
    assert_string_equal(caller.login_id, LOGIN);
    assert_reason(caller_verify(auth, f.mem, slice(first), &caller), &UNAUTHENTICATED);
    assert_string_not_equal(auth_caller_header(f.auth, &who, &rag), first);
    assert_string_equal(auth_caller_header(f.auth, &who, &chat), first); /* kept … */
    now_us += INT64_C(46) * 1000000;
    assert_string_not_equal(auth_caller_header(f.auth, &who, &chat), first); /* … until a quarter of its life is left */
    caller_verifier_free(media);
    caller_verifier_free(auth);
    tear_down(&f);
}

static bool may(Fixture *f, Slice token, const char *permission)
{
    const Operation op = {.permission = permission};
    Identity who;

    assert_int_equal(auth_check(f->auth, token, NULL, NULL, &who), AUTH_GOOD);
    return identity_may(&who, &op);
}

static void roles_grant_permissions(void **state)
{
    static const struct {
        const char *role, *further, *permission;
        bool may;
    } CASES[] = {
        {"", NULL, "chat.write", true},         {"", NULL, "auth.users.read", false},
        {"", "curator", "rag.curate", true},    {"", "curator", "rag.delete", false},
        {"", "emperor", "rag.curate", false},   {"operator", NULL, "auth.users.read", true},
        {"operator", NULL, "chat.write", true}, {"operator", NULL, "rag.curate", false},
        {"admin", NULL, "rag.delete", true},    {"", NULL, "", true},
    };
    Fixture f;
    (void)state;

    set_up(&f, 100);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_int_equal(may(&f, mint_with(&f, 7, CASES[i].role, CASES[i].further, LOGIN, 900), CASES[i].permission),
                         CASES[i].may);
    tear_down(&f);
}

static void what_a_role_grants_changes_for_tokens_that_are_known(void **state)
{
    static const char *const LESS[] = {"media.curate"};
    static const RoleGrants CHANGED[] = {{.name = "curator", .permissions = LESS, .permission_count = 1}};
    static const char *const AUDIENCE[] = {"rag", "media"};
    const Operation op = {.domain = "rag", .audience = AUDIENCE, .audience_count = 2};
    Fixture f;
    Identity who;
    Slice token;
    Caller caller;
    (void)state;

    set_up(&f, 100);
    token = mint_with(&f, 7, "", "curator", LOGIN, 900);
    assert_true(may(&f, token, "rag.curate"));
    assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_GOOD);
    assert_ok(caller_decode(f.mem, slice(auth_caller_header(f.auth, &who, &op)), &caller));
    assert_int_equal(caller.permission_count, 2);
    grants_set(f.grants, CHANGED, 1);
    assert_false(may(&f, token, "rag.curate"));
    assert_true(may(&f, token, "media.curate"));
    assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_GOOD);
    assert_ok(caller_decode(f.mem, slice(auth_caller_header(f.auth, &who, &op)), &caller));
    assert_int_equal(caller.permission_count, 1); /* signed anew */
    tear_down(&f);
}

static void signed_identities_list_what_their_readers_may_need(void **state)
{
    static const char *const RAG[] = {"rag"};
    const Operation op = {.domain = "rag", .audience = RAG, .audience_count = 1};
    Fixture f;
    Identity who;
    Caller caller;
    (void)state;

    set_up(&f, 100);
    assert_int_equal(auth_check(f.auth, mint_with(&f, 7, "operator", "curator", LOGIN, 900), NULL, NULL, &who),
                     AUTH_GOOD);
    assert_ok(caller_decode(f.mem, slice(auth_caller_header(f.auth, &who, &op)), &caller));
    assert_int_equal(caller.permission_count, 1);
    assert_string_equal(caller.permissions[0], "rag.curate");
    tear_down(&f);
}

static void who_holds_too_much_for_a_header_lacks_the_rest(void **state)
{
    static const char *const RAG[] = {"rag"};
    const Operation op = {.domain = "rag", .audience = RAG, .audience_count = 1};
    const char *permissions[100];
    const RoleGrants much = {.name = "curator", .permissions = permissions, .permission_count = 100};
    const char *header;
    Fixture f;
    Identity who;
    Caller caller;
    (void)state;

    set_up(&f, 100);
    for (size_t i = 0; i < ARRAY_LEN(permissions); i++)
        permissions[i] = arena_printf(f.mem, "rag.a_permission_with_a_long_name_number_%zu", i);
    grants_set(f.grants, &much, 1);
    assert_int_equal(auth_check(f.auth, mint_with(&f, 7, "", "curator", LOGIN, 900), NULL, NULL, &who), AUTH_GOOD);
    header = auth_caller_header(f.auth, &who, &op);
    assert_true(strlen(header) < CALLER_HEADER_MAX_BYTES);
    assert_ok(caller_decode(f.mem, slice(header), &caller));
    assert_true(caller.permission_count > 40 && caller.permission_count < 100);
    tear_down(&f);
}

/* There is no bus here: whatever has to be asked is not available. */
static void tokens_from_before_a_change_are_not_believed(void **state)
{
    Fixture f;
    Identity who;
    Slice before, after, other;
    (void)state;

    set_up(&f, 100);
    before = mint(&f, 7, "", LOGIN, 900);
    other = mint(&f, 8, "", LOGIN, 900);
    assert_int_equal(auth_check(f.auth, before, NULL, NULL, &who), AUTH_GOOD);
    now_us += INT64_C(10) * 1000000;
    grants_note_change(f.grants, 7, now_us / 1000);
    assert_int_equal(auth_check(f.auth, before, NULL, NULL, &who), AUTH_UNAVAILABLE);
    assert_int_equal(auth_check(f.auth, other, NULL, NULL, &who), AUTH_GOOD);
    after = mint(&f, 7, "", LOGIN, 900); /* the clocks may differ that much */
    assert_int_equal(auth_check(f.auth, after, NULL, NULL, &who), AUTH_UNAVAILABLE);
    now_us += INT64_C(10) * 1000000;
    after = mint(&f, 7, "", LOGIN, 900);
    assert_int_equal(auth_check(f.auth, after, NULL, NULL, &who), AUTH_GOOD);
    grants_note_change_of_all(f.grants, now_us / 1000);
    assert_int_equal(auth_check(f.auth, after, NULL, NULL, &who), AUTH_UNAVAILABLE);
    assert_int_equal(auth_check(f.auth, other, NULL, NULL, &who), AUTH_UNAVAILABLE);
    tear_down(&f);
}

static void changes_beyond_what_is_remembered_count_for_everybody(void **state)
{
    Fixture f;
    Identity who;
    Slice token;
    int64_t now_ms;
    (void)state;

    set_up(&f, 100);
    token = mint(&f, 5000, "", LOGIN, 900);
    assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_GOOD);
    now_ms = now_us / 1000;
    for (int64_t id = 1; id <= 999; id++)
        grants_note_change(f.grants, id, now_ms);
    assert_true(grants_change_of(f.grants, 999).number > grants_change_of(f.grants, 1).number);
    assert_int_equal(grants_change_of(f.grants, 5000).number, 0);
    grants_note_change(f.grants, 1000, now_ms);
    grants_note_change(f.grants, 1001, now_ms);
    assert_true(grants_change_of(f.grants, 5000).number > 0);
    assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_UNAVAILABLE);
    tear_down(&f);
}

static void changes_older_than_any_token_are_forgotten(void **state)
{
    Fixture f;
    (void)state;

    set_up(&f, 100);
    for (int64_t id = 1; id <= 999; id++)
        grants_note_change(f.grants, id, now_us / 1000);
    now_us += INT64_C(86401) * 1000000;
    for (int64_t id = 2001; id <= 2999; id++)
        grants_note_change(f.grants, id, now_us / 1000);
    assert_int_equal(grants_change_of(f.grants, 7).number, 0);
    assert_true(grants_change_of(f.grants, 2001).number > 0);
    tear_down(&f);
}

static void without_knowing_what_roles_grant_nobody_is_told(void **state)
{
    Fixture f;
    Identity who;
    AuthOptions options;
    CLEANUP(grants_stop_at) Grants *unknown = NULL;
    CLEANUP(auth_free_at) Auth *auth = NULL;
    (void)state;

    set_up(&f, 100);
    assert_ok(grants_start(
        &(GrantsOptions){.clock = &CLOCK, .metrics = f.metrics, .slot = "main", .age_ms = 1, .changes_max = 16},
        &unknown));
    options = (AuthOptions){.clock = &CLOCK,
                            .metrics = f.metrics,
                            .revocations = f.revocations,
                            .grants = unknown,
                            .jwt_keys = f.jwt_keys,
                            .slot = "main",
                            .signing_key = SEED,
                            .caller_ttl_ms = 60000,
                            .entries_max = 16};
    assert_ok(auth_new(&options, &auth));
    assert_int_equal(auth_check(auth, mint(&f, 7, "", LOGIN, 900), NULL, NULL, &who), AUTH_UNAVAILABLE);
    auth_free(MOVE(auth));
    grants_stop(MOVE(unknown));
    tear_down(&f);
}

static void the_memory_of_credentials_is_bounded(void **state)
{
    static const char *const AUDIENCE[] = {"chat"};
    const Operation op = {.domain = "chat", .audience = AUDIENCE, .audience_count = 1};
    Fixture f;
    Identity who;
    (void)state;

    set_up(&f, 16);
    for (int i = 1; i <= 200; i++) {
        assert_int_equal(auth_check(f.auth, mint(&f, i, "", LOGIN, 900), NULL, NULL, &who), AUTH_GOOD);
        assert_int_equal(who.user_id, i);
        assert_non_null(auth_caller_header(f.auth, &who, &op));
    }
    tear_down(&f);
}

/* --- tokens by keys ---------------------------------------------------------------------------------------------- */
typedef struct Signed {
    JwsSigner *signer;
    JwtKeyRow row;
} Signed;

static Signed make_key(Fixture *f, JwsAlgs alg, const char *kid, int64_t until_ms)
{
    uint8_t secret[JWS_PRIVATE_BYTES];
    Signed made = {.row = {.alg = alg, .kid = kid, .until_ms = until_ms}};

    jws_private_make(alg, secret);
    assert_ok(jws_signer_new(alg, slice_of(secret, sizeof(secret)), kid, &made.signer));
    made.row.public_key = jws_signer_public(made.signer, f->mem);
    return made;
}

static Slice mint_by(Fixture *f, const Signed *key, int64_t user_id)
{
    const JwtClaims claims = {
        .user_id = user_id, .role = "operator", .login_id = LOGIN, .expires_s = now_us / 1000000 + 900};

    return slice(jws_sign(key->signer, f->mem, slice(jwt_claims_write(f->mem, &claims))));
}

static void tokens_by_keys_are_good_beside_those_by_the_secret(void **state)
{
    Fixture f;
    Identity who;
    Signed keys[2];
    (void)state;

    set_up(&f, 100);
    keys[0] = make_key(&f, JWS_EDDSA, "one", 0);
    keys[1] = make_key(&f, JWS_ES256, "two", 0);
    /* No key is known, and nobody can be asked. */
    assert_int_equal(auth_check(f.auth, mint_by(&f, &keys[0], 5), NULL, NULL, &who), AUTH_BAD);
    jwt_keys_set(f.jwt_keys, (const JwtKeyRow[]){keys[0].row, keys[1].row}, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(auth_check(f.auth, mint_by(&f, &keys[i], 7 + i), NULL, NULL, &who), AUTH_GOOD);
        assert_int_equal(who.user_id, 7 + i);
        assert_int_equal(who.role, ROLE_OPERATOR);
        assert_string_equal(who.login_id, LOGIN);
    }
    assert_int_equal(auth_check(f.auth, mint(&f, 9, "", LOGIN, 900), NULL, NULL, &who), AUTH_GOOD);
    jws_signer_free(keys[0].signer);
    jws_signer_free(keys[1].signer);
    tear_down(&f);
}

static void a_key_verifies_until_its_end(void **state)
{
    Fixture f;
    Identity who;
    Signed key;
    (void)state;

    set_up(&f, 100);
    key = make_key(&f, JWS_EDDSA, "one", now_us / 1000 + 60000);
    jwt_keys_set(f.jwt_keys, &key.row, 1);
    assert_int_equal(auth_check(f.auth, mint_by(&f, &key, 7), NULL, NULL, &who), AUTH_GOOD);
    now_us += INT64_C(60000) * 1000;
    assert_int_equal(auth_check(f.auth, mint_by(&f, &key, 8), NULL, NULL, &who), AUTH_BAD);
    /* Gone from the list, too. */
    now_us -= INT64_C(1000) * 1000;
    assert_int_equal(auth_check(f.auth, mint_by(&f, &key, 9), NULL, NULL, &who), AUTH_GOOD);
    jwt_keys_set(f.jwt_keys, NULL, 0);
    assert_int_equal(auth_check(f.auth, mint_by(&f, &key, 10), NULL, NULL, &who), AUTH_BAD);
    jws_signer_free(key.signer);
    tear_down(&f);
}

static void the_secret_can_be_out_of_use(void **state)
{
    Fixture f;
    Signed key;
    JwtKeys *keys;
    JwtClaims claims;
    Slice by_public_key;
    (void)state;

    set_up(&f, 100);
    key = make_key(&f, JWS_ES256, "one", 0);
    assert_ok(jwt_keys_new(
        &(JwtKeysOptions){
            .clock = &CLOCK, .metrics = f.metrics, .slot = "main", .jwt_secret = SECRET, .no_secret = true},
        &keys));
    jwt_keys_set(keys, &key.row, 1);
    assert_int_equal(jwt_keys_check(keys, f.mem, mint(&f, 9, "", LOGIN, 900), &claims), JWT_BAD);
    assert_int_equal(jwt_keys_check(keys, f.mem, mint_by(&f, &key, 7), &claims), JWT_GOOD);
    /* HS256 with the public key for a secret: what everybody could make. */
    jwt_key_free(f.key);
    assert_ok(jwt_key_new(key.row.public_key, &f.key));
    by_public_key = mint(&f, 9, "", LOGIN, 900);
    assert_int_equal(jwt_keys_check(keys, f.mem, by_public_key, &claims), JWT_BAD);
    assert_int_equal(jwt_keys_check(f.jwt_keys, f.mem, by_public_key, &claims), JWT_BAD);
    jwt_keys_free(keys);
    jws_signer_free(key.signer);
    tear_down(&f);
}

/* What a live connection is bound to. */
static void a_login_is_known_by_itself_and_outlives_the_token(void **state)
{
    Fixture f;
    Identity who;
    Slice token;
    (void)state;

    set_up(&f, 100);
    token = mint(&f, 9, "operator", LOGIN, 900);
    assert_int_equal(auth_check_login(f.auth, LOGIN, NULL, NULL, &who), AUTH_UNAVAILABLE); /* nobody to ask */
    assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_GOOD);
    auth_keep_login(f.auth, &who);
    assert_int_equal(auth_check_login(f.auth, LOGIN, NULL, NULL, &who), AUTH_GOOD);
    assert_int_equal(who.user_id, 9);
    assert_int_equal(who.role, ROLE_OPERATOR);
    assert_string_equal(who.login_id, LOGIN);
    /* The token has expired: whose it is now, the identity provider has to say. */
    now_us += INT64_C(901) * 1000000;
    assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_BAD);
    assert_int_equal(auth_check_login(f.auth, LOGIN, NULL, NULL, &who), AUTH_UNAVAILABLE);
    /* The end of the login needs nobody to be asked. */
    assert_int_equal(auth_check(f.auth, mint(&f, 9, "", LOGIN, 900), NULL, NULL, &who), AUTH_GOOD);
    auth_keep_login(f.auth, &who);
    revocations_add(f.revocations, login_key(slice(LOGIN)), now_us / 1000 + 1000000);
    assert_int_equal(auth_check_login(f.auth, LOGIN, NULL, NULL, &who), AUTH_BAD);
    /* What is no login is not asked about, and no token finds what is kept of one. */
    assert_int_equal(auth_check_login(f.auth, "", NULL, NULL, &who), AUTH_BAD);
    assert_int_equal(auth_check_login(f.auth, "a.b.c", NULL, NULL, &who), AUTH_BAD);
    assert_int_equal(auth_check(f.auth,
                                SLICE_LIT("\001login "
                                          "x"),
                                NULL, NULL, &who),
                     AUTH_BAD);
    tear_down(&f);
}

static void bad_keys_stop_the_start(void **state)
{
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    const AuthOptions options = {.metrics = metrics, .slot = "main", .signing_key = "0011", .entries_max = 16};
    Auth *auth;
    JwtKeys *keys;
    (void)state;

    assert_reason(jwt_keys_new(&(JwtKeysOptions){.metrics = metrics, .slot = "main", .jwt_secret = "short"}, &keys),
                  &INVALID_ARGUMENT);
    assert_reason(auth_new(&options, &auth), &INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_tokens_are_known_until_they_expire),
        cmocka_unit_test(bad_tokens_are_refused),
        cmocka_unit_test(a_revoked_login_is_refused_at_once),
        cmocka_unit_test(revocations_are_kept_in_bounds),
        cmocka_unit_test(identities_are_signed_for_a_domain_and_its_dependencies),
        cmocka_unit_test(roles_grant_permissions),
        cmocka_unit_test(what_a_role_grants_changes_for_tokens_that_are_known),
        cmocka_unit_test(signed_identities_list_what_their_readers_may_need),
        cmocka_unit_test(who_holds_too_much_for_a_header_lacks_the_rest),
        cmocka_unit_test(tokens_from_before_a_change_are_not_believed),
        cmocka_unit_test(changes_beyond_what_is_remembered_count_for_everybody),
        cmocka_unit_test(changes_older_than_any_token_are_forgotten),
        cmocka_unit_test(without_knowing_what_roles_grant_nobody_is_told),
        cmocka_unit_test(the_memory_of_credentials_is_bounded),
        cmocka_unit_test(tokens_by_keys_are_good_beside_those_by_the_secret),
        cmocka_unit_test(a_key_verifies_until_its_end),
        cmocka_unit_test(the_secret_can_be_out_of_use),
        cmocka_unit_test(a_login_is_known_by_itself_and_outlives_the_token),
        cmocka_unit_test(bad_keys_stop_the_start),
    };

    return RUN(tests);
}
