#include "services/events/rrule.h"

#include <ctype.h>

#include "atrium/reasons.atrium.h"

enum {
    YEAR_STEPS = 40, /* what looking at the days of a year costs, beside one day */
    MONTH_STEPS = 4,
    S_PER_HOUR = 3600
};

static const char *const WEEKDAYS[] = {"MO", "TU", "WE", "TH", "FR", "SA", "SU"};

/* ---------------------------------------------------------------------------------------------------- reading */

static bool take_digits(Slice *s, size_t count, int *out)
{
    int value = 0;

    if (s->len < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!isdigit((unsigned char)s->ptr[i]))
            return false;
        value = value * 10 + s->ptr[i] - '0';
    }
    *s = slice_skip(*s, count);
    *out = value;
    return true;
}

bool rrule_read_time(Slice s, int64_t *out_s, bool *out_date, bool *out_utc)
{
    int year, hour = 0, minute = 0, second = 0;
    CivilDate date = {0};
    bool is_date;

    if (!take_digits(&s, 4, &year) || !take_digits(&s, 2, &date.month) || !take_digits(&s, 2, &date.day))
        return false;
    date.year = year;
    if (year < 1 || !civil_date_exists(date))
        return false;
    is_date = s.len == 0;
    *out_utc = false;
    if (!is_date) {
        if (toupper((unsigned char)s.ptr[0]) != 'T')
            return false;
        s = slice_skip(s, 1);
        if (!take_digits(&s, 2, &hour) || !take_digits(&s, 2, &minute) || !take_digits(&s, 2, &second) || hour > 23 ||
            minute > 59 || second > 60)
            return false;
        *out_utc = s.len == 1 && toupper((unsigned char)s.ptr[0]) == 'Z';
        if (s.len && !*out_utc)
            return false;
    }
    *out_date = is_date;
    *out_s = civil_days(date) * CIVIL_S_PER_DAY + hour * S_PER_HOUR + minute * 60 + MIN(second, 59);
    return true;
}

/* One part of a rule: name, and what it may hold. */
typedef struct Part Part;
struct Part {
    const char *name;
    bool (*read)(const Part *part, Slice value, Rrule *rule);
    int64_t min, max;
    size_t offset; /* of a set of numbers, or of one number, in Rrule */
    size_t back;   /* of the set of those from the end; 0: there are none */
};

static bool is_word(Slice s, const char *word)
{
    return slice_eq_nocase(s, slice(word));
}

static bool read_frequency(const Part *part, Slice value, Rrule *rule)
{
    static const char *const NAMES[] = {"YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"};

    (void)part;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (is_word(value, NAMES[i])) {
            rule->frequency = (RruleFrequency)i;
            return true;
        }
    return false;
}

static bool read_int64(const Part *part, Slice value, Rrule *rule)
{
    int64_t number;

    if (!slice_to_int64(value, &number) || number < part->min || number > part->max)
        return false;
    memcpy((char *)rule + part->offset, &number, sizeof(number));
    return true;
}

static bool read_interval(const Part *part, Slice value, Rrule *rule)
{
    int64_t number;

    if (!slice_to_int64(value, &number) || number < part->min || number > part->max)
        return false;
    rule->interval = (int)number;
    return true;
}

static bool read_until(const Part *part, Slice value, Rrule *rule)
{
    bool date, utc;

    (void)part;
    if (!rrule_read_time(value, &rule->until_s, &date, &utc))
        return false;
    rule->until = date ? RRULE_UNTIL_DATE : utc ? RRULE_UNTIL_UTC : RRULE_UNTIL_WALL;
    return true;
}

static bool read_weekday(Slice value, int *out)
{
    for (int i = 0; i < 7; i++)
        if (is_word(value, WEEKDAYS[i])) {
            *out = i;
            return true;
        }
    return false;
}

static bool read_week_start(const Part *part, Slice value, Rrule *rule)
{
    (void)part;
    return read_weekday(value, &rule->week_start);
}

/* Numbers become bits of the word at part->offset, of the width that `bits` says. */
static bool read_numbers(const Part *part, Slice value, Rrule *rule)
{
    bool more = true;

    while (more) {
        Slice item;
        int64_t number, size;
        uint64_t *word;

        more = slice_cut(value, ',', &item, &value);
        if (!slice_to_int64(slice_trim(item), &number))
            return false;
        size = number < 0 ? -number : number;
        if (size < part->min || size > part->max || (number < 0 && !part->back))
            return false;
        word = (uint64_t *)(void *)((char *)rule + (number < 0 ? part->back : part->offset));
        word[size / 64] |= UINT64_C(1) << (size % 64);
    }
    return true;
}

