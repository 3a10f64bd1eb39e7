/* defence: see defence.h. */
#include "services/auth/defence.h"

#include <arpa/inet.h>
#include <sodium.h>

#include "services/auth/seal.h"

enum { KEY_BYTES = crypto_auth_hmacsha256_BYTES, WAIT_MAX_S = 900, NETWORK_BYTES_V4 = 3, NETWORK_BYTES_V6 = 8 };
static const uint8_t MAPPED_V4[12] = {[10] = 0xff, [11] = 0xff};

/* So many failures cost nothing: people mistype, and many people may share one network. */
static const struct {
    int64_t free;
    bool where_known; /* counts where the owner is known, too */
} SCOPES[DEFENCE_SCOPES] = {
    [BY_NAME_AND_NETWORK] = {.free = 5, .where_known = true},
    [BY_NETWORK] = {.free = 29},
    [BY_NAME] = {.free = 19},
};

/* The /24 or /64 that the client is in: who has one address there has many. */
static Slice network_of(const Request *rq)
{
    const char *text = rq->client_address ? rq->client_address : "";
    uint8_t *bytes = ARENA_ARRAY(rq->mem, uint8_t, sizeof(struct in6_addr));

    if (inet_pton(AF_INET, text, bytes) == 1)
        return slice_of(bytes, NETWORK_BYTES_V4);
    if (inet_pton(AF_INET6, text, bytes) != 1)
        return slice(text);
    if (memcmp(bytes, MAPPED_V4, sizeof(MAPPED_V4)) == 0)
        return slice_of(bytes + sizeof(MAPPED_V4), NETWORK_BYTES_V4);
    return slice_of(bytes, NETWORK_BYTES_V6);
}

/* Upper and lower case are one, as they are for e-mail addresses. */
static Slice lower(Arena *mem, const char *name)
{
    char *text = arena_strdup(mem, name);

    for (char *c = text; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return slice(text);
}

static void hash_part(crypto_auth_hmacsha256_state *state, Slice part)
{
    uint64_t len = part.len;

    crypto_auth_hmacsha256_update(state, (const uint8_t *)&len, sizeof(len)); /* where one ends and the next begins */
    crypto_auth_hmacsha256_update(state, (const uint8_t *)part.ptr, part.len);
}

static Slice key_of(Request *rq, char kind, char scope, Slice name, Slice network)
{
    const Auth *auth = rq->service;
    const char tag[] = {kind, scope};
    crypto_auth_hmacsha256_state state;
    uint8_t pepper[DERIVED_KEY_BYTES];
    uint8_t *out = ARENA_ARRAY(rq->mem, uint8_t, KEY_BYTES);

    secret_derive(auth->settings, "defence", pepper);
    crypto_auth_hmacsha256_init(&state, pepper, sizeof(pepper));
    hash_part(&state, slice_of(tag, sizeof(tag)));
    hash_part(&state, name);
    hash_part(&state, network);
    crypto_auth_hmacsha256_final(&state, out);
    return slice_of(out, KEY_BYTES);
}

static Defence make_keys(Request *rq, DefenceStage stage, const char *name)
{
    Slice network = network_of(rq), low = lower(rq->mem, name), none = SLICE_LIT("");
    char kind = (char)stage;

    return (Defence){
        .keys =
            {
                [BY_NAME_AND_NETWORK] = key_of(rq, kind, 'b', low, network),
                [BY_NETWORK] = key_of(rq, kind, 'w', none, network),
                [BY_NAME] = key_of(rq, kind, 'n', low, none),
            },
        .network = key_of(rq, 'k', 'k', none, network),
    };
}

/* 0 while failures are free; then 1 s, 2 s, 4 s … after the last one. */
static int64_t wait_of(int64_t failures, int64_t free)
{
    int64_t beyond = failures - free;

    if (beyond <= 0)
        return 0;
    return beyond > 10 ? WAIT_MAX_S : MIN(INT64_C(1) << (beyond - 1), WAIT_MAX_S);
}

static int64_t left_us(const DefenceLook *look, int64_t now_us)
{
    int64_t left = 0;

    for (int i = 0; i < DEFENCE_SCOPES; i++) {
        int64_t since = now_us - look->tries[i].last_us;

        if (since < DEFENCE_MEMORY_US && (SCOPES[i].where_known || !look->network_known))
            left = MAX(left, wait_of(look->tries[i].failures, SCOPES[i].free) * 1000000 - since);
    }
    return left;
}

Err defence_enter(Request *rq, DefenceStage stage, const char *name, int64_t user_id, Defence *out)
{
    const Auth *auth = rq->service;
    Defence defence = make_keys(rq, stage, name);
    DefenceLook look;
    int64_t left;

    TRY(defence_store_look(rq, user_id, defence.network, defence.keys, &look));
    left = auth->settings->login_backoff ? left_us(&look, clock_unix_us(rq->clock)) : 0;
    if (left > 0) {
        request_set_retry_after(rq, (uint32_t)((left + 999999) / 1000000));
        return err_make(&RATE_LIMITED, "too many failed attempts; try again later");
    }
    defence.second_factor = look.second_factor;
    *out = defence;
    return OK;
}

Err defence_enter_as(Request *rq, DefenceStage stage, int64_t user_id, Defence *out)
{
    return defence_enter(rq, stage, arena_printf(rq->mem, "%" PRId64, user_id), user_id, out);
}

Err defence_failed(Request *rq, const Defence *defence)
{
    int64_t now_us = clock_unix_us(rq->clock);

    return defence_store_fail(rq, defence->keys, now_us, now_us - DEFENCE_MEMORY_US);
}

Err defence_passed(Request *rq, const Defence *defence, int64_t user_id)
{
    return defence_store_pass(rq, defence->keys[BY_NAME_AND_NETWORK], user_id, defence->network,
                              clock_unix_us(rq->clock));
}

Err defence_know(Request *rq, int64_t user_id)
{
    return defence_store_pass(rq, SLICE_LIT(""), user_id, key_of(rq, 'k', 'k', SLICE_LIT(""), network_of(rq)),
                              clock_unix_us(rq->clock));
}
