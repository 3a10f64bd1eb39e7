/* What every route asks of a new password, and which hashes are of yesterday. On a store in memory. */
#include "services/auth/passwords.h"

#include <unistd.h>

#include "services/auth/store_fake.h"

enum { ANN = 4711 };
static char LEAKED[] = "password", FRESH[] = "something else", OLD[] = "the old one";

/* A list that knows LEAKED, for as long as the test. */
static Breach *leak(Fixture *f, Metrics *metrics)
{
    static const char LINE[] = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:9659365\n";
    char path[] = "/tmp/atrium-leaks-XXXXXX";
    int fd = mkstemp(path);
    Breach *breach;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, LINE, sizeof(LINE) - 1), sizeof(LINE) - 1);
    close(fd);
    assert_ok(breach_new(&(BreachOptions){.file = path, .url = "", .clock = &FAKE_CLOCK, .metrics = metrics}, &breach));
    unlink(path);
    f->auth.breach = breach;
    return breach;
}

static Err with_password(Fixture *f, const char *method, char *password)
{
    Request rq = fake_user_request(f, "all", ANN, "");
    Auth__V1__RegisterRequest reg = AUTH__V1__REGISTER_REQUEST__INIT;
    Auth__V1__ChangePasswordRequest change = AUTH__V1__CHANGE_PASSWORD_REQUEST__INIT;
    Auth__V1__TalkerRegisterRequest talker = AUTH__V1__TALKER_REGISTER_REQUEST__INIT;
    Auth__V1__TalkerChangePasswordRequest talker_change = AUTH__V1__TALKER_CHANGE_PASSWORD_REQUEST__INIT;
    Auth__V1__CreateUserRequest create = AUTH__V1__CREATE_USER_REQUEST__INIT;
    const struct {
        const char *method;
        ProtobufCMessage *in;
        const ProtobufCMessageDescriptor *reply;
    } REQUESTS[] = {
        {"Register", &reg.base, &auth__v1__auth_result__descriptor},
        {"ChangePassword", &change.base, &auth__v1__message_reply__descriptor},
        {"TalkerRegister", &talker.base, &auth__v1__talker_token__descriptor},
        {"TalkerChangePassword", &talker_change.base, &auth__v1__message_reply__descriptor},
        {"CreateUser", &create.base, &auth__v1__create_user_reply__descriptor},
    };

    if (strcmp(method, "CreateUser") == 0)
        rq.caller = (Caller){.kind = CALLER_SERVICE, .username = "", .login_id = "", .service = "ops"};
    reg.username = create.username = "bob";
    talker.email = "cid@example.com";
    change.old_password = talker_change.old_password = OLD;
    reg.password = change.new_password = talker.password = talker_change.new_password = create.password = password;
    for (size_t i = 0; i < ARRAY_LEN(REQUESTS); i++) {
        Err e;

        if (strcmp(REQUESTS[i].method, method) != 0)
            continue;
        e = rpc_call(&AUTH_V1_AUTH_SERVICE, &rq, method, REQUESTS[i].in, message_new(f->mem, REQUESTS[i].reply));
        /* rag's form of an error lists what is wrong. */
        if (e.reason == &BREACHED_PASSWORD)
            assert_int_equal(rq.reply.violation_count, strncmp(method, "Talker", 6) == 0);
        return e;
    }
    fail_msg("no request for %s", method);
    return OK;
}

static void no_route_takes_a_password_that_has_leaked(void **state)
{
    static const char *const METHODS[] = {"Register", "ChangePassword", "TalkerRegister", "TalkerChangePassword",
                                          "CreateUser"};
    Fixture *f = *state;
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    CLEANUP(breach_free_at) Breach *breach = leak(f, metrics);

    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        fake.account_count = 0;
        fake_account(f, ANN, "ann", NULL, OLD);
        assert_reason(with_password(f, METHODS[i], LEAKED), &BREACHED_PASSWORD);
        assert_ok(with_password(f, METHODS[i], FRESH));
    }
    assert_true(breach_knows(breach, f->mem, LEAKED));
}

static void hashes_cheaper_than_the_settings_are_outdated(void **state)
{
    static const AuthSettings SETTINGS = {.hash_memory_bytes = 65536 * 1024, .hash_ops = 2};
    static const struct {
        const char *hash;
        bool outdated;
    } CASES[] = {
        {"$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA", false},
        {"$argon2id$v=19$m=65536,t=3,p=1$c2FsdA$aGFzaA", false},
        {"$argon2id$v=19$m=131072,t=2,p=4$c2FsdA$aGFzaA", false},
        {"$argon2id$v=19$m=65535,t=2,p=1$c2FsdA$aGFzaA", true},
        {"$argon2id$v=19$m=65536,t=1,p=1$c2FsdA$aGFzaA", true},
        {"$argon2id$v=19$m=131072,t=1,p=1$c2FsdA$aGFzaA", true},
        {"$argon2i$v=19$m=65536,t=4,p=1$c2FsdA$aGFzaA", true},
        {"$argon2id$v=19$m=x,t=2,p=1$c2FsdA$aGFzaA", true},
        {"$argon2id$v=19$m=65536", true},
        {"$2b$12$abcdefghijklmnopqrstuO", true},
        {"", true},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        if (password_is_outdated(&SETTINGS, CASES[i].hash) != CASES[i].outdated)
            fail_msg("%s", CASES[i].hash);
}

static void nothing_matches_what_is_no_hash(void **state)
{
    static const char *const HASHES[] = {NULL,           "",   "$",      "$2", "$2b", "$2b$", "$2b$99$x",
                                         "$2b$04$short", "*0", "secret1"};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(HASHES); i++) {
        assert_false(password_matches(HASHES[i], "secret1"));
        assert_false(password_matches(HASHES[i], ""));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE_TEST(no_route_takes_a_password_that_has_leaked),
        FAKE_TEST(hashes_cheaper_than_the_settings_are_outdated),
        FAKE_TEST(nothing_matches_what_is_no_hash),
    };

    return RUN(tests);
}
