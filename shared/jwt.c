#include "shared/jwt.h"

#include <jansson.h>
#include <sodium.h>

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"

struct JwtKey {
    size_t len;
    unsigned char *secret;
};

Err jwt_key_new(Slice secret, JwtKey **out)
{
    JwtKey *key;

    if (sodium_init() < 0)
        return err_make(&INTERNAL, "libsodium does not start");
    if (secret.len < JWT_SECRET_MIN_BYTES)
        return err_make(&INVALID_ARGUMENT, "token secret: at least %d bytes", JWT_SECRET_MIN_BYTES);
    key = xcalloc(1, sizeof(*key));
    key->len = secret.len;
    key->secret = memcpy(xmalloc(secret.len), secret.ptr, secret.len);
    *out = key;
    return OK;
}

void jwt_key_free(JwtKey *key)
{
    if (!key)
        return;
    sodium_memzero(key->secret, key->len);
    free(key->secret);
    free(key);
}

static void sign(const JwtKey *key, Slice text, unsigned char out[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256_state state;

    /* None of the three has a way to fail. */
    (void)crypto_auth_hmacsha256_init(&state, key->secret, key->len);
    (void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)text.ptr, text.len);
    (void)crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof(state));
}

/* {"alg":"HS256","typ":"JWT"} */
static const char OUR_HEADER[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/* ---------------------------------------------------------------------------------------------------- minting */

static void add_text(StrBuf *b, const char *name, const char *value)
{
    if (!value || !value[0])
        return;
    strbuf_printf(b, ",\"%s\":", name);
    strbuf_append_json(b, slice(value));
}

/* Left out when there are none: most people have only their rank. */
static void add_roles(StrBuf *b, const JwtClaims *claims)
{
    assert(claims->role_count <= JWT_ROLES_MAX);
    for (size_t i = 0; i < claims->role_count; i++) {
        strbuf_append_cstr(b, i == 0 ? ",\"roles\":[" : ",");
        strbuf_append_json(b, slice(claims->roles[i]));
    }
    if (claims->role_count)
        strbuf_append_char(b, ']');
}

static void add_time(StrBuf *b, const char *name, int64_t value)
{
    if (value)
        strbuf_printf(b, ",\"%s\":%" PRId64, name, value);
}

char *jwt_claims_write(Arena *mem, const JwtClaims *claims)
{
    StrBuf payload = strbuf_new(mem, JWT_MAX_BYTES);

    strbuf_printf(&payload, "{\"user_id\":\"%" PRId64 "\",\"sub\":\"%" PRId64 "\"", claims->user_id, claims->user_id);
    add_text(&payload, "username", claims->username);
    add_text(&payload, "email", claims->email);
    add_text(&payload, "role", claims->role);
    add_roles(&payload, claims);
    add_text(&payload, "sid", claims->login_id);
    add_text(&payload, "jti", claims->jti);
    add_text(&payload, "iss", claims->issuer);
    add_time(&payload, "iat", claims->issued_s);
    add_time(&payload, "nbf", claims->not_before_s);
    add_time(&payload, "exp", claims->expires_s);
    strbuf_append_char(&payload, '}');
    assert(!payload.overflow); /* names and addresses are bounded where they enter */
    return slice_cstr(mem, strbuf_slice(&payload));
}

char *jwt_mint(const JwtKey *key, Arena *mem, const JwtClaims *claims)
{
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    StrBuf token = strbuf_new(mem, 2 * JWT_MAX_BYTES);

    strbuf_append_cstr(&token, OUR_HEADER);
    strbuf_append_char(&token, '.');
    strbuf_append_cstr(&token, base64url_encode(mem, slice(jwt_claims_write(mem, claims))));
    sign(key, strbuf_slice(&token), mac);
    strbuf_append_char(&token, '.');
    strbuf_append_cstr(&token, base64url_encode(mem, slice_of(mac, sizeof(mac))));
    return slice_cstr(mem, strbuf_slice(&token));
}

/* ---------------------------------------------------------------------------------------------------- verifying */

static void json_free(json_t *json)
{
    json_decref(json);
}
CLEANUP_FN(json_t, json_free)

static Err refuse(const char *why)
{
    return err_make(&UNAUTHENTICATED, "token: %s", why);
}

/* The URL alphabet without padding is the only form. */
static bool decode_part(Arena *mem, Slice part, Slice *out)
{
    return slice_find_char(part, '=') < 0 && slice_find_char(part, '+') < 0 && slice_find_char(part, '/') < 0 &&
           base64_decode(mem, part, out);
}

/* NULL when it is none. */
static json_t *load_object(Slice text)
{
    json_t *json = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

static Err check_header(Arena *mem, Slice part)
{
    Slice text = SLICE_LIT("");
    CLEANUP(json_free_at) json_t *header = decode_part(mem, part, &text) ? load_object(text) : NULL;
    const char *alg = json_string_value(json_object_get(header, "alg"));
    const json_t *typ = json_object_get(header, "typ");

    if (!header)
        return refuse("header is not a JSON object");
    if (!alg || strcmp(alg, "HS256") != 0)
        return refuse("algorithm is not HS256");
    if (typ && !(json_is_string(typ) && slice_eq_nocase(slice(json_string_value(typ)), SLICE_LIT("JWT"))))
        return refuse("type is not JWT");
    if (json_object_get(header, "crit"))
        return refuse("has critical extensions");
    return OK;
}

static Err take_text(Arena *mem, const json_t *payload, const char *name, const char **out)
{
    const json_t *value = json_object_get(payload, name);

    if (value && !json_is_string(value))
        return err_make(&UNAUTHENTICATED, "token: %s is not a string", name);
    *out = value ? arena_strdup(mem, json_string_value(value)) : "";
    return OK;
}

static Err take_roles(Arena *mem, const json_t *payload, JwtClaims *out)
{
    const json_t *list = json_object_get(payload, "roles");
    size_t count = json_array_size(list); /* 0 of what is no array */
    const char **roles = ARENA_ARRAY(mem, const char *, count + 1);

    if (list && (!json_is_array(list) || count > JWT_ROLES_MAX))
        return refuse("roles is not a short list");
    for (size_t i = 0; i < count; i++) {
        const char *role = json_string_value(json_array_get(list, i));

        if (!role)
            return refuse("a role is not a string");
        roles[i] = arena_strdup(mem, role);
    }
    out->roles = roles;
    out->role_count = count;
    return OK;
}

static Err take_time(const json_t *payload, const char *name, int64_t *out)
{
    const json_t *value = json_object_get(payload, name);

    if (value && (!json_is_integer(value) || json_integer_value(value) < 0))
        return err_make(&UNAUTHENTICATED, "token: %s is not a time", name);
    *out = json_integer_value(value); /* 0 when absent */
    return OK;
}

/* A decimal string: digits only, the first no zero. */
static Err take_user_id(const json_t *payload, int64_t *out)
{
    Slice text = slice(json_string_value(json_object_get(payload, "user_id")));

    if (text.len == 0 || text.ptr[0] < '1' || text.ptr[0] > '9' || !slice_to_int64(text, out))
        return refuse("user_id is not a positive number in a string");
    return OK;
}

static Err take_claims(Arena *mem, Slice json, JwtClaims *out)
{
    CLEANUP(json_free_at) json_t *payload = load_object(json);

    if (!payload)
        return refuse("claims are not a JSON object");
    TRY(take_user_id(payload, &out->user_id));
    TRY(take_text(mem, payload, "username", &out->username));
    TRY(take_text(mem, payload, "email", &out->email));
    TRY(take_text(mem, payload, "role", &out->role));
    TRY(take_roles(mem, payload, out));
    TRY(take_text(mem, payload, "sid", &out->login_id));
    TRY(take_text(mem, payload, "jti", &out->jti));
    TRY(take_text(mem, payload, "iss", &out->issuer));
    TRY(take_time(payload, "iat", &out->issued_s));
    TRY(take_time(payload, "nbf", &out->not_before_s));
    return take_time(payload, "exp", &out->expires_s);
}

static Err check_signature(const JwtKey *key, Arena *mem, Slice signed_text, Slice signature)
{
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    bool good;

    sign(key, signed_text, mac);
    good = slice_eq_secret(signature, slice(base64url_encode(mem, slice_of(mac, sizeof(mac)))));
    sodium_memzero(mac, sizeof(mac));
    return good ? OK : refuse("wrong signature");
}

Err jwt_claims_read(Arena *mem, const Clock *clock, Slice json, JwtClaims *out)
{
    int64_t now_s = clock_unix_ms(clock) / 1000;
    JwtClaims claims = {0};

    TRY(take_claims(mem, json, &claims));
    if (claims.expires_s == 0)
        return refuse("has no expiry");
    if (claims.expires_s <= now_s)
        return refuse("expired");
    if (claims.not_before_s > now_s)
        return refuse("not valid yet");
    *out = claims;
    return OK;
}

Err jwt_verify(const JwtKey *key, Arena *mem, const Clock *clock, Slice token, JwtClaims *out)
{
    Slice header, payload, signature, json;

    if (token.len > JWT_MAX_BYTES)
        return refuse("too long");
    if (!slice_cut(token, '.', &header, &payload) || !slice_cut(payload, '.', &payload, &signature))
        return refuse("not three parts");
    /* The signature first: nothing that a stranger wrote is parsed. */
    TRY(check_signature(key, mem, slice_of(token.ptr, header.len + 1 + payload.len), signature));
    if (!slice_eq_cstr(header, OUR_HEADER)) /* most are ours: no need to read that one again and again */
        TRY(check_header(mem, header));
    if (!decode_part(mem, payload, &json))
        return refuse("claims are not base64url");
    return jwt_claims_read(mem, clock, json, out);
}
