/* keys_report: what API keys did: gateways tell, administrators and developers ask. */
#include <time.h>

#include "atrium/auth/v1/keys.service.h"
#include "services/auth/keys.h"

enum { DAY_S = 86400, DAYS_MAX = 366, DAYS_DEFAULT = 30, ITEMS_MAX = 10000, REPORT_KEYS_MAX = 10000 };

/* ---------------------------------------------------------------------------------------------------- days */
static char *day_text(Arena *mem, int64_t day)
{
    time_t at = (time_t)(day * DAY_S);
    struct tm tm;
    char text[16];

    gmtime_r(&at, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d", &tm);
    return arena_strdup(mem, text);
}

/* 2026-11-20, and no other form of it. */
static bool parse_day(Arena *mem, const char *text, int64_t *out)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    int64_t day;

    if (!end || *end || tm.tm_year < 100)
        return false;
    day = (int64_t)timegm(&tm) / DAY_S;
    if (strcmp(day_text(mem, day), text) != 0)
        return false; /* the 30th of February */
    *out = day;
    return true;
}

/* Absent: to today, and from so many days before. */
static Err read_days(Request *rq, const char *from, const char *to, UsageFilter *filter)
{
    int64_t last = clock_unix_us(rq->clock) / 1000000 / DAY_S, first;

    if (to && to[0] && !parse_day(rq->mem, to, &last))
        return err_make(&INVALID_ARGUMENT, "to: a day such as 2026-11-20");
    first = last - DAYS_DEFAULT + 1;
    if (from && from[0] && !parse_day(rq->mem, from, &first))
        return err_make(&INVALID_ARGUMENT, "from: a day such as 2026-11-20");
    if (first > last || last - first >= DAYS_MAX)
        return err_make(&INVALID_ARGUMENT, "from, to: a year at most, and in this order");
    filter->from = day_text(rq->mem, first);
    filter->to = day_text(rq->mem, last);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- asking */
static Auth__V1__DayUsage **answer_days(Request *rq, const UsageRow *rows, size_t count)
{
    Auth__V1__DayUsage **list = ARENA_ARRAY(rq->mem, Auth__V1__DayUsage *, count + 1);

    for (size_t i = 0; i < count; i++) {
        list[i] = MESSAGE_NEW(rq->mem, Auth__V1__DayUsage, auth__v1__day_usage__init);
        list[i]->date = arena_strdup(rq->mem, rows[i].day);
        SET(list[i], requests, rows[i].requests);
        SET(list[i], errors, rows[i].errors);
        list[i]->key_id = uuid_text(rq->mem, rows[i].key_id);
        list[i]->prefix = arena_strdup(rq->mem, rows[i].prefix);
    }
    return list;
}

Err auth_v1_daily_usage(Request *rq, const Auth__V1__DailyUsageRequest *in, Auth__V1__DailyUsageReply *out)
{
    UsageFilter filter = {.owner_id = 0};
    int64_t requests, errors;
    UsageRow *rows;
    size_t count;

    TRY(read_days(rq, in->from, in->to, &filter));
    TRY(auth_store_key_usage(rq, &filter, ITEMS_MAX, &rows, &count, &requests, &errors));
    out->items = answer_days(rq, rows, count);
    out->n_items = count;
    SET(out, total_requests, requests);
    SET(out, total_errors, errors);
    return OK;
}

Err auth_v1_my_key_usage(Request *rq, const Auth__V1__KeyUsageRequest *in, Auth__V1__KeyUsageReply *out)
{
    const KeyFilter mine = {.owner_id = rq->caller.user_id, .kind = KEY_DEVELOPER};
    UsageFilter filter = {.owner_id = rq->caller.user_id};
    int64_t requests, errors;
    UsageRow *rows;
    size_t count;
    KeyRow key;

    if (!uuid_parse(slice(in->key_id), &filter.key_id))
        return err_make(&INVALID_ID, "key_id: not an id");
    TRY(read_days(rq, in->from, in->to, &filter));
    TRY(auth_store_key(rq, NULL, &mine, filter.key_id, clock_unix_us(rq->clock), &key));
    if (key.owner_id == 0)
        return err_make(&NOT_FOUND, "you have no such key");
    TRY(auth_store_key_usage(rq, &filter, ITEMS_MAX, &rows, &count, &requests, &errors));
    out->key_id = uuid_text(rq->mem, filter.key_id);
    out->items = answer_days(rq, rows, count);
    out->n_items = count;
    SET(out, total_requests, requests);
    SET(out, total_errors, errors);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- telling */
Err auth_v1_report_key_usage(Request *rq, const Atrium__KeyUsageReport *in, Atrium__KeyUsageReportReply *out)
{
    size_t room = in->n_keys + 1;
    Slice *ids = ARENA_ARRAY(rq->mem, Slice, room);
    int64_t *requests = ARENA_ARRAY(rq->mem, int64_t, room), *errors = ARENA_ARRAY(rq->mem, int64_t, room);
    int64_t *used_ms = ARENA_ARRAY(rq->mem, int64_t, room);
    UsageReport report = {.key_ids = ids, .requests = requests, .errors = errors, .last_used_ms = used_ms};
    Uuid id;
    (void)out;

    if (!uuid_parse(slice(in->report_id), &report.id) || in->n_keys > REPORT_KEYS_MAX)
        return err_make(&INVALID_ARGUMENT, "an id, and %d keys at most", REPORT_KEYS_MAX);
    for (size_t i = 0; i < in->n_keys; i++) {
        if (!uuid_parse(slice(in->keys[i]->key_id), &id))
            continue;
        ids[report.count] = slice(uuid_text(rq->mem, id));
        requests[report.count] = (int64_t)in->keys[i]->requests;
        errors[report.count] = (int64_t)in->keys[i]->errors;
        used_ms[report.count++] = in->keys[i]->last_used_ms;
    }
    return auth_store_add_usage(rq, &report, clock_unix_us(rq->clock));
}
