/* Mail: addresses, links and what is sent, through the dispatch table, on a real PostgreSQL (TEST_DATABASE_URL); the
 * server is a function here. */
#include "services/auth/mail.h"

#include <unistd.h>

#include "atrium/auth/v1/admin.atrium.h"
#include "atrium/auth/v1/admin.service.h"
#include "atrium/auth/v1/mail.service.h"
#include "services/auth/erasure.h"
#include "services/auth/mail_sender.h"
#include "services/auth/pages.h"
#include "services/auth/passwords.h"
#include "services/auth/store_schema.h"

enum { MINUTE_S = 60, DAY_S = 86400 };
static const char OLD_PASSWORD[] = "the old password", NEW_PASSWORD[] = "the new password";

typedef struct World {
    StoreSchema *s;
    Metrics *metrics;
    MailSender *sender;
    bool server_down;
    char last[8192], last_to[256];
    int sent;
} World;
/* The sender's function has no context of its own. */
static World world;

static Err take_mail(const AuthSettings *settings, Arena *mem, const char *to, Slice message, const atomic_bool *cancel)
{
    (void)settings, (void)mem, (void)cancel;
    if (world.server_down)
        return err_make(&UNAVAILABLE, "down");
    snprintf(world.last, sizeof(world.last), "%.*s", (int)message.len, message.ptr);
    snprintf(world.last_to, sizeof(world.last_to), "%s", to);
    world.sent++;
    return OK;
}

static int make_world(void **state)
{
    if (store_schema_make(state) != 0)
        return -1;
    world.s = *state;
    world.metrics = metrics_new();
    world.sender = mail_sender_new(&(MailSenderOptions){.auth = &world.s->auth,
                                                        .db = world.s->schema.db,
                                                        .clock = &world.s->schema.clock,
                                                        .metrics = world.metrics,
                                                        .send = take_mail});
    return 0;
}

static int drop_world(void **state)
{
    mail_sender_free(world.sender);
    metrics_free(world.metrics);
    return store_schema_drop(state);
}

static int fresh(void **state)
{
    StoreSchema *s = *state;

    test_schema_script(&s->schema, "TRUNCATE account, outbox, audit_entry, mail, login_failure CASCADE");
    s->settings.smtp_host = "mail.example.org";
    world.server_down = false;
    world.sent = 0;
    world.last[0] = '\0';
    return 0;
}

static int send_all(void)
{
    int before = world.sent;

    while (mail_sender_step(world.sender))
        continue;
    return world.sent - before;
}

static char *text(const char *constant)
{
    return (char *)(uintptr_t)constant;
}

/* Out of the last mail's link. */
static char *token_of_mail(StoreSchema *s)
{
    const char *at = strstr(world.last, "?token=");

    assert_non_null(at);
    at += strlen("?token=");
    return arena_strndup(s->schema.mem, at, strcspn(at, "\r\n"));
}

static int64_t count(StoreSchema *s, const char *sql)
{
    return test_schema_count(&s->schema, sql);
}

/* ---------------------------------------------------------------------------------------------------- calls */
static Err call(Request *rq, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    return rpc_call(&AUTH_V1_MAIL_SERVICE, rq, method, in, out);
}

static Err update(StoreSchema *s, int64_t id, const char *username, const char *email, const char *password,
                  Auth__V1__AccountInfo *out)
{
    Request rq = store_schema_user_request(s, id);
    Auth__V1__UpdateAccountRequest in = AUTH__V1__UPDATE_ACCOUNT_REQUEST__INIT;

    auth__v1__account_info__init(out);
    in.username = text(username);
    in.email = text(email);
    in.password = text(password);
    return call(&rq, "UpdateAccount", &in.base, &out->base);
}

static Auth__V1__AccountInfo *account(StoreSchema *s, int64_t id)
{
    Request rq = store_schema_user_request(s, id);
    Auth__V1__GetAccountRequest in = AUTH__V1__GET_ACCOUNT_REQUEST__INIT;
    Auth__V1__AccountInfo *out = MESSAGE_NEW(s->schema.mem, Auth__V1__AccountInfo, auth__v1__account_info__init);

    assert_ok(call(&rq, "GetAccount", &in.base, &out->base));
    return out;
}

