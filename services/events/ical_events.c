#include "services/events/ical_events.h"

#include "shared/clock.h"
#include "shared/sha256.h"

enum { DATES_MAX_BYTES = 32 * 1024, TEXT_MAX_BYTES = 64 * 1024 };
#define US_PER_S INT64_C(1000000)

typedef struct Conversion {
    Arena *mem;
    const ImportRules *rules;
    const IcalComponent *calendar;
    ImportedEvent *event;
} Conversion;

static void warn(Conversion *c, const char *text)
{
    for (size_t i = 0; i < c->event->warning_count; i++)
        if (strcmp(c->event->warnings[i], text) == 0)
            return;
    if (c->event->warning_count < ICAL_WARNINGS_MAX)
        c->event->warnings[c->event->warning_count++] = text;
}

/* ---------------------------------------------------------------------------------------------------- zones */

typedef struct WindowsZone {
    const char *windows, *iana;
} WindowsZone;

const Zone *ical_find_zone(Zones *zones, Slice name)
{
    static const WindowsZone WINDOWS[] = {
#define ROW(windows_name, iana_name) {windows_name, iana_name},
#include "services/events/windows_zones.def"
#undef ROW
    };
    const Zone *found = zones_find(zones, name);

    for (size_t i = 0; i < ARRAY_LEN(WINDOWS) && !found; i++)
        if (ical_is(name, WINDOWS[i].windows))
            found = zones_find(zones, slice(WINDOWS[i].iana));
    for (ptrdiff_t at; !found && (at = slice_find_char(name, '/')) >= 0;) {
        name = slice_skip(name, (size_t)at + 1);
        found = zones_find(zones, name);
    }
    return found;
}

/* What the calendar itself says of a zone that nobody knows by its name. */
static const Zone *find_by_definition(const Conversion *c, Slice name)
{
    for (const IcalComponent *z = c->calendar->first; z; z = z->next) {
        const IcalLine *id = ical_is(z->name, "VTIMEZONE") ? ical_line(z, "TZID") : NULL;
        const IcalLine *place = id && slice_eq(id->value, name) ? ical_line(z, "X-LIC-LOCATION") : NULL;

        if (place)
            return ical_find_zone(c->rules->zones, place->value);
    }
    return NULL;
}

static const Zone *zone_of(Conversion *c, const IcalLine *line)
{
    Slice name = ical_param(line, "TZID");
    const Zone *zone;

    if (!name.len)
        return c->rules->default_zone;
    zone = ical_find_zone(c->rules->zones, name);
    if (!zone)
        zone = find_by_definition(c, name);
    if (!zone)
        warn(c, "a time zone is not known: the default one was taken");
    return zone ? zone : c->rules->default_zone;
}

/* ---------------------------------------------------------------------------------------------------- times */

typedef struct IcalWhen {
    int64_t unix_s;
    bool date;
    const Zone *zone;
} IcalWhen;

static bool read_time(Conversion *c, const IcalLine *line, Slice value, IcalWhen *out)
{
    int64_t at_s;
    bool utc;

    out->zone = zone_of(c, line);
    if (!rrule_read_time(slice_trim(value), &at_s, &out->date, &utc))
        return false;
    out->unix_s = utc ? at_s : zone_to_unix(out->zone, at_s);
    return true;
}

/* DTSTART, and DTEND or DURATION or a date's own day. False: there is no start that can be read. */
static bool read_span(Conversion *c, const IcalComponent *v, IcalWhen *start, int64_t *out_end_s)
{
    const IcalLine *from = ical_line(v, "DTSTART"), *to = ical_line(v, "DTEND"), *length = ical_line(v, "DURATION");
    int64_t days = 0, seconds = 0, wall_s;
    IcalWhen end;

    if (!from || !read_time(c, from, from->value, start))
        return false;
    *out_end_s = 0;
    wall_s = zone_to_wall(start->zone, start->unix_s);
    if (to && read_time(c, to, to->value, &end))
        *out_end_s = end.unix_s;
    else if (length && ical_duration(length->value, &days, &seconds))
        *out_end_s = zone_to_unix(start->zone, wall_s + days * CIVIL_S_PER_DAY) + seconds;
    else if (start->date)
        *out_end_s = zone_to_unix(start->zone, wall_s + CIVIL_S_PER_DAY);
    if (*out_end_s && *out_end_s < start->unix_s) {
        warn(c, "it ended before it began: the end was left out");
        *out_end_s = 0;
    }
    return true;
}

