/* jwt_keys: see jwt_keys.h. */
#include "services/gateway/jwt_keys.h"

#include "atrium/bus.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "shared/identity_provider.h"
#include "shared/message.h"

enum {
    FETCH_TIMEOUT_MS = 2000,
    FETCH_EVERY_MS = 15000, /* less than JWT_KEY_LEAD: a new key is here before it signs */
    FETCH_AGAIN_MS = 1000,  /* names that nobody knows make no more traffic than this: they wait */
    SUBJECT_MAX_BYTES = 128,
    FETCH_ARENA_BYTES = 4096
};

typedef struct KeyWaiter {
    struct KeyWaiter *next;
    JwtKeysDone done;
    void *data;
} KeyWaiter;

typedef struct KeyEnd {
    char *kid;
    int64_t until_ms;
} KeyEnd;

struct JwtKeys {
    JwtKeysOptions options;
    Upstream *upstream;
    LoopTimer *regular, *again; /* the second for those who wait */
    JwtKey *secret;
    JwsKeys *keys;
    KeyEnd ends[JWS_KEYS_MAX];
    size_t end_count;
    char subject[SUBJECT_MAX_BYTES];
    KeyWaiter *waiting;
    bool fetching;
    int64_t fetched_ms; /* monotonic; 0 never */
    Counter *fetches;
    Gauge *known;
};

/* --- verifying --------------------------------------------------------------------------------------------------- */
static bool is_over(const JwtKeys *k, const char *kid)
{
    for (size_t i = 0; i < k->end_count; i++)
        if (strcmp(k->ends[i].kid, kid) == 0)
            return k->ends[i].until_ms <= clock_unix_ms(k->options.clock);
    return false;
}

JwtVerdict jwt_keys_check(JwtKeys *k, Arena *mem, Slice token, JwtClaims *out)
{
    const char *kid = "";
    Slice payload;
    Err e;

    if (!k->options.no_secret && !err_failed(jwt_verify(k->secret, mem, k->options.clock, token, out)))
        return JWT_GOOD;
    e = jws_verify(k->keys, mem, token, JWS_ES256 | JWS_EDDSA, &payload, &kid);
    if (e.reason == &NOT_FOUND)
        return kid[0] && k->upstream ? JWT_KEY_UNKNOWN : JWT_BAD;
    if (err_failed(e) || !kid[0] || is_over(k, kid))
        return JWT_BAD;
    return err_failed(jwt_claims_read(mem, k->options.clock, payload, out)) ? JWT_BAD : JWT_GOOD;
}

/* --- the keys ---------------------------------------------------------------------------------------------------- */
static void forget(JwtKeys *k)
{
    for (size_t i = 0; i < k->end_count; i++)
        free(k->ends[i].kid);
    k->end_count = 0;
    jws_keys_free(k->keys);
    k->keys = jws_keys_new();
}

void jwt_keys_set(JwtKeys *k, const JwtKeyRow *rows, size_t count)
{
    forget(k);
    for (size_t i = 0; i < count; i++) {
        if (err_failed(jws_keys_add(k->keys, rows[i].alg, rows[i].kid, rows[i].public_key))) {
            LOG_WARN(k->options.log, "signing_key_unusable", "kid", rows[i].kid);
            continue;
        }
        if (rows[i].until_ms)
            k->ends[k->end_count++] = (KeyEnd){.kid = xstrdup(rows[i].kid), .until_ms = rows[i].until_ms};
    }
    gauge_set(k->known, (int64_t)jws_keys_count(k->keys));
}

static bool read_keys(JwtKeys *k, natsMsg *msg)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(FETCH_ARENA_BYTES);
    const Atrium__GetSigningKeysReply *reply;
    ProtobufCMessage *message;
    JwtKeyRow *rows;

    if (err_failed(message_unpack(mem, &atrium__get_signing_keys_reply__descriptor,
                                  slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)), &message)))
        return false;
    reply = (const Atrium__GetSigningKeysReply *)message;
    rows = ARENA_ARRAY(mem, JwtKeyRow, reply->n_keys + 1);
    for (size_t i = 0; i < reply->n_keys; i++)
        rows[i] = (JwtKeyRow){.alg = jws_alg_parse(slice(reply->keys[i]->algorithm)),
                              .kid = reply->keys[i]->kid ? reply->keys[i]->kid : "",
                              .public_key = slice_of(reply->keys[i]->public_key.data, reply->keys[i]->public_key.len),
                              .until_ms = reply->keys[i]->until_ms};
    jwt_keys_set(k, rows, reply->n_keys);
    return true;
}

