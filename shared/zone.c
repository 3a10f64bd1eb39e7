#include "shared/zone.h"

#include <ctype.h>
#include <pthread.h>

#include "shared/civil.h"

#define SYSTEM_FOLDER "/usr/share/zoneinfo"
enum { TYPES_MAX = 256, ABBREVIATIONS_MAX_BYTES = 1024, ZONES_MAX = 1024, RULE_YEAR_MAX = 200000 };

typedef struct Type {
    int32_t offset_s;
    bool daylight;
    char abbreviation[ZONE_ABBREVIATION_BYTES];
} Type;

/* When a half of the year begins, as POSIX writes it. */
typedef struct Onset {
    enum { ONSET_WEEKDAY, ONSET_DAY, ONSET_DAY_NO_LEAP } kind;
    int month, week, weekday; /* weekday: 0 is Sunday; week 5 is the last */
    int day;                  /* from 0, or from 1 without 29 February */
    int32_t at_s;             /* on the wall, before it changes; -167 to 167 hours */
} Onset;

struct Zone {
    char name[ZONE_NAME_MAX_BYTES + 1];
    int64_t *at; /* changes in order: from at[i] on, types[index[i]] holds */
    uint8_t *index;
    size_t count;
    Type types[TYPES_MAX];
    size_t type_count;
    bool has_rule; /* else the last type holds for ever */
    Type rule[2];  /* standard, daylight */
    bool rule_daylight;
    Onset onsets[2]; /* when standard time, when daylight time begins */
};

/* ---------------------------------------------------------------------------------------------------- the last line
 * "EST5EDT,M3.2.0,M11.1.0": offsets count westwards, times are on the wall. */

static bool take_number(Slice *s, int max, int *out)
{
    int value = 0;
    size_t digits = 0;

    for (; digits < s->len && digits < 5 && isdigit((unsigned char)s->ptr[digits]); digits++)
        value = value * 10 + s->ptr[digits] - '0';
    *s = slice_skip(*s, digits);
    *out = value;
    return digits > 0 && value <= max;
}

static bool take_char(Slice *s, char c)
{
    if (!s->len || s->ptr[0] != c)
        return false;
    *s = slice_skip(*s, 1);
    return true;
}

static bool take_time(Slice *s, int32_t *out_s)
{
    bool minus = take_char(s, '-');
    int hours, minutes = 0, seconds = 0;

    if (!minus)
        (void)take_char(s, '+');
    if (!take_number(s, 167, &hours) || (take_char(s, ':') && !take_number(s, 59, &minutes)) ||
        (take_char(s, ':') && !take_number(s, 59, &seconds)))
        return false;
    *out_s = (hours * 3600 + minutes * 60 + seconds) * (minus ? -1 : 1);
    return true;
}

/* Letters, or anything between < and >. */
static bool take_abbreviation(Slice *s, char out[ZONE_ABBREVIATION_BYTES])
{
    bool quoted = take_char(s, '<');
    size_t len = 0;

    while (len < s->len && (quoted ? s->ptr[len] != '>' : isalpha((unsigned char)s->ptr[len]) != 0))
        len++;
    if (len == 0 || len >= ZONE_ABBREVIATION_BYTES)
        return false;
    memcpy(out, s->ptr, len);
    out[len] = '\0';
    *s = slice_skip(*s, len);
    return !quoted || take_char(s, '>');
}

static bool take_onset(Slice *s, Onset *out)
{
    *out = (Onset){.at_s = 2 * 3600};
    if (take_char(s, 'M')) {
        out->kind = ONSET_WEEKDAY;
        if (!take_number(s, 12, &out->month) || !take_char(s, '.') || !take_number(s, 5, &out->week) ||
            !take_char(s, '.') || !take_number(s, 6, &out->weekday) || out->month < 1 || out->week < 1)
            return false;
    } else if (take_char(s, 'J')) {
        out->kind = ONSET_DAY_NO_LEAP;
        if (!take_number(s, 365, &out->day) || out->day < 1)
            return false;
    } else {
        out->kind = ONSET_DAY;
        if (!take_number(s, 365, &out->day))
            return false;
    }
    return !take_char(s, '/') || take_time(s, &out->at_s);
}