static const char *utc(Arena *mem, int64_t unix_s)
{
    char text[TIME_TEXT_BYTES];

    (void)time_format(unix_s * US_PER_S, 0, text);
    return arena_strdup(mem, text);
}

/* ---------------------------------------------------------------------------------------------------- JSON */

static void member(StrBuf *out, const char *name, Slice value)
{
    if (!value.len)
        return;
    if (out->len && out->ptr[out->len - 1] != '{')
        strbuf_append_char(out, ',');
    strbuf_printf(out, "\"%s\":", name);
    strbuf_append_json(out, value);
}

static void open_member(StrBuf *out, const char *name, char bracket)
{
    if (out->len && out->ptr[out->len - 1] != '{')
        strbuf_append_char(out, ',');
    strbuf_printf(out, "\"%s\":%c", name, bracket);
}

static Slice text_of(Conversion *c, const IcalComponent *v, const char *name)
{
    const IcalLine *line = ical_line(v, name);

    return line ? slice_trim(utf8_take(ical_unescape(c->mem, line->value), TEXT_MAX_BYTES)) : SLICE_LIT("");
}

static bool is_url(Slice s)
{
    return (s.len > 8 && slice_eq_nocase(slice_take(s, 8), SLICE_LIT("https://"))) ||
           (s.len > 7 && slice_eq_nocase(slice_take(s, 7), SLICE_LIT("http://")));
}

static bool read_geo(const IcalComponent *v, double *latitude, double *longitude)
{
    const IcalLine *line = ical_line(v, "GEO");
    char text[64], *end, *second;

    if (!line || line->value.len >= sizeof(text))
        return false;
    memcpy(text, line->value.ptr, line->value.len);
    text[line->value.len] = '\0';
    *latitude = strtod(text, &end);
    if (end == text || *end != ';')
        return false;
    second = end + 1;
    *longitude = strtod(second, &end);
    return end != second && *latitude >= -90 && *latitude <= 90 && *longitude >= -180 && *longitude <= 180;
}

static void write_place(Conversion *c, StrBuf *out, const IcalComponent *v)
{
    Slice where = text_of(c, v, "LOCATION"), conference = text_of(c, v, "CONFERENCE");
    double latitude, longitude;

    if (!is_url(conference))
        conference = text_of(c, v, "X-GOOGLE-CONFERENCE");
    if (is_url(where)) {
        conference = where;
        where = SLICE_LIT("");
    }
    if (where.len) {
        open_member(out, "location", '{');
        member(out, "name", where);
        if (read_geo(v, &latitude, &longitude))
            strbuf_printf(out, ",\"latitude\":%.6f,\"longitude\":%.6f", latitude, longitude);
        strbuf_append_char(out, '}');
    } else if (!is_url(conference) && is_url(text_of(c, v, "URL"))) {
        warn(c, "it has no place: its address was taken for where it is");
        conference = text_of(c, v, "URL");
    }
    if (is_url(conference)) {
        open_member(out, "virtualLocation", '{');
        member(out, "url", conference);
        strbuf_append_char(out, '}');
    }
}

static void write_organizer(StrBuf *out, const IcalComponent *v)
{
    const IcalLine *line = ical_line(v, "ORGANIZER");
    Slice name = line ? ical_param(line, "CN") : SLICE_LIT("");
    Slice address = line ? slice_trim(line->value) : SLICE_LIT("");

    if (!name.len)
        return;
    open_member(out, "organizer", '{');
    member(out, "name", name);
    if (address.len > 7 && slice_eq_nocase(slice_take(address, 7), SLICE_LIT("mailto:")))
        member(out, "email", slice_skip(address, 7));
    else if (is_url(address))
        member(out, "url", address);
    strbuf_append_char(out, '}');
}