static bool read_days(const Part *part, Slice value, Rrule *rule)
{
    bool more = true;

    (void)part;
    while (more) {
        Slice item;
        int64_t nth = 0;
        int weekday;

        more = slice_cut(value, ',', &item, &value);
        item = slice_trim(item);
        if (item.len < 2 || !read_weekday(slice_skip(item, item.len - 2), &weekday))
            return false;
        item = slice_take(item, item.len - 2);
        if (!item.len) {
            rule->weekdays |= (uint8_t)(1U << weekday);
            continue;
        }
        if (!slice_to_int64(item, &nth) || nth == 0 || nth < -53 || nth > 53 || rule->nth_count == RRULE_NTHS_MAX)
            return false;
        rule->nths[rule->nth_count++] = (RruleNth){.weekday = (int8_t)weekday, .nth = (int16_t)nth};
    }
    return true;
}

static bool read_positions(const Part *part, Slice value, Rrule *rule)
{
    bool more = true;

    while (more) {
        Slice item;
        int64_t number;

        more = slice_cut(value, ',', &item, &value);
        if (!slice_to_int64(slice_trim(item), &number) || number == 0 || number < -part->max || number > part->max ||
            rule->position_count == RRULE_POSITIONS_MAX)
            return false;
        rule->positions[rule->position_count++] = (int16_t)number;
    }
    return true;
}

#define SET(member) offsetof(Rrule, member)
static const Part PARTS[] = {
    {"FREQ", read_frequency, 0, 0, 0, 0},
    {"UNTIL", read_until, 0, 0, 0, 0},
    {"COUNT", read_int64, 1, RRULE_COUNT_MAX, SET(count), 0},
    {"INTERVAL", read_interval, 1, RRULE_INTERVAL_MAX, 0, 0},
    {"BYSECOND", read_numbers, 0, 60, SET(seconds), 0},
    {"BYMINUTE", read_numbers, 0, 59, SET(minutes), 0},
    {"BYHOUR", read_numbers, 0, 23, SET(hours), 0},
    {"BYDAY", read_days, 0, 0, 0, 0},
    {"BYMONTHDAY", read_numbers, 1, 31, SET(monthdays), SET(monthdays_back)},
    {"BYYEARDAY", read_numbers, 1, 366, SET(yeardays), SET(yeardays_back)},
    {"BYWEEKNO", read_numbers, 1, 53, SET(weeks), SET(weeks_back)},
    {"BYMONTH", read_numbers, 1, 12, SET(months), 0},
    {"BYSETPOS", read_positions, 1, 366, 0, 0},
    {"WKST", read_week_start, 0, 0, 0, 0},
};
#undef SET
_Static_assert(ARRAY_LEN(PARTS) <= 32, "a bit for each");

static const Part *find_part(Slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++)
        if (is_word(name, PARTS[i].name))
            return &PARTS[i];
    return NULL;
}

static bool has_any(const uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (words[i])
            return true;
    return false;
}

static bool has_yeardays(const Rrule *r)
{
    return has_any(r->yeardays, 6) || has_any(r->yeardays_back, 6);
}

static bool has_monthdays(const Rrule *r)
{
    return r->monthdays || r->monthdays_back;
}

static bool has_weeks(const Rrule *r)
{
    return r->weeks || r->weeks_back;
}

/* What cannot stand together. */
static Err check_parts(const Rrule *r, uint32_t seen)
{
    bool others = r->seconds || r->minutes || r->hours || r->months || r->weekdays || r->nth_count ||
                  has_monthdays(r) || has_yeardays(r) || has_weeks(r);

    if (!(seen & 1U))
        return err_make(&INVALID_ARGUMENT, "FREQ: missing");
    if (r->count && r->until != RRULE_FOREVER)
        return err_make(&INVALID_ARGUMENT, "COUNT: not together with UNTIL");
    if (has_weeks(r) && r->frequency != RRULE_YEARLY)
        return err_make(&INVALID_ARGUMENT, "BYWEEKNO: only with FREQ=YEARLY");
    if (has_yeardays(r) && r->frequency != RRULE_YEARLY && r->frequency != RRULE_HOURLY)
        return err_make(&INVALID_ARGUMENT, "BYYEARDAY: not with this FREQ");
    if (has_monthdays(r) && r->frequency == RRULE_WEEKLY)
        return err_make(&INVALID_ARGUMENT, "BYMONTHDAY: not with FREQ=WEEKLY");
    if (r->nth_count && ((r->frequency != RRULE_YEARLY && r->frequency != RRULE_MONTHLY) || has_weeks(r)))
        return err_make(&INVALID_ARGUMENT, "BYDAY: numbers only with MONTHLY or YEARLY, and not with BYWEEKNO");
    if (r->position_count && !others)
        return err_make(&INVALID_ARGUMENT, "BYSETPOS: only with another BY part");
    return OK;
}

