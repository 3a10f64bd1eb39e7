#include "shared/caller.h"

#include <pthread.h>

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

#define SEED "0101010101010101010101010101010101010101010101010101010101010101"
#define OTHER_SEED "0202020202020202020202020202020202020202020202020202020202020202"
enum { NOW_MS = 1000000 };

static _Atomic int64_t now_ms = NOW_MS;

static int64_t fake_us(void *context)
{
    (void)context;
    return now_ms * 1000;
}

static const Clock CLOCK = {.unix_us = fake_us, .monotonic_us = fake_us};
static const char *const AUDIENCE[] = {"auth", "chat"};
static const char *const PERMISSIONS[] = {"events.review", "rooms.create"};
static const Caller ADA = {.kind = CALLER_PERSON,
                           .user_id = INT64_C(9007199254740991),
                           .role = ROLE_OPERATOR,
                           .username = "ada",
                           .login_id = "01890a5d-ac96-774b-bcce-b302099a8057",
                           .service = "",
                           .expires_ms = NOW_MS + 5000,
                           .permissions = PERMISSIONS,
                           .permission_count = 2};

/* What a test begins with: a signer, and a verifier of the service `domain`. */
typedef struct Parties {
    Arena *mem;
    CallerSigner *signer;
    CallerVerifier *verifier;
} Parties;

static Parties meet(const char *seed, const char *domain)
{
    Parties p = {.mem = arena_new(4096)};
    char *public_key = NULL;

    now_ms = NOW_MS;
    assert_ok(caller_signer_new(slice(seed), &p.signer));
    assert_ok(caller_public_key(p.mem, SLICE_LIT(SEED), &public_key));
    assert_ok(caller_verifier_new(slice(public_key), domain, &CLOCK, &p.verifier));
    return p;
}

static void part(Parties *p)
{
    caller_verifier_free(p->verifier);
    caller_signer_free(p->signer);
    arena_free(p->mem);
}

static void assert_is_ada(const Caller *c)
{
    assert_int_equal(c->kind, CALLER_PERSON);
    assert_int_equal(c->user_id, ADA.user_id);
    assert_int_equal(c->role, ROLE_OPERATOR);
    assert_string_equal(c->username, "ada");
    assert_string_equal(c->login_id, ADA.login_id);
    assert_string_equal(c->service, "");
    assert_int_equal(c->expires_ms, ADA.expires_ms);
    assert_true(caller_may(c, "rooms.create"));
    assert_false(caller_may(c, "rooms.delete"));
}

static void a_signed_caller_is_believed(void **state)
{
    CLEANUP(part) Parties p = meet(SEED, "chat");
    Slice header = slice(caller_sign(p.signer, p.mem, &ADA, AUDIENCE, 2));
    Caller c;
    (void)state;

    assert_ok(caller_verify(p.verifier, p.mem, header, &c));
    assert_is_ada(&c);
    assert_ok(caller_verify(p.verifier, p.mem, header, &c)); /* remembered */
    assert_is_ada(&c);
    assert_ok(caller_decode(p.mem, header, &c));
    assert_is_ada(&c);
}

static void nobody_is_a_caller_too(void **state)
{
    CLEANUP(part) Parties p = meet(SEED, "auth");
    const Caller nobody = {.expires_ms = NOW_MS + 1};
    Caller c;
    (void)state;

    assert_ok(caller_verify(p.verifier, p.mem, slice(caller_sign(p.signer, p.mem, &nobody, AUDIENCE, 1)), &c));
    assert_int_equal(c.kind, CALLER_NOBODY);
    assert_int_equal(c.user_id, 0);
    assert_int_equal(c.role, ROLE_NONE);
    assert_string_equal(c.username, "");
    assert_string_equal(c.login_id, "");
}

static void another_key_is_not_believed(void **state)
{
    CLEANUP(part) Parties p = meet(OTHER_SEED, "chat");
    Slice header = slice(caller_sign(p.signer, p.mem, &ADA, AUDIENCE, 2));
    Caller c;
    (void)state;

    assert_reason(caller_verify(p.verifier, p.mem, header, &c), &UNAUTHENTICATED);
    assert_ok(caller_decode(p.mem, header, &c)); /* that is what decode is for */
}

