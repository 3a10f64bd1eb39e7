/* streams: see the header. */
#include "shared/streams.h"

#include <ctype.h>

#define SECOND_NS INT64_C(1000000000)
#define DAY_S INT64_C(86400)
#define MIB (INT64_C(1024) * 1024)

enum { SUBJECT_BYTES = STREAM_NAME_BYTES + 8, DEDUPLICATE_S = 900 };

typedef struct StreamRow {
    const char *name, *subject;
    jsRetentionPolicy retention;
    int64_t keep_s;    /* 0: for ever; of events: as the domain says */
    int64_t max_bytes; /* 0: no limit */
    bool direct;       /* its messages are also read singly */
} StreamRow;

static const StreamRow ROWS[STREAM_KIND_COUNT] = {
    [STREAM_EVENTS] = {"EVT", "evt", js_LimitsPolicy, 0, 0, true},
    [STREAM_DISPATCHES] = {"DSP", "dsp", js_LimitsPolicy, 600, 256 * MIB, true},
    [STREAM_JOBS] = {"JOBS", "job", js_WorkQueuePolicy, 0, 0, false},
    [STREAM_DEAD] = {"DEAD", "dead", js_LimitsPolicy, 90 * DAY_S, 0, true},
};

typedef struct Wanted {
    char name[STREAM_NAME_BYTES], subject[SUBJECT_BYTES];
    const char *subjects[1];
    jsStreamConfig config; /* its texts are those above */
} Wanted;

void stream_name(StreamKind kind, const char *domain, char out[STREAM_NAME_BYTES])
{
    size_t kind_len = strlen(ROWS[kind].name);

    snprintf(out, STREAM_NAME_BYTES, "%s_%s", ROWS[kind].name, domain);
    for (size_t i = kind_len; out[i]; i++)
        out[i] = (char)toupper((unsigned char)out[i]);
}

static void configure(StreamKind kind, const char *domain, uint32_t events_keep_s, Wanted *out)
{
    const StreamRow *row = &ROWS[kind];
    int64_t keep_s = kind == STREAM_EVENTS ? events_keep_s : row->keep_s;

    stream_name(kind, domain, out->name);
    snprintf(out->subject, sizeof out->subject, "%s.%s.>", row->subject, domain);
    out->subjects[0] = out->subject;
    jsStreamConfig_Init(&out->config);
    out->config.Name = out->name;
    out->config.Subjects = out->subjects;
    out->config.SubjectsLen = 1;
    out->config.Storage = js_FileStorage;
    out->config.Retention = row->retention;
    out->config.MaxAge = keep_s * SECOND_NS;
    if (row->max_bytes > 0)
        out->config.MaxBytes = row->max_bytes;
    /* The server takes no window that is longer than the age. */
    out->config.Duplicates = (keep_s > 0 ? MIN(DEDUPLICATE_S, keep_s) : DEDUPLICATE_S) * SECOND_NS;
    out->config.AllowDirect = row->direct;
}

Err stream_set_up(Bus *bus, StreamKind kind, const char *domain, uint32_t events_keep_s, bool *out_changed)
{
    Wanted wanted;

    configure(kind, domain, events_keep_s, &wanted);
    return bus_set_up_stream(bus, &wanted.config, out_changed);
}

Err stream_require(Bus *bus, StreamKind kind, const char *domain)
{
    Wanted wanted;

    configure(kind, domain, STREAM_EVENTS_KEEP_S, &wanted);
    return bus_ensure_stream(bus, &wanted.config);
}