/* Of a list of texts: up to the next comma that is none of the text. */
static Slice take_text(Slice *rest)
{
    size_t len = 0;
    Slice item;

    while (len < rest->len && rest->ptr[len] != ',')
        len += rest->ptr[len] == '\\' && len + 1 < rest->len ? 2 : 1;
    item = slice_take(*rest, len);
    *rest = slice_skip(*rest, len + 1);
    return item;
}

/* CATEGORIES may come several times, each with commas. */
static void write_keywords(Conversion *c, StrBuf *out, const IcalComponent *v)
{
    bool any = false;

    for (size_t i = 0; i < v->line_count; i++) {
        Slice rest = ical_is(v->lines[i].name, "CATEGORIES") ? v->lines[i].value : SLICE_LIT("");

        while (rest.len) {
            Slice item = slice_trim(ical_unescape(c->mem, take_text(&rest)));

            if (!item.len)
                continue;
            if (!any)
                open_member(out, "keywords", '[');
            else
                strbuf_append_char(out, ',');
            strbuf_append_json(out, item);
            any = true;
        }
    }
    if (any)
        strbuf_append_char(out, ']');
}

/* EXDATE and RDATE, as instants, or as dates where they are dates. Of periods the beginning. */
static void write_dates(Conversion *c, StrBuf *out, const IcalComponent *v, const char *line_name, const char *name)
{
    bool any = false;
    size_t count = 0;

    for (size_t i = 0; i < v->line_count; i++) {
        const IcalLine *line = &v->lines[i];
        Slice rest = ical_is(line->name, line_name) ? line->value : SLICE_LIT(""), item, period;

        while (rest.len && count < RECURRENCE_DATES_MAX / 2) {
            IcalWhen when;

            (void)slice_cut(rest, ',', &item, &rest);
            (void)slice_cut(item, '/', &item, &period);
            if (!read_time(c, line, item, &when)) {
                warn(c, "a date of the series could not be read");
                continue;
            }
            if (!any)
                open_member(out, name, '[');
            else
                strbuf_append_char(out, ',');
            strbuf_append_json(out, when.date ? slice_trim(item) : slice(utc(c->mem, when.unix_s)));
            any = true;
            count++;
        }
    }
    if (any)
        strbuf_append_char(out, ']');
}

static void write_recurrence(Conversion *c, StrBuf *out, const IcalComponent *v, const IcalWhen *start, int64_t end_s)
{
    const IcalLine *rule = ical_line(v, "RRULE");
    Rrule parsed;
    Err e = rule ? rrule_read(rule->value, &parsed) : OK;

    if (err_failed(e)) {
        warn(c, arena_printf(c->mem, "its rule was left out: %s", e.text));
        rule = NULL;
    }
    if (!rule && !ical_line(v, "RDATE"))
        return;
    open_member(out, "recurrence", '{');
    member(out, "external_key", c->event->uid);
    member(out, "series_name", c->event->name);
    if (rule)
        member(out, "rrule", slice_trim(rule->value));
    write_dates(c, out, v, "EXDATE", "exdates");
    write_dates(c, out, v, "RDATE", "rdates");
    member(out, "tzid", slice(zone_name(start->zone)));
    member(out, "series_start", slice(utc(c->mem, start->unix_s)));
    if (end_s)
        member(out, "series_end", slice(utc(c->mem, end_s)));
    strbuf_append_char(out, '}');
}

static void write_source(Conversion *c, StrBuf *out)
{
    open_member(out, "source", '{');
    member(out, "url", slice(c->rules->source_url));
    member(out, "eventId", c->event->uid);
    member(out, "name", slice(c->rules->source_name));
    member(out, "license", slice(c->rules->license));
    strbuf_append_char(out, '}');
}

/* One with the zone, so that it is kept: a submission's own times have none. */
static void write_times(Conversion *c, StrBuf *out, const IcalWhen *start, int64_t end_s)
{
    const char *from = utc(c->mem, start->unix_s), *to = end_s ? utc(c->mem, end_s) : "";

    member(out, "startDate", slice(from));
    member(out, "endDate", slice(to));
    open_member(out, "occurrences", '[');
    strbuf_append_char(out, '{');
    member(out, "startDate", slice(from));
    member(out, "endDate", slice(to));
    member(out, "timezone", slice(zone_name(start->zone)));
    strbuf_append(out, SLICE_LIT("}]"));
}

