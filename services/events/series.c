/* series: see series.h. */
#include "services/events/series.h"

#include <math.h>

#include "services/events/store_series.h"

enum { EXTEND_BATCH = 20, EXTEND_TIMEOUT_MS = 30000, LOOK_AHEAD_YEARS = 100, SWEEP_MS = 300000, SWEEP_PAUSE_MS = 50 };
#define US_PER_S INT64_C(1000000)
#define S_PER_YEAR INT64_C(31557600)
#define DAY_US INT64_C(86400000000)

/* A series, read and checked. */
typedef struct Series {
    SeriesStored stored;
    Rrule rule;
    Recurrence recurrence;
    RecurrenceTime *added, *taken;
} Series;

/* ---------------------------------------------------------------------------------------------------- reading */

static Err read_dates(Arena *mem, const char *what, const char *const *list, size_t count, RecurrenceTime **out,
                      const char **out_text)
{
    StrBuf text = strbuf_new(mem, SERIES_DATES_MAX_BYTES);
    Slice whole;

    if (count > RECURRENCE_DATES_MAX)
        return err_make(&INVALID_ARGUMENT, "%s: %d at most", what, RECURRENCE_DATES_MAX);
    *out = ARENA_ARRAY(mem, RecurrenceTime, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (!recurrence_read_time(slice(list[i]), &(*out)[i]))
            return err_make(&INVALID_ARGUMENT, "%s: item %zu is no date and no time", what, i);
        if (i)
            strbuf_append_char(&text, ',');
        strbuf_append(&text, slice_trim(slice(list[i])));
    }
    if (!strbuf_finish(&text, &whole))
        return err_make(&INVALID_ARGUMENT, "%s: too many", what);
    *out_text = whole.ptr;
    return OK;
}

static Err read_series(Arena *mem, const SeriesRule *in, Series *out)
{
    *out = (Series){.stored = {.external_key = in->external_key,
                               .name = in->name,
                               .rrule = in->rrule,
                               .timezone = zone_name(in->zone),
                               .start_us = in->start_us,
                               .end_us = in->end_us,
                               .door_us = in->door_us}};
    if (strlen(in->external_key) > SERIES_KEY_MAX_BYTES)
        return err_make(&INVALID_ARGUMENT, "external_key: %d bytes at most", SERIES_KEY_MAX_BYTES);
    if (in->rrule[0])
        TRY(rrule_read(slice(in->rrule), &out->rule));
    TRY(read_dates(mem, "rdates", in->added, in->added_count, &out->added, &out->stored.added));
    TRY(read_dates(mem, "exdates", in->taken, in->taken_count, &out->taken, &out->stored.taken));
    out->recurrence = (Recurrence){
        .zone = in->zone,
        .start_wall_s = zone_to_wall(in->zone, civil_floor_div(in->start_us, US_PER_S)),
        .added = out->added,
        .taken = out->taken,
        .added_count = in->added_count,
        .taken_count = in->taken_count,
    };
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- occurrences */

/* Of the series, from today to the horizon; where that has none, the next one, else the first one of all. */
static void find_instances(Arena *mem, const Events *events, const Series *s, int64_t now_us, Instance **out,
                           size_t *out_count)
{
    int64_t length_s = s->stored.end_us ? (s->stored.end_us - s->stored.start_us) / US_PER_S : 0;
    int64_t now_s = now_us / US_PER_S, from_s = now_s - length_s;
    size_t max = MIN((size_t)events->settings->ics_max_occurrences, OCCURRENCES_MAX / 2);
    bool more;

    recurrence_expand(mem, &s->recurrence, from_s, now_s + events->settings->ics_horizon_days * CIVIL_S_PER_DAY, max,
                      out, out_count, &more);
    if (*out_count == 0)
        recurrence_expand(mem, &s->recurrence, from_s, now_s + LOOK_AHEAD_YEARS * S_PER_YEAR, 1, out, out_count, &more);
    if (*out_count == 0)
        recurrence_expand(mem, &s->recurrence, s->stored.start_us / US_PER_S - CIVIL_S_PER_DAY, now_s, 1, out,
                          out_count, &more);
}

static void place_instance(const Series *s, const Instance *instance, Occurrence *o)
{
    int64_t start_us = instance->unix_s * US_PER_S;

    o->recurrence_us = o->start_us = start_us;
    o->end_us = s->stored.end_us ? start_us + s->stored.end_us - s->stored.start_us : 0;
    o->door_us = s->stored.door_us ? start_us + s->stored.door_us - s->stored.start_us : 0;
    o->timezone = s->stored.timezone;
}

static bool has_instance(const Instance *list, size_t count, int64_t us)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].unix_s * US_PER_S == us)
            return true;
    return false;
}

