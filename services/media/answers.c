/* answers: items as the wire shows them. */
#include "services/media/answers.h"

enum { MS_PER_S = 1000 };
#define US_PER_DAY (INT64_C(86400) * 1000000)

Google__Protobuf__Timestamp *answer_time(Arena *mem, int64_t unix_us)
{
    Google__Protobuf__Timestamp *t;

    if (unix_us == 0)
        return NULL;
    t = MESSAGE_NEW(mem, Google__Protobuf__Timestamp, google__protobuf__timestamp__init);
    t->seconds = unix_us / 1000000;
    t->nanos = (int32_t)(unix_us % 1000000 * 1000);
    return t;
}

static void answer_failure(Arena *mem, const ItemRow *row, Media__V1__Item *out)
{
    out->failure = MESSAGE_NEW(mem, Media__V1__Failure, media__v1__failure__init);
    out->failure->code = arena_strdup(mem, row->failure_code);
    SET(out->failure, retryable, row->failure_retryable);
}

void answer_item(Request *rq, const ItemRow *row, Media__V1__Item *out)
{
    const Media *media = rq->service;

    out->id = uuid_text(rq->mem, row->id);
    out->title = (char *)row->title;
    out->original_filename = (char *)row->original_filename;
    out->mime_type = (char *)row->mime_type;
    SET(out, size_bytes, row->size_bytes);
    SET(out, duration_seconds, row->duration_ms > 0 ? (int32_t)MIN(row->duration_ms / MS_PER_S, INT32_MAX) : 0);
    SET(out, status, row->status);
    out->tags = row->tags;
    out->n_tags = row->tag_count;
    out->created_at = answer_time(rq->mem, row->created_us);
    if (row->width > 0 && row->height > 0) {
        SET(out, width, row->width);
        SET(out, height, row->height);
    }
    if (row->duration_ms >= 0)
        SET(out, duration_ms, row->duration_ms);
    if (row->sha256.len)
        out->sha256 = hex_encode(rq->mem, row->sha256);
    if (row->thumbhash[0])
        out->thumbhash = (char *)row->thumbhash;
    if (row->status == MEDIA__V1__ITEM_STATUS__FAILED && row->failure_code[0])
        answer_failure(rq->mem, row, out);
    out->warnings = row->warnings;
    out->n_warnings = row->warning_count;
    if (row->deleted_us) {
        out->deleted_at = answer_time(rq->mem, row->deleted_us);
        out->purge_at = answer_time(rq->mem, row->deleted_us + media->settings->trash_days * US_PER_DAY);
    }
}

Media__V1__Item **answer_items(Request *rq, const ItemRow *rows, size_t count)
{
    Media__V1__Item **list = ARENA_ARRAY(rq->mem, Media__V1__Item *, count + 1);

    for (size_t i = 0; i < count; i++) {
        list[i] = MESSAGE_NEW(rq->mem, Media__V1__Item, media__v1__item__init);
        answer_item(rq, &rows[i], list[i]);
    }
    return list;
}
