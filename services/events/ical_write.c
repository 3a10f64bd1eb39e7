#include "services/events/ical_write.h"

#include "shared/civil.h"

enum { FOLD_BYTES = 75, CHANGES_MAX = 80, YEARS_AHEAD = 20 };

IcalWriter ical_writer(Arena *mem, StrBuf *out)
{
    return (IcalWriter){.out = out, .line = strbuf_new(mem, ICAL_LINE_MAX_BYTES)};
}

/* ---------------------------------------------------------------------------------------------------- lines */

static void begin(IcalWriter *w, const char *name)
{
    strbuf_truncate(&w->line, 0);
    w->line.overflow = false;
    strbuf_append_cstr(&w->line, name);
    strbuf_append_char(&w->line, ':');
}

/* Folds: a line and its continuations have 75 octets at most, the space at the front included. */
static void end(IcalWriter *w)
{
    Slice rest = strbuf_slice(&w->line);
    size_t room = FOLD_BYTES;

    if (w->line.overflow)
        return;
    for (;;) {
        Slice part = rest.len > room ? utf8_take(rest, room) : rest;

        strbuf_append(w->out, part);
        strbuf_append(w->out, SLICE_LIT("\r\n"));
        rest = slice_skip(rest, part.len);
        if (!rest.len || !part.len)
            return;
        strbuf_append_char(w->out, ' ');
        room = FOLD_BYTES - 1;
    }
}

static void append_text(StrBuf *line, Slice text)
{
    size_t from = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool plain = c >= 0x20 && c != 0x7f && c != '\\' && c != ';' && c != ',';

        if (plain || c == '\t')
            continue;
        strbuf_append(line, slice_of(text.ptr + from, i - from));
        from = i + 1;
        if (c == '\n')
            strbuf_append(line, SLICE_LIT("\\n"));
        else if (c == '\\' || c == ';' || c == ',') {
            strbuf_append_char(line, '\\');
            strbuf_append_char(line, (char)c);
        }
    }
    strbuf_append(line, slice_of(text.ptr + from, text.len - from));
}

static void append_raw(StrBuf *line, Slice value)
{
    size_t from = 0;

    for (size_t i = 0; i < value.len; i++) {
        if ((unsigned char)value.ptr[i] >= 0x20 && value.ptr[i] != 0x7f)
            continue;
        strbuf_append(line, slice_of(value.ptr + from, i - from));
        from = i + 1;
    }
    strbuf_append(line, slice_of(value.ptr + from, value.len - from));
}

void ical_text(IcalWriter *w, const char *name, Slice text)
{
    if (!text.len)
        return;
    begin(w, name);
    append_text(&w->line, text);
    end(w);
}

void ical_raw(IcalWriter *w, const char *name, Slice value)
{
    if (!value.len)
        return;
    begin(w, name);
    append_raw(&w->line, value);
    end(w);
}

void ical_texts(IcalWriter *w, const char *name, const Slice *list, size_t count)
{
    if (!count)
        return;
    begin(w, name);
    for (size_t i = 0; i < count; i++) {
        if (i)
            strbuf_append_char(&w->line, ',');
        append_text(&w->line, list[i]);
    }
    end(w);
}

void ical_with_param(IcalWriter *w, const char *name, const char *param, Slice param_value, Slice value)
{
    if (!value.len)
        return;
    strbuf_truncate(&w->line, 0);
    w->line.overflow = false;
    strbuf_append_cstr(&w->line, name);
    if (param_value.len) {
        strbuf_printf(&w->line, ";%s=\"", param);
        for (size_t i = 0; i < param_value.len; i++) {
            char c = param_value.ptr[i];

            if (c == '^' || c == '"' || c == '\n') {
                strbuf_append_char(&w->line, '^');
                strbuf_append_char(&w->line, c == '"' ? '\'' : c == '\n' ? 'n' : c);
            } else if ((unsigned char)c >= 0x20 && c != 0x7f)
                strbuf_append_char(&w->line, c);
        }
        strbuf_append_char(&w->line, '"');
    }
    strbuf_append_char(&w->line, ':');
    append_raw(&w->line, value);
    end(w);
}