static Occurrence *find_made(EventEntity *event, int64_t start_us)
{
    for (size_t i = 0; i < event->occurrence_count; i++) {
        Occurrence *o = &event->occurrences[i];

        if (o->recurrence_us ? o->recurrence_us == start_us : o->start_us == start_us)
            return o;
    }
    return NULL;
}

/* What the rule made stays if it is over, edited, or in the rule still. */
static bool stays(const Occurrence *o, const Instance *list, size_t count, int64_t now_us)
{
    return !o->recurrence_us || o->detached || o->start_us < now_us || has_instance(list, count, o->recurrence_us);
}

static Occurrence pattern_of(const EventEntity *event)
{
    Occurrence o = {.virtual_url = "",
                    .ticket_url = "",
                    .price_min = NAN,
                    .price_max = NAN,
                    .price_currency = "",
                    .availability = ""};

    /* The last one: what was changed from one on holds for those to come. */
    for (size_t i = 0; i < event->occurrence_count; i++)
        if (!event->occurrences[i].detached && (!o.start_us || event->occurrences[i].start_us >= o.start_us))
            o = event->occurrences[i];
    o.id = (Uuid){{0}};
    o.status = OCCURRENCE_SCHEDULED;
    o.previous_start_us = 0;
    return o;
}

static void make_occurrences(const EntityWriter *w, const Series *s, EventEntity *event)
{
    Instance *instances;
    Occurrence *list, pattern = pattern_of(event);
    size_t instance_count, count = 0;

    find_instances(w->mem, w->events, s, w->now_us, &instances, &instance_count);
    list = ARENA_ARRAY(w->mem, Occurrence, event->occurrence_count + instance_count + 1);
    for (size_t i = 0; i < event->occurrence_count; i++)
        if (stays(&event->occurrences[i], instances, instance_count, w->now_us))
            list[count++] = event->occurrences[i];
    event->occurrences = list;
    event->occurrence_count = count;
    for (size_t i = 0; i < instance_count && event->occurrence_count < OCCURRENCES_MAX; i++) {
        Occurrence *o = find_made(event, instances[i].unix_s * US_PER_S);

        if (o && o->detached)
            continue;
        if (!o) {
            o = &event->occurrences[event->occurrence_count++];
            *o = pattern;
        }
        place_instance(s, &instances[i], o);
    }
}

/* ---------------------------------------------------------------------------------------------------- eventSchedule */

static const char *frequency_text(Arena *mem, const Rrule *r)
{
    static const char *const FORMS[] = {"P%dY", "P%dM", "P%dW", "P%dD", "PT%dH"};
    char text[16];

    /* Not from a format of a table: it would not be checked. */
    (void)snprintf(text, sizeof(text), "%d", r->interval);
    return arena_printf(mem, "%.*s%s%c", r->frequency == RRULE_HOURLY ? 2 : 1, FORMS[r->frequency], text,
                        FORMS[r->frequency][strlen(FORMS[r->frequency]) - 1]);
}

static bool has_words(const Rrule *r)
{
    for (size_t i = 0; i < ARRAY_LEN(r->yeardays); i++)
        if (r->yeardays[i] || r->yeardays_back[i])
            return false;
    return !r->weeks && !r->weeks_back && !r->position_count && !r->monthdays_back && !r->hours && !r->minutes &&
           !r->seconds;
}

