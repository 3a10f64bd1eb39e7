/* main: the wiring of auth. */
#include <sodium.h>
#include <unistd.h>

#include "atrium/auth/v1/access.service.h"
#include "atrium/auth/v1/admin.service.h"
#include "atrium/auth/v1/console.service.h"
#include "atrium/auth/v1/factor.service.h"
#include "atrium/auth/v1/keys.service.h"
#include "atrium/auth/v1/mail.service.h"
#include "atrium/auth/v1/signin.service.h"
#include "services/auth/admin.h"
#include "services/auth/auth.h"
#include "services/auth/mail.h"
#include "services/auth/mail_sender.h"
#include "services/auth/passwords.h"
#include "services/auth/providers.h"
#include "services/auth/purge.h"
#include "services/auth/registration.h"
#include "services/auth/signing_keys.h"
#include "services/auth/smtp.h"
#include "services/auth/text.h"
#include "shared/service.h"

enum { ADMIN_PASSWORD_MIN_BYTES = 8, BOOTSTRAP_TIMEOUT_MS = 10000, FAST_THREADS = 4, READS_AT_ONCE = 256 };
/* That wait for providers: of their own, so that nobody else does. */
enum { OUTSIDE_THREADS = 8, OUTSIDE_QUEUE = 64 };

#define CONFIG_STRUCT AuthSettings
#define SETTING CONFIG_ROW
static const Setting SETTINGS[] = {
#include "services/auth/settings.def"
};
#undef SETTING
#undef CONFIG_STRUCT

typedef struct Running {
    Auth auth; /* first: handlers get it */
    Aside *aside;
    Breach *breach;
    JwtKey *key;
    MailSender *mail_sender; /* NULL where nothing can be sent */
    Providers *providers;
    Purge *purge;
} Running;

/* Hashing fills a core, its caches and 64 MiB for tens of milliseconds. It stands back for everything else (aside.h),
 * and in containers cannot: so at least half of the cores are left to reads. */
static int hash_threads(void)
{
    return MAX((int)(sysconf(_SC_NPROCESSORS_ONLN) / 2), 1);
}

static Err check_admin_password(const char *name, const char *value)
{
    if (value[0] && strlen(value) < ADMIN_PASSWORD_MIN_BYTES)
        return err_make(&INVALID_ARGUMENT, "%s: at least %d characters, or empty", name, ADMIN_PASSWORD_MIN_BYTES);
    return OK;
}

static Err check_settings(const CommonSettings *common, const void *settings)
{
    const AuthSettings *s = settings;
    RegistrationMode mode;
    Slice email;
    (void)common;

    if (!registration_mode_parse(slice(s->registration), &mode))
        return err_make(&INVALID_ARGUMENT, "REGISTRATION: \"%s\" is none of open, closed, invite", s->registration);
    if (!username_valid(slice(s->admin_username)))
        return err_make(&INVALID_ARGUMENT, "ADMIN_USERNAME: 2 to 32 letters, digits or underscores");
    if (s->admin_email[0] && email_parse(slice(s->admin_email), s->email_allow_reserved, &email))
        return err_make(&INVALID_ARGUMENT, "ADMIN_EMAIL: no e-mail address that mail reaches");
    if (s->api_key_pepper[0] && strlen(s->api_key_pepper) < JWT_SECRET_MIN_BYTES)
        return err_make(&INVALID_ARGUMENT, "API_KEY_PEPPER: at least %d characters, or empty", JWT_SECRET_MIN_BYTES);
    if (s->auth_secret_key[0] && strlen(s->auth_secret_key) < JWT_SECRET_MIN_BYTES)
        return err_make(&INVALID_ARGUMENT, "AUTH_SECRET_KEY: at least %d characters, or empty", JWT_SECRET_MIN_BYTES);
    if (strcmp(s->jwt_algorithm, "HS256") != 0 && !signing_is_asymmetric(s))
        return err_make(&INVALID_ARGUMENT, "JWT_ALGORITHM: \"%s\" is none of HS256, EdDSA, ES256", s->jwt_algorithm);
    if (!s->jwt_hs256 && !signing_is_asymmetric(s))
        return err_make(&INVALID_ARGUMENT, "JWT_HS256: false, while JWT_ALGORITHM is HS256");
    if (!slice_starts_with(slice(s->public_url), SLICE_LIT("http")) ||
        slice_ends_with(slice(s->public_url), SLICE_LIT("/")))
        return err_make(&INVALID_ARGUMENT, "PUBLIC_URL: http(s)://host, without a slash at the end");
    TRY(mail_check_settings(s));
    TRY(check_admin_password("ADMIN_PASSWORD", s->admin_password));
    return check_admin_password("ADMIN_PASSWORD_RESET", s->admin_password_reset);
}

static Err make_dummy_hash(Request *rq, Auth *auth)
{
    char *hash;

    TRY(password_hash(rq, "", &hash));
    snprintf(auth->dummy_hash, sizeof(auth->dummy_hash), "%s", hash);
    return OK;
}