static Slice image_of(const IcalComponent *v)
{
    for (size_t i = 0; i < v->line_count; i++)
        if ((ical_is(v->lines[i].name, "IMAGE") || ical_is(v->lines[i].name, "ATTACH")) &&
            is_url(slice_trim(v->lines[i].value)) &&
            (ical_is(v->lines[i].name, "IMAGE") ||
             slice_starts_with(ical_param(&v->lines[i], "FMTTYPE"), SLICE_LIT("image/"))))
            return slice_trim(v->lines[i].value);
    return SLICE_LIT("");
}

static void convert(Conversion *c, const IcalComponent *v)
{
    StrBuf out = strbuf_new(c->mem, ICAL_BODY_MAX_BYTES);
    Slice url = text_of(c, v, "URL");
    IcalWhen start;
    int64_t end_s;

    if (!read_span(c, v, &start, &end_s)) {
        c->event->error = "DTSTART: there is none that can be read";
        return;
    }
    strbuf_append_char(&out, '{');
    member(&out, "name", c->event->name);
    member(&out, "description", text_of(c, v, "DESCRIPTION"));
    if (is_url(url))
        member(&out, "url", url);
    member(&out, "image", image_of(v));
    write_times(c, &out, &start, end_s);
    write_place(c, &out, v);
    write_organizer(&out, v);
    write_keywords(c, &out, v);
    write_recurrence(c, &out, v, &start, end_s);
    write_source(c, &out);
    if (ical_is(text_of(c, v, "STATUS"), "CANCELLED"))
        c->event->cancelled = true;
    strbuf_append(&out, SLICE_LIT(",\"skip_multi_session_check\":true}"));
    if (!strbuf_finish(&out, &c->event->body))
        c->event->error = "it is too large";
}

static void add_override(Conversion *c, const IcalComponent *v)
{
    const IcalLine *id = ical_line(v, "RECURRENCE-ID");
    ImportedOverride o = {.cancelled = ical_is(text_of(c, v, "STATUS"), "CANCELLED")};
    IcalWhen named, start;
    int64_t end_s;

    if (!read_time(c, id, id->value, &named) || !read_span(c, v, &start, &end_s) ||
        c->event->override_count == ICAL_OVERRIDES_MAX) {
        warn(c, "an instance of the series could not be read");
        return;
    }
    o.recurrence_us = named.unix_s * US_PER_S;
    o.start_us = start.unix_s * US_PER_S;
    o.end_us = end_s * US_PER_S;
    c->event->overrides[c->event->override_count++] = o;
}

/* ---------------------------------------------------------------------------------------------------- the calendar */

typedef struct Entry {
    const IcalComponent *component, *calendar;
    Slice uid;
    int64_t sequence;
    size_t order;
    bool instance; /* it has a RECURRENCE-ID */
} Entry;

/* Those of one UID stand together, the master that counts first: the highest SEQUENCE, then the last. */
static int compare_entries(const void *a, const void *b)
{
    const Entry *x = a, *y = b;
    size_t len = MIN(x->uid.len, y->uid.len);
    int by_uid = len ? memcmp(x->uid.ptr, y->uid.ptr, len) : 0;

    if (by_uid)
        return by_uid;
    if (x->uid.len != y->uid.len)
        return x->uid.len < y->uid.len ? -1 : 1;
    if (x->instance != y->instance)
        return x->instance ? 1 : -1;
    if (x->sequence != y->sequence)
        return x->sequence < y->sequence ? 1 : -1;
    return x->order < y->order ? 1 : -1;
}