static void add_days(Arena *mem, const Rrule *r, Node *node)
{
    static const char *const NAMES[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
    static const char *const SHORT[] = {"MO", "TU", "WE", "TH", "FR", "SA", "SU"};

    for (int i = 0; i < 7; i++)
        if (r->weekdays >> i & 1)
            node_add_text(mem, node, TERM_BY_DAY, slice(NAMES[i]));
    for (size_t i = 0; i < r->nth_count; i++)
        node_add_text(mem, node, TERM_BY_DAY,
                      slice(arena_printf(mem, "%d%s", r->nths[i].nth, SHORT[r->nths[i].weekday])));
}

Node *series_schedule(Arena *mem, const Rrule *r, const SeriesRule *series)
{
    Node *node = node_new(mem, CLASS_SCHEDULE, SLICE_LIT(""));

    if (!has_words(r))
        return NULL;
    node_add_text(mem, node, TERM_REPEAT_FREQUENCY, slice(frequency_text(mem, r)));
    add_days(mem, r, node);
    for (int i = 1; i <= 31; i++) {
        if (i <= 12 && r->months >> i & 1)
            node_add_integer(mem, node, TERM_BY_MONTH, i);
        if (r->monthdays >> i & 1)
            node_add_integer(mem, node, TERM_BY_MONTH_DAY, i);
    }
    node_add_text(mem, node, TERM_START_DATE, slice(utc_text(mem, series->start_us)));
    if (r->until != RRULE_FOREVER)
        node_add_text(
            mem, node, TERM_END_DATE,
            slice(utc_text(mem, (r->until == RRULE_UNTIL_UTC ? r->until_s : zone_to_unix(series->zone, r->until_s)) *
                                    US_PER_S)));
    if (r->count)
        node_add_integer(mem, node, TERM_REPEAT_COUNT, r->count);
    for (size_t i = 0; i < series->taken_count; i++) {
        RecurrenceTime t;

        if (recurrence_read_time(slice(series->taken[i]), &t))
            node_add_text(mem, node, TERM_EXCEPT_DATE,
                          slice(utc_text(mem, recurrence_time_unix(&t, series->zone) * US_PER_S)));
    }
    node_add_text(mem, node, TERM_SCHEDULE_TIMEZONE, slice(zone_name(series->zone)));
    return node;
}

/* ---------------------------------------------------------------------------------------------------- applying */

static bool same_uuid(Uuid a, Uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

/* Its source does not know of what was taken out by hand: that comes no more, whatever it says. */
static Err add_taken(const EntityWriter *w, Uuid event, SeriesRule *rule)
{
    const char **list;
    int64_t *taken;
    size_t count, room;

    TRY(events_store_taken_occurrences(w->tx, w->mem, event, &taken, &count));
    room = rule->taken_count < RECURRENCE_DATES_MAX ? RECURRENCE_DATES_MAX - rule->taken_count : 0;
    count = MIN(count, room);
    list = ARENA_ARRAY(w->mem, const char *, rule->taken_count + count + 1);
    for (size_t i = 0; i < rule->taken_count; i++)
        list[i] = rule->taken[i];
    for (size_t i = 0; i < count; i++)
        list[rule->taken_count + i] = utc_text(w->mem, taken[i]);
    rule->taken = list;
    rule->taken_count += count;
    return OK;
}

Err series_apply(const EntityWriter *w, Uuid source, const SeriesRule *said, EventEntity *event)
{
    SeriesRule whole = *said;
    const SeriesRule *rule = &whole;
    Series series;
    Uuid id, first;
    Node *schedule;

    if (!uuid_is_nil(event->head.id))
        TRY(add_taken(w, event->head.id, &whole));
    TRY(read_series(w->mem, rule, &series));
    series.recurrence.rule = rule->rrule[0] ? &series.rule : NULL;
    series.stored.id = ulid_next(w->events->ids);
    series.stored.source_id = source;
    TRY(events_store_put_series(w->tx, &series.stored, w->now_us, &id, &first));
    if (uuid_is_nil(event->head.id))
        event->head.id = ulid_next(w->events->ids);
    event->series_id = id;
    if (!uuid_is_nil(first) && !same_uuid(first, event->head.id))
        return OK; /* another event has its occurrences */
    TRY(events_store_change_series(w->tx, id, &series.stored, w->now_us));
    make_occurrences(w, &series, event);
    node_clear(event->head.node, TERM_EVENT_SCHEDULE);
    schedule = rule->rrule[0] ? series_schedule(w->mem, &series.rule, rule) : NULL;
    if (schedule)
        node_add_node(w->mem, event->head.node, TERM_EVENT_SCHEDULE, schedule);
    return events_store_series_extended(w->tx, id, w->now_us);
}

/* ---------------------------------------------------------------------------------------------------- every day */

static size_t split(Arena *mem, const char *list, const char *const **out)
{
    const char **items = ARENA_ARRAY(mem, const char *, RECURRENCE_DATES_MAX);
    Slice rest = slice(list), item;
    size_t count = 0;

    while (rest.len && count < RECURRENCE_DATES_MAX) {
        (void)slice_cut(rest, ',', &item, &rest);
        items[count++] = slice_cstr(mem, item);
    }
    *out = items;
    return count;
}

static Err read_stored(const Events *events, Arena *mem, const SeriesStored *stored, Series *out)
{
    SeriesRule rule = {.external_key = stored->external_key,
                       .name = stored->name,
                       .rrule = stored->rrule,
                       .zone = zones_find(events->zones, slice(stored->timezone)),
                       .start_us = stored->start_us,
                       .end_us = stored->end_us,
                       .door_us = stored->door_us};

    if (!rule.zone)
        return err_make(&INVALID_ARGUMENT, "its time zone is not known any more");
    rule.added_count = split(mem, stored->added, &rule.added);
    rule.taken_count = split(mem, stored->taken, &rule.taken);
    TRY(read_series(mem, &rule, out));
    out->recurrence.rule = stored->rrule[0] ? &out->rule : NULL;
    return OK;
}

/* Marked whatever comes of it: what fails today is no reason to fail again at once. */
static Err extend_one(const SeriesKeeper *k, const SeriesStored *stored, Uuid event_id)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = {.mem = mem,
                  .service = k->events,
                  .caller = {.kind = CALLER_SERVICE, .service = "events", .username = "", .login_id = ""},
                  .profile = "all",
                  .clock = k->clock,
                  .db = k->db,
                  .log = k->log,
                  .deadline_ms = clock_monotonic_ms(k->clock) + EXTEND_TIMEOUT_MS};
    EventEntity event;
    EntityWriter w;
    Series series;
    Err e;

    TRY(db_tx_begin(&rq, &tx));
    w = entity_writer(&rq, &tx);
    w.actor = actor_service("series");
    if (!uuid_is_nil(event_id)) {
        TRY(event_load(&w, event_id, &event));
        e = read_stored(k->events, mem, stored, &series);
        if (err_failed(e))
            LOG_WARN(k->log, "series_not_extended", "error", e.text);
        else if (!event.head.deleted_us) {
            make_occurrences(&w, &series, &event);
            TRY(event_save(&w, &event, "further occurrences of the series", NULL));
        }
    }
    TRY(events_store_series_extended(&tx, stored->id, w.now_us));
    return db_tx_commit(&tx);
}

Err series_extend(const SeriesKeeper *k, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Request rq = {.mem = mem,
                  .service = k->events,
                  .clock = k->clock,
                  .db = k->db,
                  .log = k->log,
                  .deadline_ms = clock_monotonic_ms(k->clock) + EXTEND_TIMEOUT_MS};
    SeriesStored *due;
    size_t count;
    Uuid *events;

    TRY(events_store_due_series(&rq, clock_unix_us(k->clock) - DAY_US, EXTEND_BATCH, &due, &events, &count));
    for (size_t i = 0; i < count; i++)
        TRY(extend_one(k, &due[i], events[i]));
    if (count)
        entity_settled(k->events);
    *out_more = count == EXTEND_BATCH;
    return OK;
}

static Err turn_extend(SweeperTurn *turn)
{
    return series_extend(turn->data, &turn->more);
}

Sweeper *series_sweeper_start(SeriesKeeper *keeper, Metrics *metrics)
{
    return sweeper_start(&(SweeperOptions){
        .db = keeper->db,
        .log = keeper->log,
        .name = "series",
        .data = keeper,
        .tasks = {{.what = "series",
                   .turn = turn_extend,
                   .turns =
                       metrics_counter(metrics, "atrium_events_series_turns_total",
                                       "Looks at the series whose occurrences are to be made further ahead.", "")}},
        .failures = metrics_counter(metrics, "atrium_events_series_failures_total", "Those that failed.", ""),
        .interval_ms = SWEEP_MS,
        .pause_ms = SWEEP_PAUSE_MS,
    });
}
