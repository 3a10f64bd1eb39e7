/* signing_keys: see signing_keys.h. */
#include "services/auth/signing_keys.h"

#include <pthread.h>
#include <sodium.h>

#include "services/auth/seal.h"
#include "shared/sweeper.h"

enum {
    TURN_MS = 10000,
    TURN_TIMEOUT_MS = 5000,
    KID_BYTES = 12,
    AFTERLIFE_SPARE_US = 60 * 1000000 /* clocks differ, and an instance may look late */
};

typedef struct SigningKey {
    JwsSigner *signer;
    int64_t signs_from_us, retires_us;
} SigningKey;

/* What stands in the table, at one time. Once it has a key that can sign, it always has. */
typedef struct Ring {
    size_t count;
    SigningKey list[SIGNING_KEYS_MAX]; /* the latest first */
    JwsKeys *verifying;
} Ring;

struct SigningKeys {
    SigningKeysOptions options;
    pthread_rwlock_t ring_lock;
    Ring *ring;
    Sweeper *sweeper; /* NULL: no background */
};

bool signing_is_asymmetric(const AuthSettings *settings)
{
    return jws_alg_parse(slice(settings->jwt_algorithm)) != 0;
}

int64_t signing_keys_afterlife_us(const AuthSettings *settings)
{
    int64_t life_ms = MAX(settings->access_token_ttl_ms, settings->token_ttl_ms);

    life_ms = MAX(life_ms, settings->token_exchange_minutes * 60000);
    return MAX(life_ms, settings->jwt_expiry_hours * 3600000) * 1000 + AFTERLIFE_SPARE_US;
}

static const AuthSettings *settings_of(const Request *rq)
{
    return ((const Auth *)rq->service)->settings;
}

/* ---------------------------------------------------------------------------------------------------- the ring */
static void ring_free(Ring *ring)
{
    if (!ring)
        return;
    for (size_t i = 0; i < ring->count; i++)
        jws_signer_free(ring->list[i].signer);
    jws_keys_free(ring->verifying);
    free(ring);
}
CLEANUP_FN(Ring, ring_free)

static void ring_add(Ring *ring, const Request *rq, const SigningKeyRow *row)
{
    SigningKey *key = &ring->list[ring->count];
    Slice secret;
    void *bytes;

    *key = (SigningKey){.signs_from_us = row->signs_from_us, .retires_us = row->retires_us};
    if (err_failed(jws_keys_add(ring->verifying, row->alg, row->kid, row->public_key)) ||
        !unseal(settings_of(rq), rq->mem, row->sealed_key, &secret)) {
        /* Made with another AUTH_SECRET_KEY: it still verifies, but who could sign with it is gone. */
        LOG_WARN(rq->log, "signing_key_unusable", "kid", row->kid);
        return;
    }
    if (!err_failed(jws_signer_new(row->alg, secret, row->kid, &key->signer)))
        ring->count++;
    bytes = (void *)(uintptr_t)secret.ptr;
    sodium_memzero(bytes, secret.len);
}

static Err load(SigningKeys *keys, Request *rq)
{
    CLEANUP(ring_free_at) Ring *ring = xcalloc(1, sizeof(*ring));
    int64_t since_us = clock_unix_us(rq->clock) - signing_keys_afterlife_us(settings_of(rq));
    SigningKeyRow *rows;
    Ring *old;
    size_t count;

    TRY(auth_store_signing_keys(rq, since_us, &rows, &count));
    ring->verifying = jws_keys_new();
    for (size_t i = 0; i < count; i++)
        ring_add(ring, rq, &rows[i]);
    if (ring->count == 0 && keys->ring && keys->ring->count)
        return err_make(&UNAVAILABLE, "none of the signing keys can be used");
    pthread_rwlock_wrlock(&keys->ring_lock);
    old = keys->ring;
    keys->ring = MOVE(ring);
    pthread_rwlock_unlock(&keys->ring_lock);
    ring_free(old);
    return OK;
}

/* The latest that signs already and does not retire yet; failing that, any that can: better a token by a key that was
 * just retired than none. */
static const JwsSigner *signer_at(const Ring *ring, int64_t now_us)
{
    for (size_t i = 0; i < ring->count; i++)
        if (ring->list[i].signs_from_us <= now_us &&
            (ring->list[i].retires_us == 0 || ring->list[i].retires_us > now_us))
            return ring->list[i].signer;
    return ring->list[0].signer;
}

char *signing_keys_sign(SigningKeys *keys, Arena *mem, int64_t now_us, Slice payload)
{
    const JwsSigner *signer;
    char *token;

    pthread_rwlock_rdlock(&keys->ring_lock);
    signer = signer_at(keys->ring, now_us);
    token = jws_sign(signer, mem, payload);
    pthread_rwlock_unlock(&keys->ring_lock);
    return token;
}

Err signing_keys_verify(SigningKeys *keys, Arena *mem, Slice token, Slice *out_payload)
{
    const char *kid;
    Err e;

    pthread_rwlock_rdlock(&keys->ring_lock);
    e = jws_verify(keys->ring->verifying, mem, token, JWS_ES256 | JWS_EDDSA, out_payload, &kid);
    pthread_rwlock_unlock(&keys->ring_lock);
    return err_failed(e) ? err_make(&UNAUTHENTICATED, "%s", e.text) : OK;
}