static void any_changed_letter_is_noticed(void **state)
{
    CLEANUP(part) Parties p = meet(SEED, "chat");
    char *header = caller_sign(p.signer, p.mem, &ADA, AUDIENCE, 2);
    Caller c;
    (void)state;

    for (char *at = header; *at; at++) {
        char original = *at;
        *at = original == 'A' ? 'B' : 'A';
        assert_reason(caller_verify(p.verifier, p.mem, slice(header), &c), &UNAUTHENTICATED);
        *at = original;
    }
    assert_ok(caller_verify(p.verifier, p.mem, slice(header), &c));
}

static void an_expired_caller_is_refused_even_when_remembered(void **state)
{
    CLEANUP(part) Parties p = meet(SEED, "chat");
    Slice header = slice(caller_sign(p.signer, p.mem, &ADA, AUDIENCE, 2));
    Caller c;
    (void)state;

    now_ms = ADA.expires_ms - 1;
    assert_ok(caller_verify(p.verifier, p.mem, header, &c));
    now_ms = ADA.expires_ms;
    assert_reason(caller_verify(p.verifier, p.mem, header, &c), &UNAUTHENTICATED);
}

static void a_caller_is_meant_for_its_audience_only(void **state)
{
    CLEANUP(part) Parties p = meet(SEED, "media");
    Caller c;
    (void)state;

    assert_reason(caller_verify(p.verifier, p.mem, slice(caller_sign(p.signer, p.mem, &ADA, AUDIENCE, 2)), &c),
                  &UNAUTHENTICATED);
    assert_reason(caller_verify(p.verifier, p.mem, slice(caller_sign(p.signer, p.mem, &ADA, NULL, 0)), &c),
                  &UNAUTHENTICATED);
}

static void impossible_callers_are_refused(void **state)
{
    static const Caller WRONG[] = {
        {.user_id = 1, .role = (Role)4, .expires_ms = NOW_MS + 1},
        {.user_id = -1, .role = ROLE_USER, .expires_ms = NOW_MS + 1},
        {.user_id = 1, .role = ROLE_NONE, .expires_ms = NOW_MS + 1},
        {.user_id = 0, .role = ROLE_ADMIN, .expires_ms = NOW_MS + 1},
        {.user_id = 1, .role = ROLE_USER},
    };
    CLEANUP(part) Parties p = meet(SEED, "auth");
    Caller c;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        Slice header = slice(caller_sign(p.signer, p.mem, &WRONG[i], AUDIENCE, 1));
        assert_reason(caller_verify(p.verifier, p.mem, header, &c), &UNAUTHENTICATED);
        if (WRONG[i].expires_ms)
            assert_reason(caller_decode(p.mem, header, &c), &UNAUTHENTICATED);
    }
}

static void garbage_is_refused(void **state)
{
    static char long_text[CALLER_HEADER_MAX_BYTES + 2];
    static const char *const GARBAGE[] = {"", ".", "..", "x", "AA.AA", "AA.", ".AA", "////.////", "\xff.\xff"};
    CLEANUP(part) Parties p = meet(SEED, "auth");
    Caller c;
    (void)state;

    memset(long_text, 'A', sizeof(long_text) - 1);
    long_text[8] = '.';
    assert_reason(caller_verify(p.verifier, p.mem, slice(long_text), &c), &UNAUTHENTICATED);
    assert_reason(caller_decode(p.mem, slice(long_text), &c), &UNAUTHENTICATED);
    for (size_t i = 0; i < ARRAY_LEN(GARBAGE); i++)
        assert_reason(caller_verify(p.verifier, p.mem, slice(GARBAGE[i]), &c), &UNAUTHENTICATED);
}

static void keys_are_hex_of_the_right_length(void **state)
{
    static const char *const WRONG[] = {"", "01", SEED "01",
                                        "zz01010101010101010101010101010101010101010101010101010101010101"};
    CallerSigner *s = NULL;
    CallerVerifier *v = NULL;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        assert_reason(caller_signer_new(slice(WRONG[i]), &s), &INVALID_ARGUMENT);
        assert_reason(caller_verifier_new(slice(WRONG[i]), "auth", &CLOCK, &v), &INVALID_ARGUMENT);
    }
    assert_null(s);
    assert_null(v);
}

