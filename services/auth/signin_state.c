/* signin_state: what is kept between a browser's leaving for a provider and its coming back. */
#include "services/auth/signin_state.h"

#include "atrium/auth/v1/signin.service.h"
#include "services/auth/cookies.h"
#include "services/auth/store_identities.h"

enum {
    STATE_BYTES = 16, /* media's contract has 24 characters */
    SECRET_BYTES = 32,
    SECRET_CHARS = 43,
    STATE_MAX_CHARS = 64,
    STATE_LIFE_S = 600
};

static const char BASE64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *random_text(Arena *mem, size_t count)
{
    uint8_t bytes[SECRET_BYTES];

    random_bytes(bytes, sizeof(bytes));
    return base64url_encode(mem, slice_of(bytes, count));
}

char *pkce_challenge(Arena *mem, const char *verifier)
{
    return base64url_encode(mem, token_hash(mem, verifier));
}

/* With the prefix no other host of the domain can put its own in the place of ours. */
static bool is_tls(const Request *rq)
{
    const Auth *auth = rq->service;

    return slice_starts_with(slice(auth->settings->public_url), SLICE_LIT("https:"));
}

static const char *cookie_name(const Request *rq)
{
    return is_tls(rq) ? "__Host-atrium_signin" : "atrium_signin";
}

/* Empty: there is none, or not one of ours. */
static const char *browser_of(Request *rq)
{
    const char *value = slice_cstr(rq->mem, cookie_get(rq, cookie_name(rq)));

    return strlen(value) == SECRET_CHARS && strspn(value, BASE64URL) == SECRET_CHARS ? value : "";
}

Err signin_state_begin(Request *rq, SignInState *state)
{
    const char *browser = browser_of(rq);
    int64_t now_us = clock_unix_us(rq->clock);

    if (!browser[0])
        browser = random_text(rq->mem, SECRET_BYTES);
    state->state = arena_printf(rq->mem, "%s==", random_text(rq->mem, STATE_BYTES));
    state->nonce = random_text(rq->mem, SECRET_BYTES);
    state->verifier = random_text(rq->mem, SECRET_BYTES);
    TRY(identities_store_insert_state(rq, state, token_hash(rq->mem, state->state), token_hash(rq->mem, browser),
                                      now_us, now_us + (int64_t)STATE_LIFE_S * 1000000));
    cookie_set(rq, cookie_name(rq), browser, STATE_LIFE_S, is_tls(rq) ? COOKIE_SECURE : COOKIE_PLAIN);
    return OK;
}

Err signin_state_take(Request *rq, const char *provider, const char *state, SignInState *out)
{
    const char *browser = browser_of(rq);
    bool found = false;

    if (state && state[0] && strlen(state) <= STATE_MAX_CHARS && browser[0])
        TRY(identities_store_take_state(rq, token_hash(rq->mem, state), token_hash(rq->mem, browser), provider,
                                        clock_unix_us(rq->clock), out, &found));
    return found ? OK : err_make(&INVALID_STATE, "this sign-in is not good, or not good any more: begin again");
}