static Err resend(StoreSchema *s, int64_t id)
{
    Request rq = store_schema_user_request(s, id);
    Auth__V1__SendVerificationRequest in = AUTH__V1__SEND_VERIFICATION_REQUEST__INIT;
    Auth__V1__MessageReply out = AUTH__V1__MESSAGE_REPLY__INIT;

    return call(&rq, "SendVerification", &in.base, &out.base);
}

static Err verify(StoreSchema *s, const char *token)
{
    Request rq = store_schema_request(s);
    Auth__V1__VerifyEmailRequest in = AUTH__V1__VERIFY_EMAIL_REQUEST__INIT;
    Auth__V1__MessageReply out = AUTH__V1__MESSAGE_REPLY__INIT;

    in.token = text(token);
    return call(&rq, "VerifyEmail", &in.base, &out.base);
}

static Err ask_reset(StoreSchema *s, const char *email, char **out_message)
{
    Request rq = store_schema_request(s);
    Auth__V1__RequestPasswordResetRequest in = AUTH__V1__REQUEST_PASSWORD_RESET_REQUEST__INIT;
    Auth__V1__MessageReply out = AUTH__V1__MESSAGE_REPLY__INIT;
    Err e;

    in.email = text(email);
    e = call(&rq, "RequestPasswordReset", &in.base, &out.base);
    if (out_message)
        *out_message = out.message;
    return e;
}

static Err do_reset(StoreSchema *s, const char *token, const char *password)
{
    Request rq = store_schema_request(s);
    Auth__V1__ResetPasswordRequest in = AUTH__V1__RESET_PASSWORD_REQUEST__INIT;
    Auth__V1__MessageReply out = AUTH__V1__MESSAGE_REPLY__INIT;

    in.token = text(token);
    in.new_password = text(password);
    return call(&rq, "ResetPassword", &in.base, &out.base);
}

static Err make_link(StoreSchema *s, int64_t caller, Role role, int64_t id, char **out_token)
{
    Request rq = store_schema_request_of(s, caller, role);
    Auth__V1__CreateResetLinkRequest in = AUTH__V1__CREATE_RESET_LINK_REQUEST__INIT;
    Auth__V1__ResetLink out = AUTH__V1__RESET_LINK__INIT;
    Err e;

    in.user_id = user_id_text(s->schema.mem, id);
    e = call(&rq, "CreateResetLink", &in.base, &out.base);
    if (!err_failed(e))
        *out_token = strstr(out.url, "token=") + strlen("token=");
    return e;
}

/* ---------------------------------------------------------------------------------------------------- verification */
static void who_registers_is_asked_whether_the_address_is_his(void **state)
{
    StoreSchema *s = *state;
    Account ada = store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);
    char *token;

    assert_false(account(s, ada.id)->email_verified);
    assert_int_equal(send_all(), 1);
    assert_string_equal(world.last_to, "ada@example.org");
    assert_non_null(strstr(world.last, "https://atrium.example/verify-email?token="));
    token = token_of_mail(s);
    assert_reason(verify(s, "nonsense"), &INVALID_LINK);
    assert_reason(do_reset(s, token, NEW_PASSWORD), &INVALID_LINK); /* made for something else */
    assert_ok(verify(s, token));
    assert_true(account(s, ada.id)->email_verified);
    assert_reason(verify(s, token), &INVALID_LINK); /* once */
    assert_reason(resend(s, ada.id), &INVALID_ARGUMENT);
    assert_int_equal(count(s, "SELECT count(*) FROM audit_entry WHERE action = 'user.email_verified'"), 1);
    assert_int_equal(count(s, "SELECT count(*) FROM mail WHERE sent_at IS NULL OR detail IS NOT NULL"), 0);
}