static Err bootstrap(Service *service, Running *running)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = {.mem = mem,
                  .service = &running->auth,
                  .clock = service->clock,
                  .db = service->db,
                  .log = service->log,
                  .deadline_ms = clock_monotonic_ms(service->clock) + BOOTSTRAP_TIMEOUT_MS};

    TRY(make_dummy_hash(&rq, &running->auth));
    if (signing_is_asymmetric(running->auth.settings))
        TRY(err_wrap(signing_keys_open(&rq, &running->auth.signing), "JWT_ALGORITHM"));
    return admin_bootstrap(&rq);
}

static Err open_auth(Service *service, void **out_context)
{
    Running *running = ARENA_NEW(service->mem, Running);
    Auth *auth = &running->auth;

    if (sodium_init() < 0)
        return err_make(&INTERNAL, "libsodium cannot be used");
    auth->settings = service->settings;
    auth->ids = service->ids;
    auth->outbox = service->outbox;
    TRY(err_wrap(jwt_key_new(slice(auth->settings->jwt_secret), &running->key), "JWT_SECRET"));
    auth->key = running->key;
    TRY(breach_new(&(BreachOptions){.file = auth->settings->breached_passwords_file,
                                    .url = auth->settings->breached_passwords_url,
                                    .clock = service->clock,
                                    .log = service->log,
                                    .metrics = service->metrics},
                   &running->breach));
    auth->breach = running->breach;
    TRY(providers_new(auth->settings, service->log, &running->providers));
    auth->providers = running->providers;
    auth->aside = running->aside = aside_new(&(AsideOptions){
        .processes = hash_threads(), .patience_ms = auth->settings->hash_patience_ms, .log = service->log});
    TRY(bootstrap(service, running));
    *out_context = running;
    return OK;
}

static Err start_background(Service *service, void *context)
{
    Running *running = context;

    if (running->auth.signing)
        signing_keys_start(running->auth.signing, &(SigningKeysOptions){.auth = &running->auth,
                                                                        .db = service->db,
                                                                        .clock = service->clock,
                                                                        .log = service->log});
    if (mail_configured(&running->auth))
        running->mail_sender = mail_sender_start(&(MailSenderOptions){.auth = &running->auth,
                                                                      .db = service->db,
                                                                      .clock = service->clock,
                                                                      .log = service->log,
                                                                      .metrics = service->metrics,
                                                                      .send = smtp_send});
    running->purge = purge_start(&(PurgeOptions){.auth = &running->auth,
                                                 .db = service->db,
                                                 .clock = service->clock,
                                                 .log = service->log,
                                                 .metrics = service->metrics,
                                                 .interval_ms = running->auth.settings->purge_interval_ms});
    return OK;
}

static void stop_background(void *context)
{
    Running *running = context;

    signing_keys_stop(running->auth.signing);
    mail_sender_stop(MOVE(running->mail_sender));
    purge_stop(MOVE(running->purge));
}

static void close_auth(void *context)
{
    Running *running = context;

    aside_free(running->aside);
    breach_free(running->breach);
    providers_free(running->providers);
    signing_keys_free(running->auth.signing);
    jwt_key_free(running->key);
}

int main(int argc, char **argv)
{
    static const RpcService *const RPCS[] = {
        &AUTH_V1_ACCESS_SERVICE, &AUTH_V1_ADMIN_SERVICE, &AUTH_V1_AUTH_SERVICE, &AUTH_V1_CONSOLE_SERVICE,
        &AUTH_V1_FACTOR_SERVICE, &AUTH_V1_KEY_SERVICE,   &AUTH_V1_MAIL_SERVICE, &AUTH_V1_SIGN_IN_SERVICE,
    };
    const RpcLane lanes[] = {
        {.name = "fast", .threads = FAST_THREADS, .queue_max = 1024},
        {.name = "outside", .threads = OUTSIDE_THREADS, .queue_max = OUTSIDE_QUEUE},
        {.name = "reads", .fibers = READS_AT_ONCE, .queue_max = 1024},
        {.name = "slow", .threads = hash_threads(), .queue_max = 64, .nice = 10},
    };
    const ServiceDefinition definition = {
        .name = "auth",
        .summary = "accounts, logins and their tokens",
        .settings = SETTINGS,
        .setting_count = ARRAY_LEN(SETTINGS),
        .settings_bytes = sizeof(AuthSettings),
        .uses_database = true,
        .has_events = true,
        .rpcs = RPCS,
        .rpc_count = ARRAY_LEN(RPCS),
        .lanes = lanes,
        .lane_count = ARRAY_LEN(lanes),
        .check = check_settings,
        .open = open_auth,
        .started = start_background,
        .stopping = stop_background,
        .close = close_auth,
        .aside = password_aside,
    };

    return service_main(&definition, argc, argv);
}
