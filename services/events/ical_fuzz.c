/* Fuzz target: calendars of the outside, read and made into submissions. Each of these is JSON that our own reader
 * takes or refuses, and what is written of any text reads back as that text. */
#include <jansson.h>

#include "services/events/ical_events.h"
#include "services/events/ical_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(Arena *mem, Slice text)
{
    StrBuf out = strbuf_new(mem, 1 << 20);
    IcalWriter w = ical_writer(mem, &out);
    Slice want, got;
    IcalFile file;

    ical_text(&w, "SUMMARY", text);
    if (!out.len)
        return;
    file = ical_read(mem, strbuf_slice(&out));
    if (file.dropped || file.root->line_count != 1)
        abort();
    got = ical_unescape(mem, file.root->lines[0].value);
    want = text;
    for (size_t i = 0, k = 0; i < want.len; i++) { /* without control characters */
        unsigned char c = (unsigned char)want.ptr[i];

        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            continue;
        if (k >= got.len || got.ptr[k++] != (char)c)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Zones *zones;
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Slice text = slice_of(arena_memdup(mem, data, size), size);
    ImportRules rules = {.source_url = "https://example.org/x.ics", .source_name = "x", .license = ""};
    ImportedCalendar calendar;
    IcalFile file;

    if (!zones)
        zones = zones_new(NULL);
    rules.zones = zones;
    rules.default_zone = zones_find(zones, SLICE_LIT("America/Toronto"));
    file = ical_read(mem, text);
    calendar = ical_events(mem, &file, &rules);
    for (size_t i = 0; i < calendar.count; i++) {
        const ImportedEvent *e = &calendar.events[i];
        json_t *root = e->error ? NULL : json_loadb(e->body.ptr, e->body.len, 0, NULL);

        if (!e->error && !root)
            abort();
        json_decref(root);
    }
    if (size < 4096 && utf8_valid(text))
        check_round_trip(mem, text);
    return 0;
}
