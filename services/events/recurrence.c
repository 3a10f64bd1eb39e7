#include "services/events/recurrence.h"

#include "shared/clock.h"

/* Of the years 1 and 9999: what lies outside is no time of ours, and arithmetic stays far from its ends. */
#define YEAR_1_S INT64_C(-62135596800)
#define YEAR_9999_END_S INT64_C(253402300799)

bool recurrence_read_time(Slice text, RecurrenceTime *out)
{
    char compact[16];
    int32_t nanos;
    bool date, utc;
    size_t len = 0;

    text = slice_trim(text);
    if (time_parse(text, &out->at_s, &nanos)) {
        out->kind = RECURRENCE_INSTANT;
        return true;
    }
    /* The long form without offset is the short one with marks in it, at their places. */
    if (text.len == 10 || text.len == 19) {
        for (size_t i = 0; i < text.len; i++) {
            char mark = i == 4 || i == 7 ? '-' : i == 13 || i == 16 ? ':' : '\0';

            if (mark && text.ptr[i] != mark)
                return false;
            if (!mark)
                compact[len++] = text.ptr[i];
        }
        text = slice_of(compact, len);
    }
    if (!rrule_read_time(text, &out->at_s, &date, &utc))
        return false;
    out->kind = date ? RECURRENCE_DATE : utc ? RECURRENCE_INSTANT : RECURRENCE_WALL;
    return true;
}

int64_t recurrence_time_unix(const RecurrenceTime *t, const Zone *zone)
{
    return t->kind == RECURRENCE_INSTANT ? t->at_s : zone_to_unix(zone, t->at_s);
}

/* A date takes out all that begins on it. */
static bool is_taken(const Recurrence *r, const Instance *i)
{
    for (size_t k = 0; k < r->taken_count; k++) {
        const RecurrenceTime *t = &r->taken[k];

        if (t->kind == RECURRENCE_INSTANT ? t->at_s == i->unix_s
            : t->kind == RECURRENCE_WALL  ? t->at_s == i->wall_s
                                          : i->wall_s >= t->at_s && i->wall_s < t->at_s + CIVIL_S_PER_DAY)
            return true;
    }
    return false;
}

static int compare_instances(const void *a, const void *b)
{
    const Instance *x = a, *y = b;

    return x->unix_s != y->unix_s ? (x->unix_s > y->unix_s) - (x->unix_s < y->unix_s)
                                  : (x->wall_s > y->wall_s) - (x->wall_s < y->wall_s);
}

typedef struct Found {
    Instance *list;
    size_t count;
    int64_t from_s, to_s;
} Found;

static void add(const Recurrence *r, Found *f, int64_t wall_s, int64_t unix_s)
{
    Instance i = {.wall_s = wall_s, .unix_s = unix_s};

    if (unix_s >= f->from_s && unix_s <= f->to_s && !is_taken(r, &i))
        f->list[f->count++] = i;
}

/* An added date without a time begins when the first one does. */
static void add_dates(const Recurrence *r, Found *f)
{
    int64_t of_day = r->start_wall_s - civil_floor_div(r->start_wall_s, CIVIL_S_PER_DAY) * CIVIL_S_PER_DAY;

    for (size_t i = 0; i < r->added_count; i++) {
        RecurrenceTime t = r->added[i];
        int64_t unix_s;

        if (t.kind == RECURRENCE_DATE)
            t.at_s += of_day;
        unix_s = recurrence_time_unix(&t, r->zone);
        add(r, f, t.kind == RECURRENCE_INSTANT ? zone_to_wall(r->zone, unix_s) : t.at_s, unix_s);
    }
}

/* `limit` of the rule's own are enough, since the dates added can only come between them. */
static bool walk_rule(const Recurrence *r, Found *f, size_t limit)
{
    RruleWalk walk;
    size_t before = f->count;
    int64_t wall_s;

    rrule_walk_begin(&walk, r->rule, r->start_wall_s, zone_to_wall(r->zone, f->from_s) - CIVIL_S_PER_DAY,
                     zone_to_wall(r->zone, f->to_s) + CIVIL_S_PER_DAY);
    while (f->count - before < limit && rrule_walk_next(&walk, &wall_s)) {
        int64_t unix_s = zone_to_unix(r->zone, wall_s);

        if (r->rule->until == RRULE_UNTIL_UTC && unix_s > r->rule->until_s)
            break;
        add(r, f, wall_s, unix_s);
    }
    return walk.cut;
}

void recurrence_expand(Arena *mem, const Recurrence *r, int64_t from_unix_s, int64_t to_unix_s, size_t max,
                       Instance **out, size_t *out_count, bool *out_more)
{
    Found f = {.from_s = MAX(from_unix_s, YEAR_1_S), .to_s = MIN(to_unix_s, YEAR_9999_END_S)};
    size_t kept = 0;

    max = MIN(max, RECURRENCE_INSTANCES_MAX);
    f.list = ARENA_ARRAY(mem, Instance, max + 2 + r->added_count + 1);
    if (r->rule)
        *out_more = walk_rule(r, &f, max + 1);
    else {
        *out_more = false;
        add(r, &f, r->start_wall_s, zone_to_unix(r->zone, r->start_wall_s));
    }
    add_dates(r, &f);
    if (f.count)
        qsort(f.list, f.count, sizeof(*f.list), compare_instances);
    for (size_t i = 0; i < f.count; i++)
        if (!kept || f.list[i].unix_s != f.list[kept - 1].unix_s)
            f.list[kept++] = f.list[i];
    *out_more = *out_more || kept > max;
    *out = f.list;
    *out_count = MIN(kept, max);
}