static void a_new_address_counts_once_it_is_verified(void **state)
{
    StoreSchema *s = *state;
    Account ada = store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);
    Auth__V1__AccountInfo out;

    store_schema_account(s, "bob", "bob@example.org", OLD_PASSWORD);
    (void)send_all();
    assert_reason(update(s, ada.id, NULL, "new@example.org", NULL, &out), &NOT_PROVED);
    assert_reason(update(s, ada.id, NULL, "new@example.org", "wrong", &out), &NOT_PROVED);
    assert_reason(update(s, ada.id, NULL, "BOB@example.org", OLD_PASSWORD, &out), &EMAIL_TAKEN);
    assert_reason(update(s, ada.id, NULL, "nothing", OLD_PASSWORD, &out), &INVALID_EMAIL);
    assert_reason(update(s, ada.id, "bob", NULL, NULL, &out), &USERNAME_TAKEN);
    assert_reason(update(s, ada.id, "x", NULL, NULL, &out), &INVALID_USERNAME);
    assert_ok(update(s, ada.id, "ada2", "new@example.org", OLD_PASSWORD, &out));
    assert_true(out.mail_sent);
    assert_string_equal(out.username, "ada2");
    assert_string_equal(out.email, "ada@example.org");
    assert_string_equal(out.pending_email, "new@example.org");
    assert_int_equal(send_all(), 1);
    assert_string_equal(world.last_to, "new@example.org");
    assert_ok(verify(s, token_of_mail(s)));
    assert_string_equal(account(s, ada.id)->email, "new@example.org");
    assert_null(account(s, ada.id)->pending_email);
    assert_true(account(s, ada.id)->email_verified);
}

/* As sessions' users change it. */
static void a_token_alone_changes_no_address(void **state)
{
    StoreSchema *s = *state;
    Account ada = store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);
    Request rq = store_schema_user_request(s, ada.id);
    Auth__V1__UpdateUserRequest in = AUTH__V1__UPDATE_USER_REQUEST__INIT;
    Auth__V1__User out = AUTH__V1__USER__INIT;

    (void)send_all();
    in.user_id = text("me");
    in.email = text("thief@example.org");
    in.full_name = text("Ada L.");
    assert_reason(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "UpdateUser", &in.base, &out.base), &NOT_PROVED);
    in.email = text("ADA@example.org"); /* no other */
    assert_ok(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "UpdateUser", &in.base, &out.base));
    assert_string_equal(out.sessions_full_name, "Ada L.");
    in.email = text("new@example.org");
    in.password = text(OLD_PASSWORD);
    assert_ok(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "UpdateUser", &in.base, &out.base));
    assert_string_equal(out.email, "ada@example.org");
    assert_string_equal(account(s, ada.id)->pending_email, "new@example.org");
    assert_int_equal(send_all(), 1);
    assert_string_equal(world.last_to, "new@example.org");
}

static void an_address_that_was_given_up_cannot_be_verified(void **state)
{
    StoreSchema *s = *state;
    Account ada = store_schema_account(s, "ada", NULL, OLD_PASSWORD);
    Auth__V1__AccountInfo out;
    char *first;

    assert_ok(update(s, ada.id, NULL, "first@example.org", OLD_PASSWORD, &out));
    assert_int_equal(send_all(), 1);
    first = token_of_mail(s);
    assert_ok(update(s, ada.id, NULL, "second@example.org", OLD_PASSWORD, &out));
    assert_reason(verify(s, first), &INVALID_LINK);
    /* And a mail that has become pointless is not sent. */
    assert_ok(update(s, ada.id, NULL, "third@example.org", OLD_PASSWORD, &out));
    assert_int_equal(send_all(), 1);
    assert_string_equal(world.last_to, "third@example.org");
}

static void an_address_taken_meanwhile_is_not_given_twice(void **state)
{
    StoreSchema *s = *state;
    Account ada = store_schema_account(s, "ada", NULL, OLD_PASSWORD);
    Auth__V1__AccountInfo out;

    assert_ok(update(s, ada.id, NULL, "one@example.org", OLD_PASSWORD, &out));
    assert_int_equal(send_all(), 1);
    test_schema_script(&s->schema, "INSERT INTO account (id, username, email, display_name, created_at, updated_at)"
                                   " VALUES (77, 'bob', 'one@example.org', 'bob', now(), now())");
    assert_reason(verify(s, token_of_mail(s)), &EMAIL_TAKEN);
}

