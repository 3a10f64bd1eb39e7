/* calendar_tool: the events service's calendar modules, asked line by line, for tests that know the answers from
 * elsewhere. A question is fields with tabs between them, an answer is one line; "!" begins a refusal.
 *
 *   offset  ZONE UNIX                                       the offset in seconds
 *   unix    ZONE WALL                                       the instant of a wall time
 *   expand  ZONE WALL RULE ADDED TAKEN FROM TO MAX          instants; "+" at the end when there are more */
#include <stdio.h>

#include "services/events/recurrence.h"
#include "shared/arena.h"

enum { FIELDS_MAX = 10, TIMES_MAX = 100 };

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
