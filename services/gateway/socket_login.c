/* socket_login: whose connection it is. A connection outlives the token with which it began: what it is bound to is the
 * login behind it. While that lasts, each request speaks for it by a fresh Atrium-Caller; when the token has expired,
 * the identity provider is asked about the login itself. Only what has no such login (an API key) keeps its text, and
 * ends with it. */
#include <sodium.h>

#include "services/gateway/socket_internal.h"

void socket_unbind(Socket *s)
{
    if (s->token)
        sodium_memzero(s->token, strlen(s->token));
    free(MOVE(s->token));
    free(MOVE(s->login_id));
    s->user_id = 0;
    s->has_login = false;
}

void socket_bind(Socket *s, int64_t user_id, const char *login_id, bool keep_token, Slice token)
{
    socket_unbind(s);
    s->user_id = user_id;
    s->has_login = login_id[0] != '\0';
    s->login_id = xstrdup(login_id);
    if (s->has_login)
        s->login = login_key(slice(login_id));
    if (keep_token || !s->has_login) {
        s->token = xmalloc(token.len + 1);
        memcpy(s->token, token.ptr, token.len);
        s->token[token.len] = '\0';
    }
}

AuthVerdict socket_identity(Socket *s, AuthDone done, Identity *out)
{
    Auth *auth = s->all->g->auth;

    if (!s->user_id) {
        *out = (Identity){.user_id = 0};
        return AUTH_GOOD;
    }
    return s->token ? auth_check(auth, slice(s->token), done, s, out)
                    : auth_check_login(auth, s->login_id, done, s, out);
}

/* An exact class asks Redis, and would answer later: here it counts, and the next one is told. */
static void ignore(void *data, RateDecision decision)
{
    (void)data, (void)decision;
}

bool socket_may_log_in(Socket *s, const Identity *identity)
{
    Gateway *g = s->all->g;
    const RateRule *rule = s->op->rate ? rate_rule_for(s->op->rate, identity->rate_tier) : NULL;
    char key[RATES_KEY_MAX_BYTES];
    RateDecision decision;
    int len;

    if (!rule || rule->limit == 0)
        return true;
    len = snprintf(key, sizeof(key), "%s|%s|login u%" PRId64, rule->name, rule->per_rpc ? s->op->rpc : "",
                   identity->user_id);
    return !rates_take(g->rates, rule, slice_of(key, MIN((size_t)len, sizeof(key) - 1)), loop_now_ms(g->loop), ignore,
                       NULL, &decision) ||
           decision.allowed;
}

bool socket_is_revoked(const Socket *s)
{
    return s->has_login && revocations_has(s->all->g->revocations, s->login);
}