static bool parse_rule(Zone *z, Slice s)
{
    int32_t west_s, daylight_west_s;

    if (!take_abbreviation(&s, z->rule[0].abbreviation) || !take_time(&s, &west_s))
        return false;
    z->rule[0].offset_s = -west_s;
    if (!s.len)
        return true;
    if (!take_abbreviation(&s, z->rule[1].abbreviation))
        return false;
    daylight_west_s = west_s - 3600;
    if (s.len && s.ptr[0] != ',' && !take_time(&s, &daylight_west_s))
        return false;
    z->rule[1].offset_s = -daylight_west_s;
    z->rule[1].daylight = true;
    z->rule_daylight = true;
    return take_char(&s, ',') && take_onset(&s, &z->onsets[1]) && take_char(&s, ',') && take_onset(&s, &z->onsets[0]) &&
           !s.len;
}

static int64_t onset_day(const Onset *o, int64_t year)
{
    int64_t first, day;
    int leap;

    if (o->kind == ONSET_WEEKDAY) {
        first = civil_days((CivilDate){.year = year, .month = o->month, .day = 1});
        day = first + (o->weekday + 6 - civil_weekday(first) + 7) % 7 + (o->week - 1) * 7;
        return day < first + civil_days_in_month(year, o->month) ? day : day - 7;
    }
    first = civil_days((CivilDate){.year = year, .month = 1, .day = 1});
    leap = civil_days_in_year(year) == 366;
    return first + (o->kind == ONSET_DAY ? o->day : o->day - 1 + (leap && o->day > 59));
}

/* The instant at which half `half` of `year` begins. */
static int64_t onset_unix(const Zone *z, int half, int64_t year)
{
    return onset_day(&z->onsets[half], year) * CIVIL_S_PER_DAY + z->onsets[half].at_s - z->rule[!half].offset_s;
}

/* Of the rule's changes in three years around, the latest at or before, or the earliest after. */
static bool rule_change(const Zone *z, int64_t unix_s, bool after, int64_t *out_at, int *out_half)
{
    int64_t year = civil_date(civil_floor_div(unix_s, CIVIL_S_PER_DAY)).year;
    bool found = false;

    if (!z->has_rule || !z->rule_daylight || year > RULE_YEAR_MAX || year < -RULE_YEAR_MAX)
        return false;
    for (int64_t y = year - 1; y <= year + 1; y++)
        for (int half = 0; half < 2; half++) {
            int64_t at = onset_unix(z, half, y);

            if (after ? at > unix_s && (!found || at < *out_at) : at <= unix_s && (!found || at > *out_at)) {
                *out_at = at;
                *out_half = half;
                found = true;
            }
        }
    return found;
}

/* ---------------------------------------------------------------------------------------------------- the file */

typedef struct Header {
    char version;
    uint32_t utc_flags, wall_flags, leaps, times, types, letters;
} Header;
enum { HEADER_BYTES = 44 };

