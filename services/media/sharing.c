/* sharing: who besides its owner may see a collection, and by which rules. */
#include <sodium.h>

#include "atrium/media/v1/collections.service.h"
#include "services/media/answers.h"
#include "services/media/permit.h"

/* Nobody's link ends before then: a way to say "never". */
#define NO_EXPIRY_BEFORE_S INT64_C(31536000)

static Err hash_password(Request *rq, const char *password, const char **out)
{
    char *hash = arena_alloc(rq->mem, crypto_pwhash_STRBYTES, 1);

    *out = "";
    if (!password[0])
        return OK;
    if (crypto_pwhash_str(hash, password, strlen(password), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                          crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0)
        return err_make(&UNAVAILABLE, "there is no memory to hash a password");
    *out = hash;
    return OK;
}

/* What takes rights away makes all that was opened before worthless. */
static void change(const Media__V1__ShareCollectionRequest *in, const char *password_hash, CollectionRow *row)
{
    bool less = false;

    if (in->has_is_public) {
        less |= row->is_public && !in->is_public;
        row->is_public = in->is_public;
    }
    if (in->regenerate_token) {
        less = true;
        row->share_token = uuid_v4();
    }
    if (in->has_link_enabled) {
        less |= row->link_enabled && !in->link_enabled;
        row->link_enabled = in->link_enabled;
    }
    if (in->expires_at)
        row->link_expires_us = in->expires_at->seconds < NO_EXPIRY_BEFORE_S
                                   ? 0
                                   : in->expires_at->seconds * 1000000 + in->expires_at->nanos / 1000;
    if (password_hash) {
        less |= password_hash[0] != 0;
        row->password_hash = password_hash;
    }
    if (in->has_allow_download)
        row->allow_download = in->allow_download;
    row->share_generation += less;
}

static void answer_share(Request *rq, const char *id, const CollectionRow *row, Media__V1__Share *out)
{
    SET(out, is_public, row->is_public);
    out->share_token = uuid_text(rq->mem, row->share_token);
    out->share_url = arena_printf(rq->mem, "/collection/%s?token=%s", id, out->share_token);
    SET(out, link_enabled, row->link_enabled);
    out->expires_at = answer_time(rq->mem, row->link_expires_us);
    SET(out, has_password, row->password_hash[0] != 0);
    SET(out, allow_download, row->allow_download);
    SET(out, view_count, row->view_count);
}

Err media_v1_share_collection(Request *rq, const Media__V1__ShareCollectionRequest *in, Media__V1__Share *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const char *hash = NULL;
    CollectionRow row;

    TRY(permit_collection(rq, NULL, in->collection_id, &row));
    if (slice(in->password).len > SHARE_PASSWORD_MAX_BYTES)
        return err_make(&INVALID_ARGUMENT, "password: at most %d bytes", SHARE_PASSWORD_MAX_BYTES);
    if (in->password)
        TRY(hash_password(rq, in->password, &hash));
    TRY(db_tx_begin(rq, &tx));
    TRY(permit_collection(rq, &tx, in->collection_id, &row));
    change(in, hash, &row);
    TRY(media_store_update_collection(&tx, &row));
    TRY(db_tx_commit(&tx));
    answer_share(rq, in->collection_id, &row, out);
    return OK;
}

/* --- passwords
 * ---------------------------------------------------------------------------------------------------------- */
static bool password_fits(const CollectionRow *row, Slice password)
{
    if (!row->password_hash[0])
        return true;
    return password.len <= SHARE_PASSWORD_MAX_BYTES &&
           crypto_pwhash_str_verify(row->password_hash, password.ptr ? password.ptr : "", password.len) == 0;
}

Err media_v1_unlock_collection(Request *rq, const Media__V1__UnlockCollectionRequest *in,
                               Media__V1__UnlockCollectionReply *out)
{
    const Media *media = rq->service;
    int64_t now_us = clock_unix_us(rq->clock);
    Ticket ticket = {.kind = TICKET_ACCESS,
                     .login_id = "",
                     .id = "",
                     .content_type = "",
                     .filename = "",
                     .expires_ms = now_us / 1000 + SHARE_ACCESS_MS};
    CollectionRow row;
    Uuid id;

    if (!uuid_parse(slice(in->collection_id), &id))
        return err_make(&NOT_FOUND, "collection not found");
    TRY(media_store_collection(rq, NULL, id, &row));
    if (row.owner_id == 0)
        return err_make(&NOT_FOUND, "collection not found");
    if (!slice_eq_secret(slice(in->token), slice(uuid_text(rq->mem, row.share_token))) ||
        !share_link_lives(&row, now_us))
        return err_make(&PERMISSION_DENIED, "access denied");
    if (!password_fits(&row, slice(in->password)))
        return err_make(&PASSWORD_REQUIRED, "wrong password");
    ticket.resource = uuid_text(rq->mem, row.id);
    ticket.generation = (uint64_t)row.share_generation;
    TRY(ticket_sign(media->tickets, rq->mem, &ticket, &out->access));
    out->expires_at = answer_time(rq->mem, ticket.expires_ms * 1000);
    return OK;
}