/* One without a UID is known by what it is called and when it begins. */
static Slice uid_of(Arena *mem, const IcalComponent *v)
{
    const IcalLine *uid = ical_line(v, "UID"), *name = ical_line(v, "SUMMARY"), *start = ical_line(v, "DTSTART");
    char hash[SHA256_HEX_BYTES];
    Slice value = uid ? slice_trim(uid->value) : SLICE_LIT("");

    if (value.len && value.len <= ICAL_UID_MAX_BYTES)
        return value;
    sha256_hex_of(slice(arena_printf(mem, SLICE_FMT "\n" SLICE_FMT "\n" SLICE_FMT, SLICE_ARG(value),
                                     SLICE_ARG(name ? name->value : SLICE_LIT("")),
                                     SLICE_ARG(start ? start->value : SLICE_LIT("")))),
                  hash);
    hash[32] = '\0';
    return slice(arena_printf(mem, "unnamed-%s", hash));
}

static size_t collect(Arena *mem, const IcalFile *file, ImportedCalendar *out, Entry *list)
{
    size_t count = 0;

    for (const IcalComponent *calendar = file->root->first; calendar; calendar = calendar->next) {
        const IcalLine *name = ical_line(calendar, "NAME");

        if (!ical_is(calendar->name, "VCALENDAR"))
            continue;
        out->is_calendar = true;
        if (!name)
            name = ical_line(calendar, "X-WR-CALNAME");
        if (name && !out->name[0])
            out->name = slice_cstr(mem, utf8_take(ical_unescape(mem, name->value), 200));
        for (const IcalComponent *v = calendar->first; v; v = v->next) {
            const IcalLine *sequence = ical_line(v, "SEQUENCE");
            int64_t number = 0;

            if (!ical_is(v->name, "VEVENT"))
                continue;
            if (count == ICAL_EVENTS_MAX) {
                out->whole = false;
                return count;
            }
            if (sequence && !slice_to_int64(slice_trim(sequence->value), &number))
                number = 0;
            list[count] = (Entry){.component = v,
                                  .calendar = calendar,
                                  .uid = uid_of(mem, v),
                                  .sequence = number,
                                  .order = count,
                                  .instance = ical_line(v, "RECURRENCE-ID") != NULL};
            count++;
        }
    }
    return count;
}

/* A floating calendar may say its zone for all. */
static const Zone *calendar_zone(const IcalComponent *calendar, const ImportRules *rules)
{
    const IcalLine *line = ical_line(calendar, "X-WR-TIMEZONE");
    const Zone *zone = line ? ical_find_zone(rules->zones, slice_trim(line->value)) : NULL;

    return zone ? zone : rules->default_zone;
}

static void convert_group(Arena *mem, const ImportRules *rules, const Entry *list, size_t count, ImportedEvent *event)
{
    ImportRules own = *rules;
    Conversion c = {.mem = mem, .rules = &own, .calendar = list[0].calendar, .event = event};

    own.default_zone = calendar_zone(c.calendar, rules);
    *event = (ImportedEvent){.uid = list[0].uid, .name = text_of(&c, list[0].component, "SUMMARY")};
    if (!ical_line(list[0].component, "UID"))
        warn(&c, "it has no UID");
    if (list[0].instance)
        warn(&c, "an instance of a series that is not here: taken by itself");
    convert(&c, list[0].component);
    event->overrides = ARENA_ARRAY(mem, ImportedOverride, MIN(count, ICAL_OVERRIDES_MAX) + 1);
    for (size_t i = 1; i < count; i++) {
        if (list[i].instance && !list[0].instance)
            add_override(&c, list[i].component);
        else
            warn(&c, "its UID comes several times: one was taken");
    }
}

ImportedCalendar ical_events(Arena *mem, const IcalFile *file, const ImportRules *rules)
{
    ImportedCalendar out = {.name = "", .whole = !file->cut};
    Entry *list = ARENA_ARRAY(mem, Entry, ICAL_EVENTS_MAX);
    size_t count = collect(mem, file, &out, list), groups = 0;

    qsort(list, count, sizeof(*list), compare_entries);
    out.events = ARENA_ARRAY(mem, ImportedEvent, count + 1);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && slice_eq(list[next].uid, list[i].uid); next++)
            ;
        convert_group(mem, rules, &list[i], next - i, &out.events[groups++]);
    }
    out.count = groups;
    return out;
}
