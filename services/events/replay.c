/* replay: see replay.h. */
#include "services/events/replay.h"

static const char *whose(Request *rq)
{
    return rq->caller.api_key ? arena_printf(rq->mem, "key:%s", rq->caller.login_id)
                              : arena_printf(rq->mem, "user:%" PRId64, rq->caller.user_id);
}

Err replay_begin(Request *rq, DbTx *tx, const char *rpc, Slice canonical, Replay *replay, bool *out_answered,
                 Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    const char *key = request_header(rq, "idempotency-key");
    IdempotencyReply reply;
    Err e;

    *replay = (Replay){.active = key != NULL};
    *out_answered = false;
    if (!key)
        return OK;
    replay->claim =
        (IdempotencyClaim){.key = key, .caller = whose(rq), .rpc = arena_printf(rq->mem, "events.v1.%s", rpc)};
    idempotency_fingerprint(canonical, replay->claim.fingerprint);
    e = idempotency_claim(tx, rq->mem, &replay->claim, out_answered, &reply);
    if (e.reason == &IDEMPOTENCY_RUNNING)
        request_set_retry_after(rq, 1);
    TRY(e);
    if (!*out_answered)
        return OK;
    request_set_status(rq, strcmp(events->settings->idempotency_replay, "original") == 0 ? reply.http_status : 409);
    request_set_header(rq, "Idempotency-Replayed", "true");
    out->content_type = (char *)(uintptr_t)reply.headers.ptr;
    out->data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)reply.body.ptr, .len = reply.body.len};
    out->has_data = true;
    return OK;
}

Err replay_store(DbTx *tx, const Replay *replay, int http_status, const Atrium__HttpBody *reply)
{
    if (!replay->active)
        return OK;
    return idempotency_store(tx, &replay->claim,
                             &(IdempotencyReply){.http_status = http_status,
                                                 .headers = slice(reply->content_type),
                                                 .body = slice_of(reply->data.data, reply->data.len)});
}
