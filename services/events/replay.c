/* replay: see replay.h. */
#include "services/events/replay.h"

enum { HEADERS_MAX_BYTES = 4096 };

static const char *whose(Request *rq)
{
    return rq->caller.api_key ? arena_printf(rq->mem, "key:%s", rq->caller.login_id)
                              : arena_printf(rq->mem, "user:%" PRId64, rq->caller.user_id);
}

/* The content type, and behind it a line "Name: value" for each. */
static Slice keep_headers(Request *rq, const char *content_type)
{
    static const char *const KEPT[] = {"Location", "ETag"};
    StrBuf out = strbuf_new(rq->mem, HEADERS_MAX_BYTES);
    Slice text;

    strbuf_append_cstr(&out, content_type);
    for (size_t i = 0; i < rq->reply.header_count; i++)
        for (size_t k = 0; k < ARRAY_LEN(KEPT); k++)
            if (strcmp(rq->reply.headers[i].name, KEPT[k]) == 0)
                strbuf_append_cstr(&out, arena_printf(rq->mem, "\n%s: %s", KEPT[k], rq->reply.headers[i].value));
    return strbuf_finish(&out, &text) ? text : slice(content_type);
}

static char *restore_headers(Request *rq, Slice kept)
{
    Slice type, rest, line, name, value;

    if (!slice_cut(kept, '\n', &type, &rest))
        return slice_cstr(rq->mem, kept);
    while (rest.len) {
        (void)slice_cut(rest, '\n', &line, &rest); /* false is the last one */
        if (slice_cut(line, ':', &name, &value))
            request_set_header(rq, slice_cstr(rq->mem, name), slice_cstr(rq->mem, slice_trim(value)));
    }
    return slice_cstr(rq->mem, type);
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
    out->content_type = restore_headers(rq, reply.headers);
    out->data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)reply.body.ptr, .len = reply.body.len};
    out->has_data = true;
    return OK;
}

Err replay_store(Request *rq, DbTx *tx, const Replay *replay, int http_status, const Atrium__HttpBody *reply)
{
    if (!replay->active)
        return OK;
    return idempotency_store(tx, &replay->claim,
                             &(IdempotencyReply){.http_status = http_status,
                                                 .headers = keep_headers(rq, reply->content_type),
                                                 .body = slice_of(reply->data.data, reply->data.len)});
}
