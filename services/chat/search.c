/* search: words in the messages of a guild. */
#include "atrium/chat/v1/messages.service.h"
#include "services/chat/store_search.h"

/* Times are asked for, ids are compared: an id begins with its time. The bounds are exclusive in milliseconds. */
enum { ID_TIME_SHIFT = 22 };
#define ID_EPOCH_MS INT64_C(1735689600000)

/* "2026-01-02T03:04:05.678Z" -> milliseconds; false for what is no such time. */
static bool read_time(const char *text, int64_t *out_ms)
{
    static const char FORMAT[] = "0000-00-00T00:00:00";
    struct tm tm = {.tm_isdst = 0};
    int64_t ms = 0, scale = 100;
    char *rest;

    for (size_t i = 0; FORMAT[i]; i++)
        if (FORMAT[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != FORMAT[i])
            return false;
    rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest)
        return false;
    if (*rest == '.') {
        if (rest[1] < '0' || rest[1] > '9')
            return false;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10)
            ms += (*rest - '0') * scale;
    }
    *out_ms = (int64_t)timegm(&tm) * 1000 + ms;
    if (strcmp(rest, "Z") == 0)
        return true;
    if ((*rest != '+' && *rest != '-') || strlen(rest) != 6 || rest[3] != ':')
        return false;
    for (int i = 1; i < 6; i++)
        if (i != 3 && (rest[i] < '0' || rest[i] > '9'))
            return false;
    ms = ((rest[1] - '0') * 10 + rest[2] - '0') * INT64_C(3600000) + ((rest[4] - '0') * 10 + rest[5] - '0') * 60000;
    *out_ms -= *rest == '+' ? ms : -ms;
    return true;
}

static int64_t first_id_at(int64_t ms)
{
    const int64_t max = INT64_MAX >> ID_TIME_SHIFT;
    int64_t since = ms - ID_EPOCH_MS;

    return since <= 0 ? 0 : since >= max ? INT64_MAX : since << ID_TIME_SHIFT;
}

static Err read_id(const char *text, const Reason *reason, const char *name, int64_t *out)
{
    if (text && (!slice_to_int64(slice(text), out) || *out <= 0))
        return err_make(reason, "invalid %s", name);
    return OK;
}

/* "rank.id", as a message that was found has it, or the id alone. */
static Err read_search_cursor(const char *text, SearchFor *out)
{
    Slice rank, id = slice(text);
    bool both = slice_cut(slice(text), '.', &rank, &id);

    if (!text)
        return OK;
    if (both && (!slice_to_int64(rank, &out->cursor_rank) || out->cursor_rank <= 0))
        return err_make(&INVALID_CURSOR, "invalid cursor");
    if (!slice_to_int64(both ? id : slice(text), &out->cursor_id) || out->cursor_id <= 0)
        return err_make(&INVALID_CURSOR, "invalid cursor");
    return OK;
}

static Err read_times(const Chat__V1__SearchMessagesRequest *in, SearchFor *out)
{
    int64_t ms;

    if (in->before) {
        if (!read_time(in->before, &ms))
            return err_make(&INVALID_BEFORE, "before must be RFC3339 format");
        out->before_id = first_id_at(ms);
    }
    if (in->after) {
        if (!read_time(in->after, &ms))
            return err_make(&INVALID_AFTER, "after must be RFC3339 format");
        out->after_id = first_id_at(ms + 1) - 1;
    }
    return OK;
}

Err chat_v1_search_messages(Request *rq, const Chat__V1__SearchMessagesRequest *in, Chat__V1__SearchMessagesReply *out)
{
    SearchFor wanted = {.guild_id = in->guild_id, .before_id = INT64_MAX, .after_id = -1};
    Slice query = slice_trim(slice(in->q));
    Terms terms;

    if (query.len == 0)
        return err_make(&INVALID_QUERY, "search query is required");
    if (utf8_length(query) > QUERY_MAX_CHARS)
        return err_make(&INVALID_QUERY, "search query: at most %d characters", QUERY_MAX_CHARS);
    TRY(messages_limit(in->limit, MESSAGES_PAGE_MAX, SEARCH_PAGE_DEFAULT, &wanted.limit));
    TRY(read_id(in->author_id, &INVALID_AUTHOR_ID, "author_id", &wanted.author_id));
    TRY(read_times(in, &wanted));
    TRY(read_id(in->channel_id, &INVALID_CHANNEL, "channel id", &wanted.channel_id));
    TRY(read_search_cursor(in->cursor, &wanted));
    terms_read(query, &terms);
    wanted.terms = &terms;
    return chat_store_search(rq, &wanted, out);
}