/* Names it only when it looks like a name: the text is shown to others. */
static Err refuse_part(Slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.ptr[i]) && name.ptr[i] != '-')
            return err_make(&INVALID_ARGUMENT, "rule: an unknown part");
    return err_make(&INVALID_ARGUMENT, "%.*s: unknown or not supported", (int)MIN(name.len, 20), name.ptr);
}

Err rrule_read(Slice text, Rrule *out)
{
    Rrule rule = {.interval = 1};
    uint32_t seen = 0;

    text = slice_trim(text);
    if (text.len > RRULE_TEXT_MAX_BYTES)
        return err_make(&INVALID_ARGUMENT, "rule: %d bytes at most", RRULE_TEXT_MAX_BYTES);
    if (text.len >= 6 && is_word(slice_take(text, 6), "RRULE:"))
        text = slice_skip(text, 6);
    while (text.len) {
        Slice item, name, value;
        const Part *part;
        uint32_t bit;

        (void)slice_cut(text, ';', &item, &text);
        item = slice_trim(item);
        if (!item.len)
            continue; /* a semicolon too many is no reason to lose a series */
        if (!slice_cut(item, '=', &name, &value))
            return err_make(&INVALID_ARGUMENT, "rule: a part is name=value");
        part = find_part(slice_trim(name));
        if (!part)
            return refuse_part(slice_trim(name));
        bit = 1U << (part - PARTS);
        if (seen & bit)
            return err_make(&INVALID_ARGUMENT, "%s: twice", part->name);
        seen |= bit;
        if (!part->read(part, slice_trim(value), &rule))
            return err_make(&INVALID_ARGUMENT, "%s: not supported or out of range", part->name);
    }
    TRY(check_parts(&rule, seen));
    *out = rule;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- walking
 * Period by period (a year, a month, …): which of its days, and which times of a day; BYSETPOS chooses among both. */

static bool has_bit(uint64_t set, int64_t n)
{
    return set >> n & 1;
}

static bool has_yearday(const uint64_t set[6], int n)
{
    return set[n / 64] >> (n % 64) & 1;
}

/* A day, with what parts of a rule ask about it. */
typedef struct Day {
    int64_t number; /* since 1970 */
    CivilDate date;
    int weekday, of_year, in_year, in_month;
} Day;

static Day describe_day(int64_t number)
{
    Day d = {.number = number, .date = civil_date(number), .weekday = civil_weekday(number)};

    d.of_year = (int)(number - civil_days((CivilDate){.year = d.date.year, .month = 1, .day = 1})) + 1;
    d.in_year = civil_days_in_year(d.date.year);
    d.in_month = civil_days_in_month(d.date.year, d.date.month);
    return d;
}

/* Week 1 of a year is the first with four days in it, weeks beginning on `week_start`. */
static int64_t first_week(int64_t year, int week_start)
{
    int64_t first = civil_days((CivilDate){.year = year, .month = 1, .day = 1});
    int into = (civil_weekday(first) - week_start + 7) % 7;

    return into <= 3 ? first - into : first - into + 7;
}

static bool week_fits(const Rrule *r, const Day *d)
{
    int64_t year = d->date.year, begins = first_week(year, r->week_start), next = first_week(year + 1, r->week_start);

    if (!has_weeks(r))
        return true;
    if (d->number < begins) {
        next = begins;
        begins = first_week(year - 1, r->week_start);
    } else if (d->number >= next) {
        begins = next;
        next = first_week(year + 2, r->week_start);
    }
    return has_bit(r->weeks, (d->number - begins) / 7 + 1) || has_bit(r->weeks_back, (next - d->number + 6) / 7);
}

static bool weekday_fits(const Rrule *r, const Day *d)
{
    bool of_year = r->frequency == RRULE_YEARLY && !r->months;
    int at = of_year ? d->of_year : d->date.day, of = of_year ? d->in_year : d->in_month;

    if (!r->weekdays && !r->nth_count)
        return true;
    if (has_bit(r->weekdays, d->weekday))
        return true;
    for (size_t i = 0; i < r->nth_count; i++)
        if (r->nths[i].weekday == d->weekday &&
            r->nths[i].nth == (r->nths[i].nth > 0 ? (at - 1) / 7 + 1 : -((of - at) / 7 + 1)))
            return true;
    return false;
}

static bool day_fits(const Rrule *r, int64_t number)
{
    Day d = describe_day(number);

    return (!r->months || has_bit(r->months, d.date.month)) && week_fits(r, &d) &&
           (!has_yeardays(r) || has_yearday(r->yeardays, d.of_year) ||
            has_yearday(r->yeardays_back, d.in_year - d.of_year + 1)) &&
           (!has_monthdays(r) || has_bit(r->monthdays, d.date.day) ||
            has_bit(r->monthdays_back, d.in_month - d.date.day + 1)) &&
           weekday_fits(r, &d);
}

/* What the rule does not say, the beginning says (RFC 5545 3.3.10). */
static void fill_from_start(Rrule *r, int64_t start_s)
{
    Day d = describe_day(civil_floor_div(start_s, CIVIL_S_PER_DAY));
    int64_t of_day = start_s - d.number * CIVIL_S_PER_DAY;
    bool days = has_monthdays(r) || has_yeardays(r) || r->weekdays || r->nth_count;

    if (!r->seconds)
        r->seconds = UINT64_C(1) << of_day % 60;
    if (!r->minutes)
        r->minutes = UINT64_C(1) << of_day / 60 % 60;
    if (!r->hours && r->frequency != RRULE_HOURLY)
        r->hours = UINT64_C(1) << of_day / S_PER_HOUR;
    if (days)
        return;
    if (r->frequency == RRULE_WEEKLY || (r->frequency == RRULE_YEARLY && has_weeks(r)))
        r->weekdays = (uint8_t)(1U << d.weekday);
    else if (r->frequency == RRULE_MONTHLY || r->frequency == RRULE_YEARLY) {
        if (r->frequency == RRULE_YEARLY && !r->months)
            r->months = UINT64_C(1) << d.date.month;
        r->monthdays = UINT64_C(1) << d.date.day;
    }
}

static size_t list_bits(uint64_t set, int below, uint8_t *out)
{
    size_t count = 0;

    for (int i = 0; i < below; i++)
        if (has_bit(set, i))
            out[count++] = (uint8_t)i;
    return count;
}

/* Where period `w->period` begins: a day, or an hour since 1970; and how many days it has. */
static int64_t period_begin(const RruleWalk *w, int *out_days)
{
    int64_t start_day = civil_floor_div(w->start_s, CIVIL_S_PER_DAY), month;
    CivilDate d = civil_date(start_day);

    *out_days = 1;
    switch (w->rule.frequency) {
    case RRULE_YEARLY:
        *out_days = civil_days_in_year(d.year + w->period);
        return civil_days((CivilDate){.year = d.year + w->period, .month = 1, .day = 1});
    case RRULE_MONTHLY:
        month = d.year * 12 + d.month - 1 + w->period;
        d = (CivilDate){.year = month / 12, .month = (int)(month % 12) + 1, .day = 1};
        *out_days = civil_days_in_month(d.year, d.month);
        return civil_days(d);
    case RRULE_WEEKLY:
        *out_days = 7;
        return start_day - (civil_weekday(start_day) - w->rule.week_start + 7) % 7 + w->period * 7;
    case RRULE_DAILY:
        return start_day + w->period;
    case RRULE_HOURLY:
        break;
    }
    return civil_floor_div(w->start_s, S_PER_HOUR) + w->period;
}

/* The latest period that is certain to lie before `from_s`, a multiple of the interval. */
static int64_t period_before(const RruleWalk *w, int64_t from_s)
{
    static const int64_t LENGTHS[] = {366 * 86400, 31 * 86400, 7 * 86400, 86400, S_PER_HOUR};
    int64_t periods = (from_s - w->start_s) / LENGTHS[w->rule.frequency] - 1;

    return periods <= 0 ? 0 : periods - periods % w->rule.interval;
}

void rrule_walk_begin(RruleWalk *w, const Rrule *rule, int64_t start_s, int64_t from_s, int64_t to_s)
{
    *w = (RruleWalk){.rule = *rule, .start_s = start_s, .from_s = MAX(from_s, start_s), .to_s = to_s};
    fill_from_start(&w->rule, start_s);
    if (rule->until == RRULE_UNTIL_WALL)
        w->to_s = MIN(to_s, rule->until_s);
    else if (rule->until == RRULE_UNTIL_DATE)
        w->to_s = MIN(to_s, rule->until_s + CIVIL_S_PER_DAY - 1);
    w->minute_count = list_bits(w->rule.minutes, 60, w->minutes);
    w->second_count = list_bits(w->rule.seconds, 60, w->seconds); /* a leap second never comes */
    w->hour_count = list_bits(w->rule.hours, 24, w->hours);
    if (!rule->count)
        w->period = period_before(w, w->from_s);
    w->period -= w->rule.interval; /* the first look goes one on */
}

static int64_t period_times(const RruleWalk *w)
{
    return (int64_t)(w->day_count * w->hour_count * w->minute_count * w->second_count);
}

static int64_t time_at(const RruleWalk *w, int64_t i)
{
    int64_t second = w->seconds[i % (int64_t)w->second_count];

    i /= (int64_t)w->second_count;
    second += w->minutes[i % (int64_t)w->minute_count] * 60;
    i /= (int64_t)w->minute_count;
    second += w->hours[i % (int64_t)w->hour_count] * S_PER_HOUR;
    i /= (int64_t)w->hour_count;
    return w->days[i] * CIVIL_S_PER_DAY + second;
}

static int compare_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void choose_positions(RruleWalk *w, int64_t times)
{
    w->chosen_count = 0;
    for (size_t i = 0; i < w->rule.position_count; i++) {
        int64_t position = w->rule.positions[i];
        int64_t at = position > 0 ? position - 1 : times + position;

        if (at >= 0 && at < times)
            w->chosen[w->chosen_count++] = at;
    }
    qsort(w->chosen, (size_t)w->chosen_count, sizeof(*w->chosen), compare_int64);
}

/* The next period, which may have no times at all. */
static void look_at_period(RruleWalk *w)
{
    int days;
    int64_t first, times, hour = -1;

    w->period += w->rule.interval;
    first = period_begin(w, &days);
    if (w->rule.frequency == RRULE_HOURLY) {
        hour = first - civil_floor_div(first, 24) * 24;
        first = civil_floor_div(first, 24);
    }
    w->at = w->end = 0;
    w->steps += days > 31 ? YEAR_STEPS : days > 1 ? MONTH_STEPS : 1;
    if (first * CIVIL_S_PER_DAY > w->to_s || civil_date(first).year > RRULE_YEAR_MAX) {
        w->over = true;
        return;
    }
    if (hour >= 0) {
        w->hour_count = !w->rule.hours || has_bit(w->rule.hours, hour);
        w->hours[0] = (uint8_t)hour;
    }
    w->day_count = 0;
    for (int64_t day = first; w->hour_count && day < first + days; day++)
        if (day_fits(&w->rule, day))
            w->days[w->day_count++] = day;
    times = period_times(w);
    w->end = times;
    if (w->rule.position_count) {
        choose_positions(w, times);
        w->end = w->chosen_count;
    }
}

/* The first of the period that is not before the wanted ones: a period can have 31 million times. */
static int64_t skip_to(const RruleWalk *w, int64_t wanted_s)
{
    int64_t low = w->at, high = w->end;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;

        if (time_at(w, w->rule.position_count ? w->chosen[middle] : middle) < wanted_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool rrule_walk_next(RruleWalk *w, int64_t *out)
{
    while (!w->over) {
        int64_t time;

        if (w->at == w->end) {
            look_at_period(w);
            w->at = skip_to(w, w->rule.count ? w->start_s : w->from_s);
        }
        if (w->steps++ > RRULE_STEPS_MAX) {
            w->cut = w->over = true;
            break;
        }
        if (w->at == w->end)
            continue;
        time = time_at(w, w->rule.position_count ? w->chosen[w->at] : w->at);
        w->at++;
        while (w->rule.position_count && w->at < w->end && w->chosen[w->at] == w->chosen[w->at - 1])
            w->at++; /* the first can be the last, too */
        if (time > w->to_s || (w->rule.count && ++w->returned > w->rule.count))
            w->over = true;
        else if (time >= w->from_s) {
            *out = time;
            return true;
        }
    }
    return false;
}
