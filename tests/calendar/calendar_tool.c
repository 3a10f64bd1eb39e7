/* calendar_tool: the events service's calendar modules, asked line by line, for tests that know the answers from
 * elsewhere. A question is fields with tabs between them, an answer is one line; "!" begins a refusal.
 *
 *   offset  ZONE UNIX                                       the offset in seconds
 *   unix    ZONE WALL                                       the instant of a wall time
 *   expand  ZONE WALL RULE ADDED TAKEN FROM TO MAX          instants; "+" at the end when there are more
 *   zone    ZONE FROM                                       its VTIMEZONE, as a JSON string
 *   import  ZONE PATH                                       a calendar as submissions: a JSON document */
#include <stdio.h>

#include "services/events/ical_events.h"
#include "services/events/ical_write.h"

enum { FIELDS_MAX = 10, TIMES_MAX = 100, INPUT_MAX_BYTES = 16 * 1024 * 1024, OUTPUT_MAX_BYTES = 64 * 1024 * 1024 };

typedef struct Question {
    Arena *mem;
    Zones *zones;
    Slice fields[FIELDS_MAX];
} Question;

static int64_t number(Slice s)
{
    int64_t n = 0;

    if (!slice_to_int64(s, &n))
        abort();
    return n;
}

static size_t times(Slice s, RecurrenceTime *out)
{
    size_t count = 0;

    while (s.len && count < TIMES_MAX) {
        Slice item;

        (void)slice_cut(s, ',', &item, &s);
        if (!recurrence_read_time(item, &out[count++]))
            abort();
    }
    return count;
}

static void expand(const Question *q, const Zone *zone)
{
    RecurrenceTime added[TIMES_MAX], taken[TIMES_MAX];
    Rrule rule;
    Err e = q->fields[3].len ? rrule_read(q->fields[3], &rule) : OK;
    Recurrence r = {.zone = zone,
                    .start_wall_s = number(q->fields[2]),
                    .rule = q->fields[3].len ? &rule : NULL,
                    .added = added,
                    .taken = taken,
                    .added_count = times(q->fields[4], added),
                    .taken_count = times(q->fields[5], taken)};
    Instance *list;
    size_t count;
    bool more;

    if (err_failed(e)) {
        printf("!%s\n", e.text);
        return;
    }
    recurrence_expand(q->mem, &r, number(q->fields[6]), number(q->fields[7]), (size_t)number(q->fields[8]), &list,
                      &count, &more);
    for (size_t i = 0; i < count; i++)
        printf("%s%" PRId64, i ? " " : "", list[i].unix_s);
    printf("%s\n", more ? " +" : "");
}

static void print(StrBuf *out)
{
    Slice text;

    if (!strbuf_finish(out, &text))
        abort();
    printf(SLICE_FMT "\n", SLICE_ARG(text));
}

static void write_zone(const Question *q, const Zone *zone)
{
    StrBuf text = strbuf_new(q->mem, OUTPUT_MAX_BYTES), json = strbuf_new(q->mem, OUTPUT_MAX_BYTES);
    IcalWriter w = ical_writer(q->mem, &text);

    ical_zone(&w, zone, number(q->fields[2]));
    strbuf_append_json(&json, strbuf_slice(&text));
    print(&json);
}

static Slice read_file(const Question *q, Slice path)
{
    char *bytes = arena_alloc_raw(q->mem, INPUT_MAX_BYTES, 1);
    FILE *file = fopen(slice_cstr(q->mem, path), "re");
    size_t len;

    if (!file)
        abort();
    len = fread(bytes, 1, INPUT_MAX_BYTES, file);
    (void)fclose(file);
    return slice_of(arena_memdup(q->mem, bytes, len), len); /* ends where it ends */
}

static void write_event(StrBuf *out, const ImportedEvent *e)
{
    strbuf_append_cstr(out, "{\"uid\":");
    strbuf_append_json(out, e->uid);
    strbuf_printf(out, ",\"cancelled\":%s,\"body\":", e->cancelled ? "true" : "false");
    strbuf_append(out, e->error ? SLICE_LIT("null") : e->body);
    strbuf_append_cstr(out, ",\"error\":");
    strbuf_append_json(out, slice(e->error));
    strbuf_append_cstr(out, ",\"warnings\":[");
    for (size_t i = 0; i < e->warning_count; i++) {
        strbuf_append_cstr(out, i ? "," : "");
        strbuf_append_json(out, slice(e->warnings[i]));
    }
    strbuf_append_cstr(out, "],\"overrides\":[");
    for (size_t i = 0; i < e->override_count; i++)
        strbuf_printf(out, "%s[%" PRId64 ",%" PRId64 ",%" PRId64 ",%s]", i ? "," : "",
                      e->overrides[i].recurrence_us / 1000000, e->overrides[i].start_us / 1000000,
                      e->overrides[i].end_us / 1000000, e->overrides[i].cancelled ? "true" : "false");
    strbuf_append_cstr(out, "]}");
}

static void import(const Question *q, const Zone *zone)
{
    StrBuf out = strbuf_new(q->mem, OUTPUT_MAX_BYTES);
    IcalFile file = ical_read(q->mem, read_file(q, q->fields[2]));
    ImportedCalendar c = ical_events(q->mem, &file,
                                     &(ImportRules){.zones = q->zones,
                                                    .default_zone = zone,
                                                    .source_url = "https://example.org/feed.ics",
                                                    .source_name = "feed",
                                                    .license = ""});

    strbuf_printf(&out, "{\"is_calendar\":%s,\"whole\":%s,\"dropped\":%zu,\"events\":[",
                  c.is_calendar ? "true" : "false", c.whole ? "true" : "false", file.dropped);
    for (size_t i = 0; i < c.count; i++) {
        strbuf_append_cstr(&out, i ? "," : "");
        write_event(&out, &c.events[i]);
    }
    strbuf_append_cstr(&out, "]}");
    print(&out);
}

static void answer(const Question *q)
{
    const Zone *zone = zones_find(q->zones, q->fields[1]);

    if (!zone)
        printf("!no such zone\n");
    else if (slice_eq_cstr(q->fields[0], "offset"))
        printf("%" PRId32 "\n", zone_offset_s(zone, number(q->fields[2])));
    else if (slice_eq_cstr(q->fields[0], "unix"))
        printf("%" PRId64 "\n", zone_to_unix(zone, number(q->fields[2])));
    else if (slice_eq_cstr(q->fields[0], "expand"))
        expand(q, zone);
    else if (slice_eq_cstr(q->fields[0], "zone"))
        write_zone(q, zone);
    else if (slice_eq_cstr(q->fields[0], "import"))
        import(q, zone);
    else
        printf("!what?\n");
}

int main(void)
{
    CLEANUP(zones_free_at) Zones *zones = zones_new(NULL);
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    char *line = NULL;
    size_t size = 0;
    ssize_t len;

    while ((len = getline(&line, &size, stdin)) > 0) {
        Question q = {.mem = mem, .zones = zones};
        Slice rest = slice_of(line, (size_t)len - 1);

        for (size_t i = 0; i < FIELDS_MAX && rest.len; i++)
            (void)slice_cut(rest, '\t', &q.fields[i], &rest);
        answer(&q);
        (void)fflush(stdout);
        arena_reset(mem);
    }
    free(line);
    return 0;
}
