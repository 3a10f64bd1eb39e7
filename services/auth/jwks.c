/* jwks: what the world learns of the keys that tokens are signed with, and of whom a token is. */
#include "atrium/auth/v1/console.service.h"
#include "services/auth/accounts.h"
#include "services/auth/signing_keys.h"
#include "services/auth/store_console.h"

enum { DOCUMENT_MAX_BYTES = 64 * 1024 };

/* Short: a successor is published for JWT_KEY_LEAD before it signs, and copies must be renewed by then. */
static const char CACHE_CONTROL[] = "public, max-age=30";

static Err live_keys(Request *rq, SigningKeyRow **out, size_t *out_count)
{
    const Auth *auth = rq->service;

    return auth_store_signing_keys(rq, clock_unix_us(rq->clock) - signing_keys_afterlife_us(auth->settings), out,
                                   out_count);
}

static void answer_document(Request *rq, StrBuf *text, Atrium__HttpBody *out)
{
    Slice bytes = strbuf_slice(text);

    request_set_header(rq, "Cache-Control", CACHE_CONTROL);
    out->content_type = arena_strdup(rq->mem, "application/json");
    SET(out, data, ((ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)(uintptr_t)bytes.ptr}));
}

Err auth_v1_get_jwks(Request *rq, const Auth__V1__GetJwksRequest *in, Atrium__HttpBody *out)
{
    StrBuf text = strbuf_new(rq->mem, DOCUMENT_MAX_BYTES);
    SigningKeyRow *rows;
    size_t count;
    (void)in;

    TRY(live_keys(rq, &rows, &count));
    strbuf_append_cstr(&text, "{\"keys\":[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            strbuf_append_char(&text, ',');
        strbuf_append_cstr(&text, jws_jwk(rq->mem, rows[i].alg, rows[i].kid, rows[i].public_key));
    }
    strbuf_append_cstr(&text, "]}");
    answer_document(rq, &text, out);
    return OK;
}

static void add_member(StrBuf *text, const char *name, const char *base, const char *path)
{
    StrBuf value = strbuf_new(text->mem, DOCUMENT_MAX_BYTES);

    strbuf_append_cstr(&value, base);
    strbuf_append_cstr(&value, path);
    strbuf_printf(text, "\"%s\":", name);
    strbuf_append_json(text, strbuf_slice(&value));
    strbuf_append_char(text, ',');
}

/* What is true of us, and no more: no endpoints that we do not have. */
Err auth_v1_get_openid_configuration(Request *rq, const Auth__V1__GetJwksRequest *in, Atrium__HttpBody *out)
{
    const Auth *auth = rq->service;
    const char *base = auth->settings->public_url;
    StrBuf text = strbuf_new(rq->mem, DOCUMENT_MAX_BYTES);
    (void)in;

    strbuf_append_char(&text, '{');
    add_member(&text, "issuer", base, "");
    add_member(&text, "jwks_uri", base, "/.well-known/jwks.json");
    add_member(&text, "userinfo_endpoint", base, "/api/v1/auth/userinfo");
    strbuf_printf(&text,
                  "\"id_token_signing_alg_values_supported\":[\"%s\"],\"subject_types_supported\":[\"public\"],"
                  "\"response_types_supported\":[],\"claims_supported\":[\"sub\",\"user_id\",\"username\",\"email\","
                  "\"role\",\"roles\",\"sid\",\"jti\",\"iss\",\"iat\",\"nbf\",\"exp\"]}",
                  auth->settings->jwt_algorithm);
    answer_document(rq, &text, out);
    return OK;
}

static Atrium__SigningKey *answer_key(Request *rq, const SigningKeyRow *row, int64_t afterlife_us)
{
    Atrium__SigningKey *key = MESSAGE_NEW(rq->mem, Atrium__SigningKey, atrium__signing_key__init);

    key->kid = arena_strdup(rq->mem, row->kid);
    key->algorithm = arena_strdup(rq->mem, jws_alg_name(row->alg));
    SET(key, public_key,
        ((ProtobufCBinaryData){.len = row->public_key.len, .data = (uint8_t *)(uintptr_t)row->public_key.ptr}));
    if (row->retires_us)
        SET(key, until_ms, (row->retires_us + afterlife_us) / 1000);
    return key;
}

Err auth_v1_get_signing_keys(Request *rq, const Atrium__GetSigningKeysRequest *in, Atrium__GetSigningKeysReply *out)
{
    const Auth *auth = rq->service;
    SigningKeyRow *rows;
    size_t count;
    (void)in;

    TRY(live_keys(rq, &rows, &count));
    out->keys = ARENA_ARRAY(rq->mem, Atrium__SigningKey *, count + 1);
    for (size_t i = 0; i < count; i++)
        out->keys[i] = answer_key(rq, &rows[i], signing_keys_afterlife_us(auth->settings));
    out->n_keys = count;
    return OK;
}

Err auth_v1_rotate_signing_key(Request *rq, const Auth__V1__RotateSigningKeyRequest *in,
                               Auth__V1__RotateSigningKeyReply *out)
{
    const Auth *auth = rq->service;
    const char *kid;
    (void)in;

    if (!auth->signing)
        return err_make(&NO_SIGNING_KEYS, "tokens are signed by JWT_SECRET: there is no key to rotate");
    TRY(signing_keys_rotate(auth->signing, rq, &kid));
    out->kid = arena_strdup(rq->mem, kid);
    return OK;
}

Err auth_v1_get_userinfo(Request *rq, const Auth__V1__GetUserinfoRequest *in, Auth__V1__Userinfo *out)
{
    bool verified;
    Account account;
    (void)in;

    TRY(account_of_caller(rq, &account));
    out->sub = arena_printf(rq->mem, "%" PRId64, account.id);
    out->preferred_username = arena_strdup(rq->mem, account.username);
    out->name = arena_strdup(rq->mem, account.display_name);
    if (!account.email)
        return OK;
    TRY(auth_store_email_is_verified(rq, account.id, &verified));
    out->email = arena_strdup(rq->mem, account.email);
    SET(out, email_verified, verified);
    return OK;
}
