/* passkeys: adding them, removing them, and logging in by them. The challenge of a ceremony is what the client brings
 * back, so that one random text is both; its row is taken by the first answer, whatever that is. */
#include "atrium/auth/v1/factor.service.h"
#include "services/auth/accounts.h"
#include "services/auth/answers.h"
#include "services/auth/events.h"
#include "services/auth/login.h"
#include "services/auth/second_factor.h"
#include "services/auth/webauthn.h"

enum { CHALLENGE_BYTES = 32, CEREMONY_S = 300, NAME_MAX_CHARS = 64, NEVER_FAILED = 1 };
static const char ADDING[] = "passkey_add", LOGGING_IN[] = "passkey_login";

static Err invalid_passkey(void)
{
    return err_make(&INVALID_CODE, "the passkey was not accepted");
}

static Err site_of(Request *rq, WebauthnSite *out)
{
    const Auth *auth = rq->service;

    if (!webauthn_site(rq->mem, auth->settings->public_url, out))
        return err_make(&INTERNAL, "PUBLIC_URL has no host");
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- ceremonies */
/* `user_id` 0: whoever answers. The text is in base64url, as WebAuthn has it. */
static Err start_ceremony(Request *rq, const char *purpose, int64_t user_id, char **out)
{
    uint8_t bytes[CHALLENGE_BYTES];
    char *text;

    random_bytes(bytes, sizeof(bytes));
    text = base64url_encode(rq->mem, slice_of(bytes, sizeof(bytes)));
    TRY(factors_store_insert_challenge(
        rq, &(Challenge){.hash = token_hash(rq->mem, text),
                         .purpose = purpose,
                         .user_id = user_id,
                         .profile = "",
                         .method = "",
                         .expires_us = clock_unix_us(rq->clock) + (int64_t)CEREMONY_S * 1000000}));
    *out = text;
    return OK;
}

/* INVALID_CODE when it is over, or another's. */
static Err take_ceremony(Request *rq, const char *text, const char *purpose, int64_t user_id)
{
    Challenge found;
    bool taken;

    TRY(factors_store_challenge(rq, token_hash(rq->mem, text ? text : ""), purpose, clock_unix_us(rq->clock),
                                NEVER_FAILED, &found));
    if (found.hash.len == 0 || found.user_id != user_id)
        return invalid_passkey();
    TRY(factors_store_take_challenge(rq, found.hash, &taken));
    return taken ? OK : invalid_passkey();
}

/* ---------------------------------------------------------------------------------------------------- options */
static void add_credential(Arena *mem, StructList *list, Slice id)
{
    Struct *item = struct_new(mem);

    struct_set_text(mem, item, "type", "public-key");
    struct_set_text(mem, item, "id", base64url_encode(mem, id));
    struct_list_add_struct(mem, list, item);
}

static void add_algorithms(Arena *mem, Struct *options)
{
    static const int ALGORITHMS[] = {-7, -8, -257}; /* COSE: the best known first */
    StructList *list = struct_set_list(mem, options, "pubKeyCredParams");

    for (size_t i = 0; i < ARRAY_LEN(ALGORITHMS); i++) {
        Struct *item = struct_new(mem);

        struct_set_text(mem, item, "type", "public-key");
        struct_set_number(mem, item, "alg", ALGORITHMS[i]);
        struct_list_add_struct(mem, list, item);
    }
}

static Struct *user_of(Arena *mem, const Account *account)
{
    Uuid handle = uuid_from_user_id(account->id);
    Struct *user = struct_new(mem);

    struct_set_text(mem, user, "id", base64url_encode(mem, slice_of(handle.bytes, sizeof(handle.bytes))));
    struct_set_text(mem, user, "name", account->username);
    struct_set_text(mem, user, "displayName", account->display_name);
    return user;
}

static Struct *creation_options(Arena *mem, const WebauthnSite *site, const Account *account, const char *challenge,
                                const Passkey *passkeys, size_t count)
{
    Struct *options = struct_new(mem), *rp = struct_new(mem), *selection = struct_new(mem);
    StructList *excluded;

    struct_set_text(mem, rp, "id", site->rp_id);
    struct_set_text(mem, rp, "name", site->rp_id);
    struct_set_struct(mem, options, "rp", rp);
    struct_set_struct(mem, options, "user", user_of(mem, account));
    struct_set_text(mem, options, "challenge", challenge);
    add_algorithms(mem, options);
    struct_set_number(mem, options, "timeout", CEREMONY_S * 1000.0);
    excluded = struct_set_list(mem, options, "excludeCredentials");
    for (size_t i = 0; i < count; i++)
        add_credential(mem, excluded, passkeys[i].id);
    struct_set_text(mem, selection, "residentKey", "required");
    struct_set_bool(mem, selection, "requireResidentKey", true);
    struct_set_text(mem, selection, "userVerification", "required");
    struct_set_struct(mem, options, "authenticatorSelection", selection);
    struct_set_text(mem, options, "attestation", "none");
    return options;
}

/* ---------------------------------------------------------------------------------------------------- adding */
Err auth_v1_start_passkey(Request *rq, const Auth__V1__StartPasskeyRequest *in, Auth__V1__PasskeyOptions *out)
{
    WebauthnSite site;
    Passkey *passkeys;
    Account account;
    size_t count;

    TRY(caller_prove(rq, in->password, NULL));
    TRY(site_of(rq, &site));
    TRY(account_of_caller(rq, &account));
    TRY(factors_store_passkeys(rq, account.id, &passkeys, &count));
    if (count >= PASSKEYS_MAX)
        return err_make(&TOO_MANY_PASSKEYS, "%d passkeys at most; remove one first", PASSKEYS_MAX);
    TRY(start_ceremony(rq, ADDING, account.id, &out->ceremony));
    out->public_key = creation_options(rq->mem, &site, &account, out->ceremony, passkeys, count);
    return OK;
}

static bool decode(Request *rq, const char *text, Slice *out)
{
    return text && base64_decode(rq->mem, slice(text), out);
}

static Err check_new(Request *rq, const Auth__V1__AddPasskeyRequest *in, WebauthnCredential *out)
{
    Slice id, client_data, attestation;
    WebauthnSite site;

    TRY(site_of(rq, &site));
    TRY(take_ceremony(rq, in->ceremony, ADDING, rq->caller.user_id));
    if (!decode(rq, in->credential_id, &id) || !decode(rq, in->client_data_json, &client_data) ||
        !decode(rq, in->attestation_object, &attestation) ||
        !webauthn_check_registration(rq->mem, &site, slice(in->ceremony), client_data, attestation, out) ||
        !slice_eq(out->id, id))
        return invalid_passkey();
    return OK;
}

Err auth_v1_add_passkey(Request *rq, const Auth__V1__AddPasskeyRequest *in, Auth__V1__PasskeyInfo *out)
{
    size_t name_chars = utf8_length(slice(in->name));
    int64_t now_us = clock_unix_us(rq->clock);
    WebauthnCredential credential;
    PasskeyOutcome outcome;
    PasskeyKey key;

    if (name_chars == 0 || name_chars > NAME_MAX_CHARS)
        return err_make(&INVALID_ARGUMENT, "name: 1 to %d characters", NAME_MAX_CHARS);
    TRY(check_new(rq, in, &credential));
    key = (PasskeyKey){.user_id = rq->caller.user_id,
                       .id = credential.id,
                       .algorithm = credential.key.algorithm,
                       .public_key = credential.key.public_key,
                       .sign_count = credential.sign_count};
    memcpy(key.aaguid.bytes, credential.aaguid, sizeof(key.aaguid.bytes));
    TRY(factors_store_add_passkey(rq, &key, in->name, now_us, &outcome));
    if (outcome == PASSKEY_TOO_MANY)
        return err_make(&TOO_MANY_PASSKEYS, "%d passkeys at most; remove one first", PASSKEYS_MAX);
    if (outcome == PASSKEY_EXISTS)
        return err_make(&FACTOR_EXISTS, "this passkey is there already");
    out->id = base64url_encode(rq->mem, credential.id);
    out->name = arena_strdup(rq->mem, in->name);
    out->created_at = timestamp(rq->mem, now_us);
    return OK;
}

Err auth_v1_remove_passkey(Request *rq, const Auth__V1__RemovePasskeyRequest *in, Auth__V1__RemoveFactorReply *out)
{
    bool done;
    Slice id;
    (void)out;

    if (!decode(rq, in->passkey_id, &id))
        return err_make(&INVALID_ID, "passkey_id: not an id");
    TRY(caller_prove(rq, in->password, in->code));
    TRY(factors_store_remove_passkey(rq, rq->caller.user_id, id, &done));
    return done ? OK : err_make(&NOT_FOUND, "you have no such passkey");
}

/* ---------------------------------------------------------------------------------------------------- logging in */
Err auth_v1_start_passkey_login(Request *rq, const Auth__V1__StartPasskeyLoginRequest *in,
                                Auth__V1__PasskeyOptions *out)
{
    Struct *options = struct_new(rq->mem);
    WebauthnSite site;
    (void)in;

    TRY(site_of(rq, &site));
    TRY(start_ceremony(rq, LOGGING_IN, 0, &out->ceremony));
    struct_set_text(rq->mem, options, "challenge", out->ceremony);
    struct_set_text(rq->mem, options, "rpId", site.rp_id);
    struct_set_number(rq->mem, options, "timeout", CEREMONY_S * 1000.0);
    struct_set_text(rq->mem, options, "userVerification", "required");
    out->public_key = options;
    return OK;
}

/* Absent, or the one that user_of() told. */
static bool user_handle_fits(Request *rq, const char *text, int64_t user_id)
{
    Uuid wanted = uuid_from_user_id(user_id);
    Slice handle;

    return !text || !text[0] ||
           (decode(rq, text, &handle) && slice_eq(handle, slice_of(wanted.bytes, sizeof(wanted.bytes))));
}

static Err check_assertion(Request *rq, const Auth__V1__PasskeyAssertion *in, int64_t *out_user_id)
{
    Slice id, client_data, data, signature;
    uint32_t sign_count;
    WebauthnSite site;
    PasskeyKey passkey;
    bool counted;

    TRY(site_of(rq, &site));
    TRY(take_ceremony(rq, in->ceremony, LOGGING_IN, 0));
    if (!decode(rq, in->credential_id, &id) || !decode(rq, in->client_data_json, &client_data) ||
        !decode(rq, in->authenticator_data, &data) || !decode(rq, in->signature, &signature))
        return invalid_passkey();
    TRY(factors_store_passkey(rq, id, &passkey));
    if (passkey.user_id == 0 || !user_handle_fits(rq, in->user_handle, passkey.user_id) ||
        !webauthn_check_assertion(&site, slice(in->ceremony), client_data, data, signature,
                                  &(WebauthnKey){.algorithm = (int)passkey.algorithm, .public_key = passkey.public_key},
                                  &sign_count))
        return invalid_passkey();
    TRY(factors_store_use_passkey(rq, id, sign_count, clock_unix_us(rq->clock), &counted));
    if (!counted) {
        LOG_WARN(rq->log, "passkey_counter_went_back", "user_id", passkey.user_id);
        return invalid_passkey();
    }
    *out_user_id = passkey.user_id;
    return OK;
}

Err auth_v1_finish_passkey_login(Request *rq, const Auth__V1__PasskeyAssertion *in, Auth__V1__AuthResult *out)
{
    Account account;
    int64_t user_id = 0;
    Tokens tokens;
    Err e;

    TRY(check_assertion(rq, in, &user_id));
    TRY(auth_store_account(rq, user_id, &account));
    e = login_begin(rq, &account, LOGIN_BY_PASSKEY, token_set_of(rq), &tokens);
    if (e.reason == &INVALID_CREDENTIALS) /* disabled */
        return invalid_passkey();
    TRY(e);
    account.last_login_us = tokens.now_us;
    answer_tokens(rq, &tokens, &account, out);
    return OK;
}
