/* credentials: see credentials.h. */
#include "services/gateway/credentials.h"

#include <sodium.h>

static const char ADMIN_TIER[] = "admin"; /* see RateTier in options.proto */

struct Credentials {
    Auth *auth;
    size_t entries_max;
    uint8_t secret[crypto_generichash_KEYBYTES]; /* so that callers cannot aim at one bucket */
    Credential **buckets;
    size_t bucket_count, count; /* bucket_count is a power of two */
    Credential *newest, *oldest;
};

/* --- the cache --------------------------------------------------------------------------------------------------- */
void credentials_hash(const Credentials *cache, Slice token, uint8_t out[CREDENTIAL_HASH_BYTES])
{
    crypto_generichash(out, CREDENTIAL_HASH_BYTES, (const unsigned char *)token.ptr, token.len, cache->secret,
                       sizeof(cache->secret));
}

static Credential **bucket_of(Credentials *cache, const uint8_t hash[CREDENTIAL_HASH_BYTES])
{
    size_t at;

    memcpy(&at, hash, sizeof(at));
    return &cache->buckets[at & (cache->bucket_count - 1)];
}

static void unlink_use(Credentials *cache, Credential *c)
{
    *(c->newer ? &c->newer->older : &cache->newest) = c->older;
    *(c->older ? &c->older->newer : &cache->oldest) = c->newer;
    c->newer = c->older = NULL;
}

static void link_newest(Credentials *cache, Credential *c)
{
    c->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = c;
    cache->newest = c;
}

Credential *credentials_find(Credentials *cache, const uint8_t hash[CREDENTIAL_HASH_BYTES])
{
    for (Credential *c = *bucket_of(cache, hash); c; c = c->next)
        if (memcmp(c->hash, hash, CREDENTIAL_HASH_BYTES) == 0)
            return c;
    return NULL;
}

void credentials_touch(Credentials *cache, Credential *c)
{
    unlink_use(cache, c);
    link_newest(cache, c);
}

static void forget_callers(Credential *c)
{
    for (size_t i = 0; i < c->caller_count; i++)
        free(c->callers[i].header);
    c->caller_count = 0;
}

static void forget_facts(Credential *c)
{
    forget_callers(c);
    free(c->username);
    free(c->login_id);
    free(c->roles);
    free(c->own);
    free(c->permissions);
    free(c->unverified);
    c->username = c->login_id = c->unverified = NULL;
    c->roles = c->own = c->permissions = NULL;
    c->role_count = c->own_count = c->permission_count = 0;
    c->generation = 0;
}

void credentials_drop(Credentials *cache, Credential *c)
{
    Credential **link = bucket_of(cache, c->hash);

    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    unlink_use(cache, c);
    forget_facts(c);
    while (c->waiting) {
        Waiting *w = c->waiting;

        c->waiting = w->next;
        free(w);
    }
    free(c);
    cache->count--;
}

/* The one used longest ago that nobody waits for. */
static void make_room(Credentials *cache)
{
    Credential *c = cache->oldest;

    while (c && c->state == CREDENTIAL_ASKED)
        c = c->newer;
    if (c)
        credentials_drop(cache, c);
}

Credential *credentials_insert(Credentials *cache, const uint8_t hash[CREDENTIAL_HASH_BYTES])
{
    Credential *c = xcalloc(1, sizeof(*c)), **bucket = bucket_of(cache, hash);

    if (cache->count >= cache->entries_max)
        make_room(cache);
    c->auth = cache->auth;
    memcpy(c->hash, hash, CREDENTIAL_HASH_BYTES);
    c->next = *bucket;
    *bucket = c;
    link_newest(cache, c);
    cache->count++;
    return c;
}