/* ---------------------------------------------------------------------------------------------------- reset */
static void reset_by_mail_ends_all_logins_and_is_good_once(void **state)
{
    StoreSchema *s = *state;
    Account ada = store_schema_account(s, "ada", "Ada@example.org", OLD_PASSWORD), now;
    Request rq = store_schema_request(s);
    char *id = uuid_text(s->schema.mem, uuid_v4()), *token;

    (void)send_all();
    test_schema_script(&s->schema,
                       arena_printf(s->schema.mem,
                                    "INSERT INTO login (id, family_id, user_id, profile, user_agent, address,"
                                    "  created_at, last_used_at, expires_at) VALUES ('%s', '%s', %" PRId64
                                    ", 'all', '', '', now(), now(), now() + interval '1 hour')",
                                    id, id, ada.id));
    assert_ok(ask_reset(s, "ada@EXAMPLE.org", NULL));
    assert_int_equal(send_all(), 1);
    token = token_of_mail(s);
    assert_reason(verify(s, token), &INVALID_LINK);
    assert_reason(do_reset(s, token, "short"), &INVALID_PASSWORD);
    assert_ok(do_reset(s, token, NEW_PASSWORD));
    assert_reason(do_reset(s, token, NEW_PASSWORD), &INVALID_LINK);
    assert_ok(auth_store_account(&rq, ada.id, &now));
    assert_true(password_matches(now.password_hash, NEW_PASSWORD));
    assert_true(account(s, ada.id)->email_verified); /* he reads it */
    assert_int_equal(count(s, "SELECT count(*) FROM login WHERE end_reason = 11"), 1);
    assert_int_equal(count(s, "SELECT count(*) FROM outbox WHERE subject LIKE 'evt.auth.login.ended.%'"), 1);
    assert_int_equal(count(s, "SELECT count(*) FROM audit_entry WHERE action = 'user.password_reset'"), 1);
}

static void links_end_with_their_time_and_with_the_address(void **state)
{
    StoreSchema *s = *state;
    Account ada = store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);
    char *token;

    (void)send_all();
    assert_ok(ask_reset(s, "ada@example.org", NULL));
    assert_int_equal(send_all(), 1);
    token = token_of_mail(s);
    test_schema_script(&s->schema, "UPDATE account SET email = 'other@example.org'");
    assert_reason(do_reset(s, token, NEW_PASSWORD), &INVALID_LINK);
    test_schema_script(&s->schema, "UPDATE account SET email = 'ada@example.org', active = false");
    assert_reason(do_reset(s, token, NEW_PASSWORD), &INVALID_LINK);
    test_schema_script(&s->schema, "UPDATE account SET active = true");
    s->schema.now_us += s->settings.reset_ttl_ms * 1000;
    assert_reason(do_reset(s, token, NEW_PASSWORD), &INVALID_LINK);
    assert_int_equal(account(s, ada.id)->id, ada.id);
}

/* Whoever else has one, too. */
static void links_end_with_the_password_that_they_were_to_replace(void **state)
{
    StoreSchema *s = *state;
    Account ada = store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);
    Request rq = store_schema_user_request(s, ada.id);
    Auth__V1__ChangePasswordRequest in = AUTH__V1__CHANGE_PASSWORD_REQUEST__INIT;
    Auth__V1__MessageReply out = AUTH__V1__MESSAGE_REPLY__INIT;
    char *token;

    (void)send_all();
    assert_ok(ask_reset(s, "ada@example.org", NULL));
    assert_int_equal(send_all(), 1);
    token = token_of_mail(s);
    in.old_password = text(OLD_PASSWORD);
    in.new_password = text("one of my own");
    assert_ok(rpc_call(&AUTH_V1_AUTH_SERVICE, &rq, "ChangePassword", &in.base, &out.base));
    assert_reason(do_reset(s, token, NEW_PASSWORD), &INVALID_LINK);
}

static void an_unknown_address_is_answered_like_a_known_one(void **state)
{
    static const char *const NOBODYS[] = {"nobody@example.org", "off@example.org"};
    StoreSchema *s = *state;
    char *known, *unknown;

    store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);
    store_schema_account(s, "off", "off@example.org", OLD_PASSWORD);
    (void)send_all();
    test_schema_script(&s->schema, "UPDATE account SET active = false WHERE username = 'off'");
    assert_ok(ask_reset(s, "ada@example.org", &known));
    assert_int_equal(send_all(), 1);
    for (size_t i = 0; i < ARRAY_LEN(NOBODYS); i++) {
        assert_ok(ask_reset(s, NOBODYS[i], &unknown));
        assert_string_equal(known, unknown);
    }
    while (mail_sender_step(world.sender))
        continue;
    assert_int_equal(send_all(), 0);
    assert_int_equal(count(s, "SELECT count(*) FROM mail WHERE failed_at IS NOT NULL"), 2);
    assert_reason(ask_reset(s, "a@example.org\r\nBcc: b@example.org", NULL), &INVALID_EMAIL);
}