static void roles_have_names(void **state)
{
    Role role = ROLE_NONE;
    (void)state;

    for (Role r = ROLE_USER; r <= ROLE_ADMIN; r++) {
        assert_true(role_parse(slice(role_name(r)), &role));
        assert_int_equal(role, r);
    }
    assert_string_equal(role_name(ROLE_OPERATOR), "operator");
    assert_string_equal(role_name(ROLE_NONE), "");
    assert_string_equal(role_name((Role)77), "");
    assert_false(role_parse(SLICE_LIT(""), &role));
    assert_false(role_parse(SLICE_LIT("Admin"), &role));
}

static Caller one_with(const char *const *permission, Role role, bool api_key)
{
    return (Caller){.kind = CALLER_PERSON,
                    .user_id = 1,
                    .role = role,
                    .permissions = permission,
                    .permission_count = permission[0][0] != '\0',
                    .api_key = api_key};
}

static void permissions_are_had_by_name_by_domain_or_by_rank(void **state)
{
    static const struct {
        const char *granted;
        Role role;
        bool api_key, may;
    } ROWS[] = {
        {"events.review", ROLE_USER, false, true},
        {"events.*", ROLE_USER, false, true},
        {"*", ROLE_USER, false, true},
        {"events.reviewers", ROLE_USER, false, false},
        {"event*", ROLE_USER, false, false},
        {"rooms.*", ROLE_USER, false, false},
        {"", ROLE_OPERATOR, false, false},
        {"", ROLE_ADMIN, false, true},
        {"rooms.*", ROLE_ADMIN, true, false}, /* a key has what it lists */
        {"events.*", ROLE_USER, true, true},
        {"full", ROLE_ADMIN, true, true},
        {"full", ROLE_USER, true, false},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Caller c = one_with(&ROWS[i].granted, ROWS[i].role, ROWS[i].api_key);

        assert_int_equal(caller_may(&c, "events.review"), ROWS[i].may);
    }
}

static void keys_reach_what_asks_for_a_permission_only(void **state)
{
    static const char *const ALL = "*", *const FULL = CALLER_FULL;
    Caller person = one_with(&ALL, ROLE_USER, false), key = one_with(&ALL, ROLE_ADMIN, true);
    Caller full = one_with(&FULL, ROLE_USER, true);
    (void)state;

    assert_true(caller_reaches(&person, ""));
    assert_false(caller_reaches(&key, ""));
    assert_true(caller_reaches(&key, "events.review"));
    assert_true(caller_reaches(&full, ""));
}

typedef struct Job {
    CallerVerifier *verifier;
    Slice headers[8];
    int good;
} Job;

static void *verify_many(void *data)
{
    Job *job = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);

    for (size_t i = 0; i < 400; i++) {
        Caller c;
        job->good += !err_failed(caller_verify(job->verifier, mem, job->headers[i % 8], &c));
        arena_reset(mem);
    }
    return NULL;
}

static void threads_share_a_verifier(void **state)
{
    CLEANUP(part) Parties p = meet(SEED, "auth");
    Job jobs[4];
    pthread_t threads[4];
    (void)state;

    for (size_t t = 0; t < 4; t++) {
        jobs[t] = (Job){.verifier = p.verifier};
        for (int h = 0; h < 8; h++) {
            Caller c = ADA;
            c.user_id = h + 1;
            jobs[t].headers[h] = slice(caller_sign(p.signer, p.mem, &c, AUDIENCE, 1));
        }
        assert_int_equal(pthread_create(&threads[t], NULL, verify_many, &jobs[t]), 0);
    }
    for (size_t t = 0; t < 4; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
        assert_int_equal(jobs[t].good, 400);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_caller_is_believed),
        cmocka_unit_test(nobody_is_a_caller_too),
        cmocka_unit_test(another_key_is_not_believed),
        cmocka_unit_test(any_changed_letter_is_noticed),
        cmocka_unit_test(an_expired_caller_is_refused_even_when_remembered),
        cmocka_unit_test(a_caller_is_meant_for_its_audience_only),
        cmocka_unit_test(impossible_callers_are_refused),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(keys_are_hex_of_the_right_length),
        cmocka_unit_test(roles_have_names),
        cmocka_unit_test(permissions_are_had_by_name_by_domain_or_by_rank),
        cmocka_unit_test(keys_reach_what_asks_for_a_permission_only),
        cmocka_unit_test(threads_share_a_verifier),
    };
    return RUN(tests);
}