Credentials *credentials_new(Auth *auth, size_t entries_max)
{
    Credentials *cache = xcalloc(1, sizeof(*cache));

    cache->auth = auth;
    cache->entries_max = entries_max;
    randombytes_buf(cache->secret, sizeof(cache->secret));
    cache->bucket_count = 16;
    while (cache->bucket_count < entries_max)
        cache->bucket_count *= 2;
    cache->buckets = xcalloc(cache->bucket_count, sizeof(Credential *));
    return cache;
}

void credentials_free(Credentials *cache)
{
    if (!cache)
        return;
    while (cache->newest)
        credentials_drop(cache, cache->newest);
    sodium_memzero(cache->secret, sizeof(cache->secret));
    free(cache->buckets);
    free(cache);
}

/* --- what is known of one ---------------------------------------------------------------------------------------- */
/* The list and its texts in one piece. */
static const char **copy_words(const char *const *list, size_t count)
{
    size_t bytes = count * sizeof(list[0]);
    const char **copy;
    char *text;

    for (size_t i = 0; i < count; i++)
        bytes += strlen(list[i]) + 1;
    copy = xmalloc(bytes + 1);
    text = (char *)(copy + count);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(list[i]) + 1;

        copy[i] = memcpy(text, list[i], len);
        text += len;
    }
    return copy;
}

void credential_set(Credential *c, const CredentialFacts *facts)
{
    forget_facts(c);
    c->state = CREDENTIAL_GOOD;
    c->user_id = facts->user_id;
    c->expires_ms = facts->expires_ms;
    c->issued_ms = facts->issued_ms;
    c->role = facts->role;
    c->username = xstrdup(facts->username ? facts->username : "");
    c->login_id = xstrdup(facts->login_id ? facts->login_id : "");
    c->has_login = c->login_id[0] != '\0';
    c->login = login_key(slice(c->login_id));
    c->roles = copy_words(facts->roles, facts->role_count);
    c->role_count = facts->role_count;
    c->own = copy_words(facts->permissions, facts->permission_count);
    c->own_count = facts->permission_count;
    c->api_key = facts->api_key;
    snprintf(c->rate_tier, sizeof(c->rate_tier), "%s",
             facts->rate_tier                               ? facts->rate_tier
             : !facts->api_key && facts->role == ROLE_ADMIN ? ADMIN_TIER
                                                            : "");
}

static void add_permissions(Credential *c, const char *const *list, size_t count)
{
    if (!count)
        return;
    c->permissions = xrealloc(c->permissions, (c->permission_count + count) * sizeof(list[0]));
    memcpy(c->permissions + c->permission_count, list, count * sizeof(list[0]));
    c->permission_count += count;
}

static void add_role(Credential *c, const Grants *grants, const char *name)
{
    RoleGrants granted = grants_of_role(grants, name);

    add_permissions(c, granted.permissions, granted.permission_count);
}

void credential_apply_grants(Credential *c, const Grants *grants)
{
    if (c->generation == grants_generation(grants))
        return;
    forget_callers(c);
    c->permission_count = 0;
    add_permissions(c, c->own, c->own_count);
    for (size_t i = 0; i < c->role_count; i++)
        add_role(c, grants, c->roles[i]);
    /* A key has what it lists; a person's rank has what those below it have. */
    for (Role rank = ROLE_USER; !c->api_key && rank <= c->role; rank++)
        add_role(c, grants, role_name(rank));
    c->generation = grants_generation(grants);
}

SignedCaller *credential_caller(Credential *c, const char *domain)
{
    SignedCaller *place;

    for (size_t i = 0; i < c->caller_count; i++)
        if (strcmp(c->callers[i].domain, domain) == 0)
            return &c->callers[i];
    if (c->caller_count == SIGNED_MAX) {
        free(c->callers[0].header);
        memmove(c->callers, c->callers + 1, (SIGNED_MAX - 1) * sizeof(c->callers[0]));
        c->caller_count--;
    }
    place = &c->callers[c->caller_count++];
    *place = (SignedCaller){.header = NULL};
    snprintf(place->domain, sizeof(place->domain), "%s", domain);
    return place;
}