/* ---------------------------------------------------------------------------------------------------- making */
static Err make_key(Request *rq, int64_t unless_since_us, const char **out_kid, bool *out_added)
{
    const AuthSettings *settings = settings_of(rq);
    CLEANUP(jws_signer_free_at) JwsSigner *signer = NULL;
    uint8_t secret[JWS_PRIVATE_BYTES], name[KID_BYTES];
    int64_t now_us = clock_unix_us(rq->clock);
    SigningKeyRow row = {.alg = jws_alg_parse(slice(settings->jwt_algorithm)),
                         .created_us = now_us,
                         .signs_from_us = now_us + settings->jwt_key_lead_ms * 1000};
    Err e;

    random_bytes(name, sizeof(name));
    row.kid = base64url_encode(rq->mem, slice_of(name, sizeof(name)));
    jws_private_make(row.alg, secret);
    e = jws_signer_new(row.alg, slice_of(secret, sizeof(secret)), row.kid, &signer);
    if (!err_failed(e))
        row.sealed_key = seal(settings, rq->mem, slice_of(secret, sizeof(secret)));
    sodium_memzero(secret, sizeof(secret));
    TRY(e);
    row.public_key = jws_signer_public(signer, rq->mem);
    TRY(auth_store_add_signing_key(rq, &row, unless_since_us, out_added));
    if (*out_added)
        LOG_INFO(rq->log, "signing_key_made", "kid", row.kid, "algorithm", jws_alg_name(row.alg));
    *out_kid = row.kid;
    return OK;
}

static bool can_sign(const SigningKeys *keys)
{
    return keys->ring->count > 0;
}

static Err make_first(SigningKeys *keys, Request *rq)
{
    const char *kid;
    bool added;

    TRY(load(keys, rq));
    TRY(make_key(rq, 0, &kid, &added));
    if (added)
        TRY(load(keys, rq));
    if (can_sign(keys))
        return OK;
    /* There is one, but nobody can open it. */
    TRY(make_key(rq, INT64_MAX, &kid, &added));
    return load(keys, rq);
}

Err signing_keys_open(Request *rq, SigningKeys **out)
{
    CLEANUP(signing_keys_free_at) SigningKeys *keys = xcalloc(1, sizeof(*keys));

    pthread_rwlock_init(&keys->ring_lock, NULL);
    TRY(make_first(keys, rq));
    *out = MOVE(keys);
    return OK;
}

void signing_keys_free(SigningKeys *keys)
{
    if (!keys)
        return;
    ring_free(keys->ring);
    pthread_rwlock_destroy(&keys->ring_lock);
    free(keys);
}

Err signing_keys_rotate(SigningKeys *keys, Request *rq, const char **out_kid)
{
    int64_t since_us = clock_unix_us(rq->clock) - signing_keys_afterlife_us(settings_of(rq));
    SigningKeyRow *rows;
    size_t count;
    bool added;

    TRY(auth_store_signing_keys(rq, since_us, &rows, &count));
    if (count == SIGNING_KEYS_MAX)
        return err_make(&RATE_LIMITED, "%d keys are alive: wait until the oldest are dead", SIGNING_KEYS_MAX);
    TRY(make_key(rq, INT64_MAX, out_kid, &added));
    return load(keys, rq);
}

/* ---------------------------------------------------------------------------------------------------- background */
Err signing_keys_turn(SigningKeys *keys, Request *rq, bool may_rotate)
{
    const AuthSettings *settings = settings_of(rq);
    int64_t now_us = clock_unix_us(rq->clock);
    const char *kid;
    bool added;

    if (may_rotate) {
        TRY(make_key(rq, now_us - settings->jwt_key_rotation_ms * 1000, &kid, &added));
        TRY(auth_store_purge_signing_keys(rq, now_us - signing_keys_afterlife_us(settings)));
    }
    return load(keys, rq);
}

static Err take_turn(SweeperTurn *turn)
{
    SigningKeys *keys = turn->data;
    const SigningKeysOptions *o = &keys->options;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = {.mem = mem,
                  .service = o->auth,
                  .clock = o->clock,
                  .db = o->db,
                  .log = o->log,
                  .deadline_ms = clock_monotonic_ms(o->clock) + TURN_TIMEOUT_MS};

    return signing_keys_turn(keys, &rq, turn->leads);
}

void signing_keys_start(SigningKeys *keys, const SigningKeysOptions *options)
{
    keys->options = *options;
    keys->sweeper = sweeper_start(&(SweeperOptions){.db = options->db,
                                                    .log = options->log,
                                                    .name = "signing_keys",
                                                    .data = keys,
                                                    .tasks = {{"signing keys", take_turn, .everywhere = true}},
                                                    .interval_ms = TURN_MS});
}

void signing_keys_stop(SigningKeys *keys)
{
    if (keys)
        sweeper_stop(MOVE(keys->sweeper));
}
