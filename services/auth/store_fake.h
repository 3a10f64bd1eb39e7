/* store_fake: a store in memory, and a service around it, for tests of the handlers. It keeps what it is given, and
 * answers as told; the real one's rules are tested by store_test.c. */
#pragma once
#include "services/auth/store_defence.h"
#include "shared/testing.h"

enum { FAKE_MAX = 32 };

typedef struct FakeStore {
    Account accounts[FAKE_MAX];
    size_t account_count;
    NewLogin logins[FAKE_MAX];
    size_t login_count;
    size_t username_conflicts; /* so many inserts answer USERNAME_TAKEN */
    /* What was asked last. */
    Refresh refresh;
    Uuid replaced_id, kept_id, ended_id;
    const char *replaced_jti;
    Slice ended_by_hash;
    Auth__V1__LoginEnd why;
    /* What to answer. */
    RefreshOutcome refresh_outcome;
    Uuid refresh_login_id;
    bool replace_done, end_done, resolve_done;
    int64_t ended_count, now_us;
} FakeStore;
extern FakeStore fake;

/* Everything that a test of handlers needs; ready after fake_setup. */
typedef struct Fixture {
    Arena *mem;
    AuthSettings settings;
    Auth auth;
    JwtKey *key;
} Fixture;
/* For cmocka_unit_test_setup_teardown: *state is a Fixture *. */
int fake_setup(void **state);
int fake_teardown(void **state);
#define FAKE_TEST(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

/* Time is fake.now_us. */
extern const Clock FAKE_CLOCK;
Request fake_request(Fixture *f, const char *profile);
/* The same, of a logged-in user; `login_id` may be "". */
Request fake_user_request(Fixture *f, const char *profile, int64_t user_id, const char *login_id);
/* An account with this password, as if it were stored. */
Account *fake_account(Fixture *f, int64_t id, const char *username, const char *email, const char *password);