static void nobody_is_flooded(void **state)
{
    StoreSchema *s = *state;

    store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);
    (void)send_all();
    for (int i = 0; i < 3; i++)
        assert_ok(ask_reset(s, "ada@example.org", NULL));
    assert_int_equal(send_all(), 1);
    for (int i = 0; i < 20; i++) {
        s->schema.now_us += MINUTE_S * INT64_C(1000000);
        assert_ok(ask_reset(s, "ada@example.org", NULL));
    }
    assert_int_equal(send_all(), 9);
    s->schema.now_us += DAY_S * INT64_C(1000000);
    assert_ok(ask_reset(s, "ada@example.org", NULL));
    assert_int_equal(send_all(), 1);
}

static void an_administrator_passes_a_link_on(void **state)
{
    StoreSchema *s = *state;
    Account ada = store_schema_account(s, "ada", NULL, OLD_PASSWORD), root;
    char *token;

    root = store_schema_account(s, "root", NULL, OLD_PASSWORD);
    test_schema_script(&s->schema, "UPDATE account SET role = 3 WHERE username = 'root'");
    s->settings.smtp_host = "";
    assert_reason(make_link(s, ada.id, ROLE_USER, root.id, &token), &PERMISSION_DENIED);
    assert_ok(make_link(s, root.id, ROLE_ADMIN, ada.id, &token));
    assert_ok(do_reset(s, token, NEW_PASSWORD));
    assert_reason(do_reset(s, token, NEW_PASSWORD), &INVALID_LINK);
    assert_int_equal(count(s, "SELECT count(*) FROM audit_entry WHERE action = 'user.reset_link_made'"), 1);
    assert_reason(make_link(s, root.id, ROLE_ADMIN, 12345, &token), &USER_NOT_FOUND);
}

static void without_a_server_the_flows_say_so(void **state)
{
    StoreSchema *s = *state;
    Account ada;
    Auth__V1__AccountInfo out;

    s->settings.smtp_host = "";
    ada = store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);
    assert_reason(ask_reset(s, "ada@example.org", NULL), &MAIL_NOT_CONFIGURED);
    assert_reason(ask_reset(s, "nobody@example.org", NULL), &MAIL_NOT_CONFIGURED);
    assert_reason(resend(s, ada.id), &MAIL_NOT_CONFIGURED);
    assert_ok(update(s, ada.id, NULL, "new@example.org", OLD_PASSWORD, &out));
    assert_false(out.mail_sent);
    assert_string_equal(out.email, "new@example.org");
    assert_false(out.email_verified);
    assert_int_equal(count(s, "SELECT count(*) FROM mail"), 0);
}

/* ---------------------------------------------------------------------------------------------------- sending */
static void what_cannot_be_sent_comes_again_until_it_is_too_late(void **state)
{
    StoreSchema *s = *state;
    int tries = 0;

    store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);
    world.server_down = true;
    assert_int_equal(send_all(), 0);
    world.server_down = false;
    assert_int_equal(send_all(), 0); /* not due */
    s->schema.now_us += MINUTE_S * INT64_C(1000000);
    assert_int_equal(send_all(), 1);
    assert_int_equal(send_all(), 0);

    store_schema_account(s, "bob", "bob@example.org", OLD_PASSWORD);
    world.server_down = true;
    for (int minutes = 0; minutes < 26 * 60; minutes++) {
        (void)send_all();
        s->schema.now_us += MINUTE_S * INT64_C(1000000);
    }
    tries = (int)count(s, "SELECT attempts FROM mail WHERE recipient = 'bob@example.org'");
    assert_in_range(tries, 6, 9);
    world.server_down = false;
    assert_int_equal(send_all(), 0);
    assert_int_equal(count(s, "SELECT count(*) FROM mail WHERE failed_at IS NOT NULL AND detail IS NULL"), 1);
}

static void a_mail_is_claimed_by_one(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    MailRow row;
    bool found;

    store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);
    assert_ok(mail_store_claim(&rq, s->schema.now_us, 60000, &row, &found));
    assert_true(found);
    assert_ok(mail_store_claim(&rq, s->schema.now_us, 60000, &row, &found));
    assert_false(found);
}

