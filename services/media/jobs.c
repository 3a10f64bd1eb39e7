/* jobs: see jobs.h. */
#include "services/media/jobs.h"

#include <ctype.h>

#include "atrium/transcode/v1/events.atrium.h"
#include "atrium/transcode/v1/events.pb-c.h"
#include "services/media/store_processing.h"

enum { TAKE_TIMEOUT_MS = 15000, ASSETS_OF_EVENT_MAX = 2000, NAME_MAX_BYTES = 240, STEP_MAX_BYTES = 40 };

/* --- what was made
 * ---------------------------------------------------------------------------------------------------- */
static const char *kind_word(Arena *mem, Transcode__V1__AssetKind kind)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&transcode__v1__asset_kind__descriptor, (int)kind);
    char *word = arena_strdup(mem, value ? value->name : "unknown");

    for (char *c = word; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return word;
}

static const char *text(const char *value)
{
    return value ? value : "";
}

/* Only what lies where this processing puts its things: an event must not make us serve, or delete, anything else. */
static bool lies_below(Arena *mem, const FinishedRow *row, const Transcode__V1__Asset *a)
{
    const char *prefix = arena_printf(mem, "derived/%s/%" PRId64 "/", uuid_text(mem, row->media_id), row->generation);

    return a->name && a->name[0] && strlen(a->name) <= NAME_MAX_BYTES && a->key && blob_key_valid(slice(a->key)) &&
           strcmp(a->key, arena_printf(mem, "%s%s", prefix, a->name)) == 0;
}

static Err read_assets(Arena *mem, const Transcode__V1__JobFinished *in, FinishedRow *row)
{
    AssetRow *list = ARENA_ARRAY(mem, AssetRow, in->n_assets + 1);

    if (in->n_assets > ASSETS_OF_EVENT_MAX)
        return err_make(&INVALID_ARGUMENT, "assets: at most %d", ASSETS_OF_EVENT_MAX);
    for (size_t i = 0; i < in->n_assets; i++) {
        const Transcode__V1__Asset *a = in->assets[i];

        if (!lies_below(mem, row, a))
            return err_make(&INVALID_ARGUMENT, "asset %zu lies elsewhere", i);
        list[row->asset_count++] = (AssetRow){.kind = kind_word(mem, a->kind),
                                              .name = a->name,
                                              .key = a->key,
                                              .content_type = text(a->content_type),
                                              .size_bytes = a->size_bytes,
                                              .width = a->width,
                                              .height = a->height,
                                              .codecs = text(a->codecs),
                                              .language = text(a->language),
                                              .is_default = a->is_default,
                                              .is_forced = a->is_forced};
    }
    row->assets = list;
    return OK;
}

static void read_facts(const Transcode__V1__MediaFacts *facts, FinishedRow *row)
{
    if (!facts)
        return;
    row->mime_type = text(facts->mime_type);
    row->width = facts->width;
    row->height = facts->height;
    row->duration_ms = facts->has_duration_ms ? facts->duration_ms : -1;
    row->thumbhash = text(facts->thumbhash);
}

/* --- each of the four
 * ------------------------------------------------------------------------------------------------- */
typedef struct Turn {
    DbTx *tx;
    Arena *mem;
    Slice body;
    int64_t now_us;
} Turn;

#define UNPACK(turn, T, descriptor)                                                                                    \
    ProtobufCMessage *message_;                                                                                        \
    const T *in;                                                                                                       \
    Uuid id;                                                                                                           \
    TRY(message_unpack((turn)->mem, &(descriptor), (turn)->body, &message_));                                          \
    in = (const T *)message_;                                                                                          \
    if (!uuid_parse(slice(in->media_id), &id))                                                                         \
    return err_make(&INVALID_ARGUMENT, "media_id: no id")

static Err take_started(const Turn *t)
{
    UNPACK(t, Transcode__V1__JobStarted, transcode__v1__job_started__descriptor);
    if (in->kind != TRANSCODE__V1__JOB_KIND__FIRST)
        return OK;
    return media_store_started(t->tx, t->mem, id, in->generation, text(in->job_id), in->attempt, t->now_us);
}

static Err take_progressed(const Turn *t)
{
    UNPACK(t, Transcode__V1__JobProgressed, transcode__v1__job_progressed__descriptor);
    if (in->kind != TRANSCODE__V1__JOB_KIND__FIRST || slice(in->step).len > STEP_MAX_BYTES)
        return OK;
    return media_store_progressed(t->tx, id, in->generation, in->attempt, in->step, in->progress, t->now_us);
}

static Err take_finished(const Turn *t)
{
    FinishedRow row = {.mime_type = "", .thumbhash = "", .duration_ms = -1};

    UNPACK(t, Transcode__V1__JobFinished, transcode__v1__job_finished__descriptor);
    row.media_id = id;
    row.generation = in->generation;
    row.attempt = in->attempt;
    row.warnings = in->warnings;
    row.warning_count = in->n_warnings;
    TRY(read_assets(t->mem, in, &row));
    read_facts(in->facts, &row);
    return in->kind == TRANSCODE__V1__JOB_KIND__FIRST ? media_store_finished(t->tx, t->mem, &row, t->now_us)
                                                      : media_store_extended(t->tx, t->mem, &row, t->now_us);
}

static Err take_failed(const Turn *t)
{
    UNPACK(t, Transcode__V1__JobFailed, transcode__v1__job_failed__descriptor);
    if (in->kind != TRANSCODE__V1__JOB_KIND__FIRST || !in->is_final)
        return OK;
    return media_store_failed(t->tx, t->mem, id, in->generation, in->attempt, in->code ? in->code : "internal",
                              in->message ? in->message : "processing failed", in->retryable, t->now_us);
}

/* --- the consumer
 * ------------------------------------------------------------------------------------------------------ */
Err job_events_take(void *context, Arena *mem, const Event *event)
{
    static const struct {
        const EventType *type;
        Err (*take)(const Turn *t);
    } TAKERS[] = {{&TRANSCODE_V1_JOB_STARTED_EVENT, take_started},
                  {&TRANSCODE_V1_JOB_PROGRESSED_EVENT, take_progressed},
                  {&TRANSCODE_V1_JOB_FINISHED_EVENT, take_finished},
                  {&TRANSCODE_V1_JOB_FAILED_EVENT, take_failed}};
    JobEvents *jobs = context;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Turn *turn = ARENA_NEW(mem, Turn);

    *turn = (Turn){.tx = &tx, .mem = mem, .body = event->body, .now_us = clock_unix_us(jobs->clock)};
    for (size_t i = 0; i < ARRAY_LEN(TAKERS); i++)
        if (slice_starts_with(slice(event->subject), slice(TAKERS[i].type->subject))) {
            TRY(db_tx_begin_with(jobs->db, TAKE_TIMEOUT_MS, &tx));
            TRY(TAKERS[i].take(turn));
            TRY(db_tx_commit(&tx));
            watchers_wake(jobs->watchers);
        }
    return OK;
}