/* ---------------------------------------------------------------------------------------------------- times */

/* A calendar of a thousand entries has five thousand times: printf took a tenth of the whole. */
static void put_digits(char *at, int count, int number)
{
    for (int i = count; i-- > 0; number /= 10)
        at[i] = (char)('0' + number % 10);
}

static void append_clock(StrBuf *line, int64_t wall_s)
{
    int64_t days = civil_floor_div(wall_s, CIVIL_S_PER_DAY), second = wall_s - days * CIVIL_S_PER_DAY;
    CivilDate d = civil_date(days);

    char text[] = "00000000T000000";

    if (d.year < 0 || d.year > 9999) {
        strbuf_printf(line, "%04d%02d%02dT%02d%02d%02d", (int)d.year, d.month, d.day, (int)(second / 3600),
                      (int)(second / 60 % 60), (int)(second % 60));
        return;
    }
    put_digits(text, 4, (int)d.year);
    put_digits(text + 4, 2, d.month);
    put_digits(text + 6, 2, d.day);
    put_digits(text + 9, 2, (int)(second / 3600));
    put_digits(text + 11, 2, (int)(second / 60 % 60));
    put_digits(text + 13, 2, (int)(second % 60));
    strbuf_append(line, slice_of(text, sizeof(text) - 1));
}

void ical_time(IcalWriter *w, const char *name, int64_t unix_us)
{
    begin(w, name);
    append_clock(&w->line, civil_floor_div(unix_us, 1000000));
    strbuf_append_char(&w->line, 'Z');
    end(w);
}

static bool is_utc(const Zone *zone)
{
    ZoneChange change;

    return strcmp(zone_name(zone), "UTC") == 0 ||
           (zone_offset_s(zone, 0) == 0 && !zone_change_after(zone, INT64_C(-10000000000), &change));
}

void ical_wall(IcalWriter *w, const char *name, const Zone *zone, int64_t unix_s)
{
    if (is_utc(zone)) {
        ical_time(w, name, unix_s * 1000000);
        return;
    }
    strbuf_truncate(&w->line, 0);
    w->line.overflow = false;
    strbuf_printf(&w->line, "%s;TZID=%s:", name, zone_name(zone));
    append_clock(&w->line, zone_to_wall(zone, unix_s));
    end(w);
}

/* ---------------------------------------------------------------------------------------------------- VTIMEZONE */

static void write_offset(IcalWriter *w, const char *name, int32_t offset_s)
{
    int32_t size = offset_s < 0 ? -offset_s : offset_s;

    begin(w, name);
    strbuf_printf(&w->line, "%c%02d%02d", offset_s < 0 ? '-' : '+', (int)(size / 3600), (int)(size / 60 % 60));
    if (size % 60)
        strbuf_printf(&w->line, "%02d", (int)(size % 60));
    end(w);
}

/* The day of a change as a rule: the nth, or the last, such weekday of its month. */
typedef struct Yearly {
    int month, weekday, nth, second; /* nth -1: the last; second of the day on the wall */
} Yearly;

static int64_t wall_before(const ZoneChange *c)
{
    return c->unix_s + c->from_offset_s;
}

static bool fits(const Yearly *y, const ZoneChange *c)
{
    int64_t days = civil_floor_div(wall_before(c), CIVIL_S_PER_DAY);
    CivilDate d = civil_date(days);
    bool last = d.day + 7 > civil_days_in_month(d.year, d.month);

    return d.month == y->month && civil_weekday(days) == y->weekday &&
           (y->nth < 0 ? last : (d.day - 1) / 7 + 1 == y->nth) && wall_before(c) - days * CIVIL_S_PER_DAY == y->second;
}