static atomic_int counted;

static Err count_mail(const AuthSettings *settings, Arena *mem, const char *to, Slice message,
                      const atomic_bool *cancel)
{
    (void)settings, (void)mem, (void)to, (void)message, (void)cancel;
    atomic_fetch_add(&counted, 1);
    return OK;
}

static void make_accounts(StoreSchema *s, int from, int to)
{
    for (int i = from; i < to; i++)
        store_schema_account(s, arena_printf(s->schema.mem, "u%d", i),
                             arena_printf(s->schema.mem, "u%d@example.org", i), "");
}

static void wait_until_sent(StoreSchema *s, int64_t mails)
{
    WAIT_UNTIL(count(s, "SELECT count(*) FROM mail WHERE sent_at IS NOT NULL") >= mails);
}

/* The second takes over when the first one is gone. */
static void of_two_instances_one_sends(void **state)
{
    StoreSchema *s = *state;
    MailSenderOptions options = {
        .auth = &s->auth, .db = s->schema.db, .clock = &s->schema.clock, .metrics = world.metrics, .send = count_mail};
    MailSender *first, *second;

    s->settings.mail_interval_ms = 10;
    atomic_store(&counted, 0);
    make_accounts(s, 0, 10);
    first = mail_sender_start(&options);
    second = mail_sender_start(&options);
    wait_until_sent(s, 10);
    mail_sender_stop(first);
    make_accounts(s, 10, 20);
    wait_until_sent(s, 20);
    mail_sender_stop(second);
    assert_int_equal(atomic_load(&counted), 20);
}

static void an_account_that_goes_leaves_no_address(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request_of(s, 1, ROLE_ADMIN);
    Account ada = store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);

    store_schema_account(s, "bob", "bob@example.org", OLD_PASSWORD);
    (void)send_all();
    assert_ok(ask_reset(s, "ADA@example.org", NULL));
    assert_ok(ask_reset(s, "bob@example.org", NULL));
    assert_ok(erasure_of_other(&rq, ada.id));
    assert_int_equal(count(s, "SELECT count(*) FROM mail WHERE lower(recipient) = 'ada@example.org'"), 0);
    assert_int_equal(count(s, "SELECT count(*) FROM mail WHERE recipient = 'bob@example.org'"), 2);
}

static void a_login_from_a_new_network_is_told_of(void **state)
{
    static const char *const FROM[] = {"192.0.2.7", "192.0.2.99", "198.51.100.1", "198.51.100.1"};
    static const int TOLD[] = {0, 0, 1, 0};
    StoreSchema *s = *state;
    Account ada = store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);
    (void)send_all();

    for (size_t i = 0; i < ARRAY_LEN(FROM); i++) {
        Request rq = store_schema_request(s);
        Auth__V1__LoginRequest in = AUTH__V1__LOGIN_REQUEST__INIT;
        Auth__V1__AuthResult out = AUTH__V1__AUTH_RESULT__INIT;

        rq.client_address = FROM[i];
        in.username = text(ada.username);
        in.password = text(OLD_PASSWORD);
        assert_ok(rpc_call(&AUTH_V1_AUTH_SERVICE, &rq, "Login", &in.base, &out.base));
        assert_int_equal(send_all(), TOLD[i]);
    }
    assert_non_null(strstr(world.last, "from 198.51.100.1"));
    assert_string_equal(world.last_to, "ada@example.org");
}

static void what_is_over_is_purged(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    int64_t deleted;

    store_schema_account(s, "ada", "ada@example.org", OLD_PASSWORD);
    assert_int_equal(send_all(), 1);
    assert_ok(mail_store_purge(&rq, s->schema.now_us, 100, &deleted));
    assert_int_equal(deleted, 0);
    assert_ok(mail_store_purge(&rq, s->schema.now_us + 3 * DAY_S * INT64_C(1000000), 100, &deleted));
    assert_int_equal(deleted, 2); /* the mail, and its token */
}