static uint32_t read_u32(const char *at)
{
    const uint8_t *b = (const uint8_t *)at;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t read_i64(const char *at)
{
    return (int64_t)((uint64_t)read_u32(at) << 32 | read_u32(at + 4));
}

static bool take_header(Slice *s, Header *out)
{
    if (s->len < HEADER_BYTES || memcmp(s->ptr, "TZif", 4) != 0)
        return false;
    *out = (Header){.version = s->ptr[4],
                    .utc_flags = read_u32(s->ptr + 20),
                    .wall_flags = read_u32(s->ptr + 24),
                    .leaps = read_u32(s->ptr + 28),
                    .times = read_u32(s->ptr + 32),
                    .types = read_u32(s->ptr + 36),
                    .letters = read_u32(s->ptr + 40)};
    *s = slice_skip(*s, HEADER_BYTES);
    return out->utc_flags <= TYPES_MAX && out->wall_flags <= TYPES_MAX && out->leaps <= ZONE_FILE_MAX_BYTES &&
           out->times <= ZONE_FILE_MAX_BYTES && out->types >= 1 && out->types <= TYPES_MAX &&
           out->letters <= ABBREVIATIONS_MAX_BYTES;
}

static size_t block_bytes(const Header *h, size_t time_bytes)
{
    return h->times * (time_bytes + 1) + h->types * 6U + h->letters + h->leaps * (time_bytes + 4) + h->wall_flags +
           h->utc_flags;
}

static bool read_types(Zone *z, const Header *h, const char *at)
{
    const char *letters = at + (size_t)h->types * 6;

    for (uint32_t i = 0; i < h->types; i++, at += 6) {
        size_t from = (uint8_t)at[5];
        Type *t = &z->types[z->type_count++];

        t->offset_s = (int32_t)read_u32(at);
        t->daylight = at[4] != 0;
        if (from >= h->letters || t->offset_s < -93600 || t->offset_s > 93600)
            return false;
        (void)snprintf(t->abbreviation, sizeof(t->abbreviation), "%.*s", (int)(h->letters - from), letters + from);
    }
    return true;
}

static bool read_block(Zone *z, const Header *h, const char *at)
{
    const char *index = at + (size_t)h->times * 8;

    z->at = xcalloc(h->times, sizeof(*z->at));
    z->index = xcalloc(h->times, 1);
    for (uint32_t i = 0; i < h->times; i++) {
        int64_t when = read_i64(at + (size_t)i * 8);

        if ((uint8_t)index[i] >= h->types || (z->count && when <= z->at[z->count - 1]))
            return false;
        z->at[z->count] = when;
        z->index[z->count++] = (uint8_t)index[i];
    }
    return read_types(z, h, index + h->times);
}

Zone *zone_parse(Slice name, Slice file)
{
    CLEANUP(zone_free_at) Zone *z = xcalloc(1, sizeof(*z));
    Header h;
    size_t len;

    (void)snprintf(z->name, sizeof(z->name), SLICE_FMT, SLICE_ARG(name));
    if (file.len > ZONE_FILE_MAX_BYTES || !take_header(&file, &h) || h.version < '2')
        return NULL;
    len = block_bytes(&h, 4);
    if (len > file.len)
        return NULL;
    file = slice_skip(file, len); /* the old block of 32 bits */
    if (!take_header(&file, &h) || block_bytes(&h, 8) > file.len || !read_block(z, &h, file.ptr))
        return NULL;
    file = slice_skip(file, block_bytes(&h, 8));
    if (!take_char(&file, '\n') || slice_find_char(file, '\n') < 0)
        return NULL;
    file = slice_take(file, (size_t)slice_find_char(file, '\n'));
    z->has_rule = file.len > 0;
    if (z->has_rule && !parse_rule(z, file))
        return NULL;
    return MOVE(z);
}

void zone_free(Zone *z)
{
    if (!z)
        return;
    free(z->at);
    free(z->index);
    free(z);
}

/* ---------------------------------------------------------------------------------------------------- asking */

/* How many changes are at or before. */
static size_t changes_until(const Zone *z, int64_t unix_s)
{
    size_t low = 0, high = z->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (z->at[middle] <= unix_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Behind the last change of the table the rule holds. */
static const Type *type_at(const Zone *z, int64_t unix_s)
{
    size_t i = changes_until(z, unix_s);
    int64_t at;
    int half;

    if (i < z->count)
        return i ? &z->types[z->index[i - 1]] : &z->types[0];
    if (rule_change(z, unix_s, false, &at, &half) && (z->count == 0 || at > z->at[z->count - 1]))
        return &z->rule[half];
    if (z->has_rule && !z->rule_daylight)
        return &z->rule[0];
    return i ? &z->types[z->index[i - 1]] : &z->types[0];
}

const char *zone_name(const Zone *z)
{
    return z->name;
}

int32_t zone_offset_s(const Zone *z, int64_t unix_s)
{
    return type_at(z, unix_s)->offset_s;
}

void zone_abbreviation(const Zone *z, int64_t unix_s, char out[ZONE_ABBREVIATION_BYTES])
{
    memcpy(out, type_at(z, unix_s)->abbreviation, ZONE_ABBREVIATION_BYTES);
}

int64_t zone_to_wall(const Zone *z, int64_t unix_s)
{
    return unix_s + zone_offset_s(z, unix_s);
}

/* A day before and a day behind are on the two sides of a change, if there is one. */
int64_t zone_to_unix(const Zone *z, int64_t wall_s)
{
    int32_t before = zone_offset_s(z, wall_s - CIVIL_S_PER_DAY), after = zone_offset_s(z, wall_s + CIVIL_S_PER_DAY);
    int64_t early = wall_s - MAX(before, after), late = wall_s - MIN(before, after);

    if (zone_to_wall(z, early) == wall_s)
        return early;
    if (zone_to_wall(z, late) == wall_s)
        return late;
    return wall_s - before;
}

static void describe(const Zone *z, int64_t at, ZoneChange *out)
{
    const Type *to = type_at(z, at);

    *out = (ZoneChange){
        .unix_s = at, .from_offset_s = zone_offset_s(z, at - 1), .to_offset_s = to->offset_s, .daylight = to->daylight};
    memcpy(out->abbreviation, to->abbreviation, sizeof(out->abbreviation));
}

bool zone_change_before(const Zone *z, int64_t unix_s, ZoneChange *out)
{
    size_t i = changes_until(z, unix_s);
    int64_t at;
    int half;

    if (i == z->count && rule_change(z, unix_s, false, &at, &half) && (z->count == 0 || at > z->at[z->count - 1])) {
        describe(z, at, out);
        return true;
    }
    if (i == 0)
        return false;
    describe(z, z->at[i - 1], out);
    return true;
}

bool zone_change_after(const Zone *z, int64_t unix_s, ZoneChange *out)
{
    size_t i = changes_until(z, unix_s);
    int64_t at;
    int half;

    if (i < z->count) {
        describe(z, z->at[i], out);
        return true;
    }
    if (!rule_change(z, unix_s, true, &at, &half))
        return false;
    describe(z, at, out);
    return true;
}

/* ---------------------------------------------------------------------------------------------------- all of them */

struct Zones {
    char *folder;
    pthread_mutex_t lock; /* of what follows */
    Zone *list[ZONES_MAX];
    size_t count;
};

Zones *zones_new(const char *folder)
{
    Zones *zones = xcalloc(1, sizeof(*zones));

    zones->folder = xstrdup(folder ? folder : SYSTEM_FOLDER);
    pthread_mutex_init(&zones->lock, NULL);
    return zones;
}

void zones_free(Zones *zones)
{
    if (!zones)
        return;
    for (size_t i = 0; i < zones->count; i++)
        zone_free(zones->list[i]);
    pthread_mutex_destroy(&zones->lock);
    free(zones->folder);
    free(zones);
}

/* "Area/Place": no path out of the folder, and not the copies of the tree ("right/" counts leap seconds). */
static bool name_fits(Slice name)
{
    if (!name.len || name.len > ZONE_NAME_MAX_BYTES || !isupper((unsigned char)name.ptr[0]))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.ptr[i]) && !memchr("_+-/", name.ptr[i], 4))
            return false;
    return true;
}

static Zone *read_zone(const Zones *zones, Slice name)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    char *bytes = arena_alloc_raw(mem, ZONE_FILE_MAX_BYTES, 1);
    FILE *file = fopen(arena_printf(mem, "%s/" SLICE_FMT, zones->folder, SLICE_ARG(name)), "re");
    size_t len;

    if (!file)
        return NULL;
    len = fread(bytes, 1, ZONE_FILE_MAX_BYTES, file); /* of a folder: nothing */
    (void)fclose(file);
    return zone_parse(name, slice_of(bytes, len));
}

const Zone *zones_find(Zones *zones, Slice name)
{
    Zone *found = NULL;

    if (!name_fits(name))
        return NULL;
    pthread_mutex_lock(&zones->lock);
    for (size_t i = 0; i < zones->count && !found; i++)
        if (slice_eq_cstr(name, zones->list[i]->name))
            found = zones->list[i];
    if (!found && zones->count < ZONES_MAX) {
        found = read_zone(zones, name);
        if (found)
            zones->list[zones->count++] = found;
    }
    pthread_mutex_unlock(&zones->lock);
    return found;
}