/* The rule that this change and those of the same kind that follow, every second one, go by. */
static bool find_yearly(const ZoneChange *changes, size_t count, size_t at, Yearly *out)
{
    int64_t days = civil_floor_div(wall_before(&changes[at]), CIVIL_S_PER_DAY);
    CivilDate d = civil_date(days);
    size_t followed = 0;

    *out = (Yearly){.month = d.month,
                    .weekday = civil_weekday(days),
                    .nth = -1,
                    .second = (int)(wall_before(&changes[at]) - days * CIVIL_S_PER_DAY)};
    for (int pass = 0; pass < 2; pass++, out->nth = (d.day - 1) / 7 + 1) {
        bool all = true;

        followed = 0;
        for (size_t i = at; i < count && all; i += 2) {
            all = fits(out, &changes[i]) && changes[i].daylight == changes[at].daylight &&
                  changes[i].to_offset_s == changes[at].to_offset_s &&
                  changes[i].from_offset_s == changes[at].from_offset_s;
            followed++;
        }
        if (all && followed >= 3)
            return true;
    }
    return false;
}

static void write_observance(IcalWriter *w, const ZoneChange *c, int64_t wall_s, const Yearly *yearly)
{
    static const char *const DAYS[] = {"MO", "TU", "WE", "TH", "FR", "SA", "SU"};
    const char *kind = c->daylight ? "DAYLIGHT" : "STANDARD";

    ical_raw(w, "BEGIN", slice(kind));
    begin(w, "DTSTART");
    append_clock(&w->line, wall_s);
    end(w);
    write_offset(w, "TZOFFSETFROM", c->from_offset_s);
    write_offset(w, "TZOFFSETTO", c->to_offset_s);
    ical_raw(w, "TZNAME", slice(c->abbreviation));
    if (yearly) {
        begin(w, "RRULE");
        strbuf_printf(&w->line, "FREQ=YEARLY;BYMONTH=%d;BYDAY=%d%s", yearly->month, yearly->nth, DAYS[yearly->weekday]);
        end(w);
    }
    ical_raw(w, "END", slice(kind));
}

/* What holds at `from`, then change after change. */
static size_t collect(const Zone *zone, int64_t from_s, ZoneChange out[CHANGES_MAX])
{
    int64_t end_s = from_s + YEARS_AHEAD * INT64_C(31557600);
    size_t count = 0;
    ZoneChange c;

    if (zone_change_before(zone, from_s, &c))
        out[count++] = c;
    for (int64_t at = from_s; count < CHANGES_MAX && zone_change_after(zone, at, &c) && c.unix_s < end_s; at = c.unix_s)
        out[count++] = c;
    return count;
}

void ical_zone(IcalWriter *w, const Zone *zone, int64_t from_s)
{
    ZoneChange changes[CHANGES_MAX],
        fixed = {.from_offset_s = zone_offset_s(zone, from_s), .to_offset_s = zone_offset_s(zone, from_s)};
    size_t count = collect(zone, from_s, changes);
    bool ruled[2] = {false, false};

    if (is_utc(zone))
        return;
    ical_raw(w, "BEGIN", SLICE_LIT("VTIMEZONE"));
    ical_raw(w, "TZID", slice(zone_name(zone)));
    zone_abbreviation(zone, from_s, fixed.abbreviation);
    if (!count || changes[0].unix_s > from_s)
        write_observance(w, &fixed, 0, NULL); /* since 1970, long enough ago */
    for (size_t i = 0; i < count; i++) {
        Yearly yearly;

        if (ruled[changes[i].daylight])
            continue;
        ruled[changes[i].daylight] = find_yearly(changes, count, i, &yearly);
        write_observance(w, &changes[i], wall_before(&changes[i]), ruled[changes[i].daylight] ? &yearly : NULL);
    }
    ical_raw(w, "END", SLICE_LIT("VTIMEZONE"));
}
