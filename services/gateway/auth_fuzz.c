/* Fuzz target: a credential, and what auth answers about it on the bus: a line with the token, then the message, its
 * header block first. A token is somebody's only when that message says so, whole and well. */
#include <nats/nats.h>

#include "atrium/bus.pb-c.h"
#include "services/gateway/auth.h"
#include "shared/message.h"
#include "tests/fuzz/bus_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    UpstreamDone done;
    void *data;
    int asked;
} question;

static struct {
    int count;
    AuthVerdict verdict;
    int64_t user_id;
} verdicts;

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* --- what auth.c calls ------------------------------------------------------------------------------------------- */
Err upstream_send(Upstream *u, const UpstreamRequest *rq)
{
    (void)u;
    question.done = rq->done;
    question.data = rq->data;
    question.asked++;
    return OK;
}

static void on_verdict(void *data, AuthVerdict verdict, const Identity *identity)
{
    (void)data;
    verdicts.count++;
    verdicts.verdict = verdict;
    verdicts.user_id = verdict == AUTH_GOOD ? identity->user_id : 0;
}

/* --- the target -------------------------------------------------------------------------------------------------- */
static Auth *new_auth(void)
{
    static Metrics *metrics;
    static Revocations *nobody;
    static Grants *grants;
    static JwtKeys *keys;
    Auth *a = NULL;

    if (!metrics) {
        check(nats_Open(0) == NATS_OK);
        metrics = metrics_new();
        check(!err_failed(revocations_start(
            &(RevocationsOptions){.clock = &SYSTEM_CLOCK, .metrics = metrics, .age_ms = 1000, .entries_max = 16},
            &nobody)));
        check(!err_failed(grants_start(
            &(GrantsOptions){
                .clock = &SYSTEM_CLOCK, .metrics = metrics, .slot = "main", .age_ms = 1000, .changes_max = 16},
            &grants)));
        grants_set(grants, &(RoleGrants){.name = "user"}, 1);
        check(!err_failed(jwt_keys_new(&(JwtKeysOptions){.clock = &SYSTEM_CLOCK,
                                                         .metrics = metrics,
                                                         .slot = "main",
                                                         .jwt_secret = "0123456789012345678901234567890123456789"},
                                       &keys)));
    }
    check(!err_failed(
        auth_new(&(AuthOptions){.clock = &SYSTEM_CLOCK,
                                .metrics = metrics,
                                .upstream = (Upstream *)&question, /* is only handed to upstream_send */
                                .revocations = nobody,
                                .grants = grants,
                                .slot = "main",
                                .jwt_keys = keys,
                                .signing_key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                                .caller_ttl_ms = 60000,
                                .token_cache_ttl_ms = 1000,
                                .entries_max = 100},
                 &a)));
    return a;
}

/* What a good answer must be, read with the plain decoder. */
static void check_good(natsMsg *msg)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    ProtobufCMessage *message;

    check(bus_header(msg, "Nats-Service-Error-Code") == NULL);
    check(!err_failed(message_unpack(mem, &atrium__resolve_token_reply__descriptor,
                                     slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)), &message)));
    check(verdicts.user_id > 0 && ((Atrium__ResolveTokenReply *)message)->user_id == verdicts.user_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(auth_free_at) Auth *a = new_auth();
    Identity identity;
    Slice token, bytes;
    AuthVerdict verdict;
    natsMsg *msg;

    (void)slice_cut(slice_of(data, size), '\n', &token, &bytes); /* false: a token alone */
    memset(&question, 0, sizeof(question));
    memset(&verdicts, 0, sizeof(verdicts));
    verdict = auth_check(a, token, on_verdict, NULL, &identity);
    check(verdict != AUTH_GOOD && verdict != AUTH_UNAVAILABLE); /* nobody guesses a signature */
    if (verdict == AUTH_BAD) {
        check(question.asked == 0);
        return 0;
    }
    check(auth_check(a, token, on_verdict, NULL, &identity) == AUTH_WAIT && question.asked == 1);
    msg = bus_message("_INBOX.gateway.auth.1.1-1", (Slice){"", 0}, bytes);
    question.done(question.data, UPSTREAM_REPLIED, msg);
    check(verdicts.count == 2); /* both are told, at once */
    if (verdicts.verdict == AUTH_GOOD)
        check_good(msg);
    natsMsg_Destroy(msg);
    return 0;
}