/* ---------------------------------------------------------------------------------------------------- texts */
static void no_part_of_a_mail_begins_another_header(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    CLEANUP(db_tx_done) DbTx tx = {0};
    MailText mail = {.kind = MAIL_NEW_LOGIN,
                     .to = "ada@example.org",
                     .username = "a\r\nBcc: b@example.org",
                     .detail = "x\r\n.\r\ny"};
    Slice message = mail_message(&s->settings, s->schema.mem, &mail), head, body;
    ptrdiff_t end = slice_find(message, SLICE_LIT("\r\n\r\n"));

    assert_true(end > 0);
    head = slice_take(message, (size_t)end);
    body = slice_skip(message, (size_t)end);
    assert_true(slice_find(head, SLICE_LIT("Bcc")) < 0);
    assert_true(slice_find(head, SLICE_LIT("To: <ada@example.org>\r\n")) > 0);
    assert_true(slice_find(head, SLICE_LIT("Message-ID: <")) > 0);
    assert_true(slice_find(body, SLICE_LIT("\r\n.\r\n")) < 0);
    assert_ok(db_tx_begin(&rq, &tx));
    assert_reason(mail_insert(&tx, &rq, &(MailDraft){.kind = MAIL_RESET, .to = "a@b.org>\r\nRCPT TO:<c@d.org"}, NULL),
                  &INVALID_EMAIL);
    assert_reason(mail_insert(&tx, &rq, &(MailDraft){.kind = MAIL_RESET, .to = "Ada <a@b.org>"}, NULL), &INVALID_EMAIL);
}

static void wrong_settings_stop_the_start(void **state)
{
    static const struct {
        const char *host, *tls, *from, *name;
        bool good;
    } CASES[] = {
        {"", "starttls", "", "Atrium", true},
        {"mail.example.org", "starttls", "a@example.org", "Atrium", true},
        {"::1", "off", "a@example.org", "Atrium", true},
        {"localhost", "off", "a@example.org", "Atrium", true},
        {"mail.example.org", "off", "a@example.org", "Atrium", false},
        {"mail.example.org", "maybe", "a@example.org", "Atrium", false},
        {"mail.example.org", "tls", "", "Atrium", false},
        {"mail.example.org", "tls", "A <a@example.org>", "Atrium", false},
        {"mail.example.org/x", "tls", "a@example.org", "Atrium", false},
        {"", "starttls", "", "At\r\nBcc: x", false},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        AuthSettings settings = {.smtp_host = CASES[i].host,
                                 .smtp_tls = CASES[i].tls,
                                 .smtp_from = CASES[i].from,
                                 .mail_name = CASES[i].name};

        assert_int_equal(!err_failed(mail_check_settings(&settings)), CASES[i].good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_registers_is_asked_whether_the_address_is_his, fresh),
        cmocka_unit_test_setup(a_new_address_counts_once_it_is_verified, fresh),
        cmocka_unit_test_setup(a_token_alone_changes_no_address, fresh),
        cmocka_unit_test_setup(an_address_that_was_given_up_cannot_be_verified, fresh),
        cmocka_unit_test_setup(an_address_taken_meanwhile_is_not_given_twice, fresh),
        cmocka_unit_test_setup(reset_by_mail_ends_all_logins_and_is_good_once, fresh),
        cmocka_unit_test_setup(links_end_with_their_time_and_with_the_address, fresh),
        cmocka_unit_test_setup(links_end_with_the_password_that_they_were_to_replace, fresh),
        cmocka_unit_test_setup(an_unknown_address_is_answered_like_a_known_one, fresh),
        cmocka_unit_test_setup(nobody_is_flooded, fresh),
        cmocka_unit_test_setup(an_administrator_passes_a_link_on, fresh),
        cmocka_unit_test_setup(without_a_server_the_flows_say_so, fresh),
        cmocka_unit_test_setup(what_cannot_be_sent_comes_again_until_it_is_too_late, fresh),
        cmocka_unit_test_setup(a_mail_is_claimed_by_one, fresh),
        cmocka_unit_test_setup(of_two_instances_one_sends, fresh),
        cmocka_unit_test_setup(an_account_that_goes_leaves_no_address, fresh),
        cmocka_unit_test_setup(a_login_from_a_new_network_is_told_of, fresh),
        cmocka_unit_test_setup(what_is_over_is_purged, fresh),
        cmocka_unit_test_setup(no_part_of_a_mail_begins_another_header, fresh),
        cmocka_unit_test(wrong_settings_stop_the_start),
    };

    return cmocka_run_group_tests(tests, make_world, drop_world);
}