static void tell(JwtKeys *k, bool good)
{
    KeyWaiter *list = MOVE(k->waiting);

    while (list) {
        KeyWaiter *w = list;

        list = w->next;
        w->done(w->data, good);
        free(w);
    }
}

static void fetched(void *data, UpstreamOutcome outcome, natsMsg *msg)
{
    JwtKeys *k = data;
    bool good = outcome == UPSTREAM_REPLIED && !bus_header(msg, "Nats-Service-Error-Code") && read_keys(k, msg);

    k->fetching = false;
    if (good)
        k->fetched_ms = clock_monotonic_ms(k->options.clock);
    tell(k, good);
}

static bool fetch(JwtKeys *k)
{
    static const BusHeader HEADERS[] = {{"Atrium-Timeout-Ms", "2000"}};
    const UpstreamRequest rq = {.subject = k->subject,
                                .callee = IDENTITY_DOMAIN,
                                .headers = HEADERS,
                                .header_count = ARRAY_LEN(HEADERS),
                                .body = SLICE_LIT(""),
                                .timeout_ms = FETCH_TIMEOUT_MS,
                                .done = fetched,
                                .data = k};

    if (k->fetching)
        return true;
    k->fetching = k->upstream && !err_failed(upstream_send(k->upstream, &rq));
    if (k->fetching)
        counter_add(k->fetches, 1);
    return k->fetching;
}

/* Soon enough after the last one. False when nobody can be asked. */
static bool fetch_in_time(JwtKeys *k)
{
    int64_t early_ms = k->fetched_ms + FETCH_AGAIN_MS - clock_monotonic_ms(k->options.clock);

    if (k->fetching || k->fetched_ms == 0 || early_ms <= 0)
        return fetch(k);
    if (!k->waiting)
        loop_timer_set(k->again, early_ms, 0);
    return true;
}

bool jwt_keys_wait(JwtKeys *k, JwtKeysDone done, void *data)
{
    KeyWaiter *w;

    if (!fetch_in_time(k))
        return false;
    w = xcalloc(1, sizeof(*w));
    *w = (KeyWaiter){.next = k->waiting, .done = done, .data = data};
    k->waiting = w;
    return true;
}

/* --- start and stop ---------------------------------------------------------------------------------------------- */
static void fetch_regularly(void *data)
{
    (void)fetch(data); /* the next turn tries again */
}

static void fetch_again(void *data)
{
    if (!fetch(data))
        tell(data, false);
}

void jwt_keys_connect(JwtKeys *k, Upstream *upstream, Loop *loop)
{
    k->upstream = upstream;
    k->regular = loop_timer_new(loop, fetch_regularly, k);
    k->again = loop_timer_new(loop, fetch_again, k);
    loop_timer_set(k->regular, 1, FETCH_EVERY_MS);
}

Err jwt_keys_new(const JwtKeysOptions *options, JwtKeys **out)
{
    CLEANUP(jwt_keys_free_at) JwtKeys *k = xcalloc(1, sizeof(*k));

    k->options = *options;
    k->keys = jws_keys_new();
    snprintf(k->subject, sizeof(k->subject), "rpc.%s." IDENTITY_KEYS_RPC, options->slot);
    k->fetches = metrics_counter(options->metrics, "atrium_signing_key_fetches_total",
                                 "How often the public keys of tokens were asked for.", "");
    k->known = metrics_gauge(options->metrics, "atrium_signing_keys", "Public keys of tokens that are known.", "");
    TRY(err_wrap(jwt_key_new(slice(options->jwt_secret), &k->secret), "JWT_SECRET"));
    *out = MOVE(k);
    return OK;
}

void jwt_keys_free(JwtKeys *k)
{
    if (!k)
        return;
    while (k->waiting) {
        KeyWaiter *w = k->waiting;

        k->waiting = w->next;
        free(w);
    }
    loop_timer_free(k->regular);
    loop_timer_free(k->again);
    forget(k);
    jws_keys_free(k->keys);
    jwt_key_free(k->secret);
    free(k);
}
