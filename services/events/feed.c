/* feed: the handlers of the change feed: pages of it, and streams; see feed.h. */
#include "atrium/events/v1/feed.service.h"
#include "services/events/events.h"
#include "services/events/feed_ask.h"
#include "services/events/store_feed.h"

enum { PAGE_BYTES_MAX = 10 * 1024 * 1024 - 4096 };

/* Where `ask` begins; past the end is what no cursor of this feed can say, unless the database is an older one again.
 */
static Err find_position(Request *rq, const FeedAsk *ask, int64_t *out)
{
    if (ask->by_time)
        return events_store_position_at(rq, ask->since_us, out);
    *out = ask->position;
    return OK;
}

static Err expired(void)
{
    return err_make(&CURSOR_EXPIRED, "since: this feed does not go on from there: begin anew without a cursor");
}

/* At most `most`; true when there are no more. The page's bytes are bounded where it is read. */
static bool write_changes(const char *base_url, const ChangePage *page, size_t most, bool snapshots, StrBuf *out,
                          size_t *out_written)
{
    size_t count = MIN(page->count, most);

    for (size_t i = 0; i < count; i++) {
        strbuf_append_cstr(out, i ? "," : "");
        feed_write_entry(out, base_url, &page->rows[i], snapshots);
    }
    *out_written = count;
    return count == page->count && !page->cut;
}

static Err answer_page(Request *rq, const FeedAsk *ask, int64_t position, const ChangePage *page, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    StrBuf body = strbuf_new(rq->mem, PAGE_BYTES_MAX);
    size_t written;
    bool all;
    Slice text;

    strbuf_printf(&body, "{\"cursor\":\"%s\",\"changes\":[", feed_cursor(rq->mem, position));
    all = write_changes(events->settings->base_url, page, (size_t)ask->limit, ask->filter.snapshots, &body, &written);
    if (all) /* all that there is was looked at, whatever the filter left out */
        position = MAX(position, page->head);
    else
        position = page->rows[written - 1].sequence;
    strbuf_printf(&body, "],\"next_cursor\":\"%s\",\"has_more\":%s}\n",
                  all && ask->legacy_end ? "" : feed_cursor(rq->mem, position), all ? "false" : "true");
    if (!strbuf_finish(&body, &text))
        return err_make(&INTERNAL, "a page of the change feed is too large");
    out->content_type = arena_strdup(rq->mem, "application/json");
    SET(out, data, ((ProtobufCBinaryData){.len = text.len, .data = (uint8_t *)(uintptr_t)text.ptr}));
    request_set_header(rq, "Vary", "Accept");
    return OK;
}

Err events_v1_list_changes(Request *rq, const Events__V1__ChangesRequest *in, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    ChangePage page;
    int64_t position;
    FeedAsk ask;

    TRY(feed_ask_read(rq->mem, in, &ask));
    ask.legacy_end |= events->settings->feed_legacy_end;
    TRY(find_position(rq, &ask, &position));
    TRY(events_store_changes(rq, &ask.filter, position, ask.limit + 1, &page));
    if (position > page.head)
        return expired();
    return answer_page(rq, &ask, position, &page, out);
}

/* Last-Event-ID goes before `since`: it is what the client has come to. Neither: from now on. */
Err events_v1_watch_changes(Request *rq, const Events__V1__ChangesRequest *in, RpcStream *out)
{
    const Events *events = rq->service;
    const char *last = request_header(rq, "last-event-id");
    int64_t head, position = -1; /* from now on */
    FeedAsk ask;

    TRY(feed_ask_read(rq->mem, in, &ask));
    if (last && *last) {
        if (!feed_cursor_read(rq->mem, slice(last), &position))
            return err_make(&INVALID_ARGUMENT, "last-event-id: none of this feed");
    } else if (ask.given) {
        TRY(find_position(rq, &ask, &position));
    }
    TRY(events_store_head(rq, &head)); /* after the position: what is numbered in between is no past */
    if (position < 0)
        position = head;
    if (position > head)
        return expired();
    return feed_watch(events->feed, rq, out, &ask.filter, position);
}
