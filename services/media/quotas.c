/* quotas: what users use, and which content they have already. */
#include "services/media/store_digests.h"
#include "services/media/store_quota.h"

enum { SHA256_BYTES = 32 };

static void answer_usage(const QuotaRow *quota, Media__V1__Usage *out)
{
    SET(out, used_bytes, quota->used_bytes);
    SET(out, reserved_bytes, quota->reserved_bytes);
    SET(out, item_count, quota->item_count);
    if (quota->limit_bytes >= 0)
        SET(out, limit_bytes, quota->limit_bytes);
}

static Err tell_usage(Request *rq, int64_t user_id, Media__V1__Usage *out)
{
    QuotaRow quota;

    TRY(media_store_quota(rq, user_id, &quota));
    answer_usage(&quota, out);
    return OK;
}

Err media_v1_get_usage(Request *rq, const Media__V1__GetUsageRequest *in, Media__V1__Usage *out)
{
    (void)in;
    return tell_usage(rq, rq->caller.user_id, out);
}

/* Accounts are auth's: one that was never here uses nothing. */
Err media_v1_get_user_usage(Request *rq, const Media__V1__GetUserUsageRequest *in, Media__V1__Usage *out)
{
    return tell_usage(rq, in->user_id, out);
}

Err media_v1_set_user_quota(Request *rq, const Media__V1__SetUserQuotaRequest *in, Media__V1__Usage *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    if (in->user_id <= 0)
        return err_make(&INVALID_ARGUMENT, "user_id: none of a user");
    if (in->has_limit_bytes && in->limit_bytes < 0)
        return err_make(&INVALID_ARGUMENT, "limit_bytes: 0 or more");
    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_set_quota(&tx, in->user_id, in->has_limit_bytes ? in->limit_bytes : -1));
    TRY(db_tx_commit(&tx));
    return tell_usage(rq, in->user_id, out);
}

/* --- content that is there -------------------------------------------------------------------------------------------
 */
Err media_v1_check_digests(Request *rq, const Media__V1__CheckDigestsRequest *in, Media__V1__CheckDigestsReply *out)
{
    DigestRow *rows;
    size_t count;

    if (in->n_sha256 > DIGESTS_MAX)
        return err_make(&INVALID_ARGUMENT, "sha256: at most %d", DIGESTS_MAX);
    for (size_t i = 0; i < in->n_sha256; i++) {
        Slice digest;

        if (!hex_decode(rq->mem, slice(in->sha256[i]), &digest) || digest.len != SHA256_BYTES)
            return err_make(&INVALID_ARGUMENT, "sha256: 64 hex digits each");
    }
    TRY(media_store_known_digests(rq, rq->caller.user_id, in->sha256, in->n_sha256, &rows, &count));
    out->known = ARENA_ARRAY(rq->mem, Media__V1__KnownDigest *, count + 1);
    for (size_t i = 0; i < count; i++) {
        Media__V1__KnownDigest *known = MESSAGE_NEW(rq->mem, Media__V1__KnownDigest, media__v1__known_digest__init);

        known->sha256 = (char *)rows[i].sha256_hex;
        known->media_id = uuid_text(rq->mem, rows[i].media_id);
        out->known[out->n_known++] = known;
    }
    return OK;
}
