/* announce: an event is told in a channel of chat, as its caller, whose rights there are chat's to judge. */
#include "atrium/chat/v1/messages.atrium.h"
#include "atrium/chat/v1/messages.pb-c.h"
#include "atrium/events/v1/announce.service.h"
#include "services/events/entity.h"
#include "shared/client.h"

enum { TEXT_MAX_CHARS = 1000, MESSAGE_MAX_BYTES = 8000, NAME_SHOWN_CHARS = 200 };

typedef struct Told {
    const char *name, *place, *uri;
    int64_t start_us; /* 0: it never happens */
} Told;

/* What chat would take for a mention or for markup of ours is text. */
static void append_plain(StrBuf *out, Slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (strchr("*_`~|\\[]<>", c) && c)
            strbuf_append_char(out, '\\');
        strbuf_append_char(out, c);
        if (c == '@' || c == '#')
            strbuf_append_cstr(out, "\xe2\x80\x8b"); /* a space of no width */
    }
}

static Slice first_chars(Slice text, size_t most)
{
    size_t at = 0, chars = 0;

    while (at < text.len && chars < most) {
        for (at++; at < text.len && (text.ptr[at] & 0xC0) == 0x80; at++)
            ;
        chars++;
    }
    return slice_take(text, at);
}

static const Occurrence *next_of(const EventEntity *event, int64_t now_us)
{
    for (size_t i = 0; i < event->occurrence_count; i++)
        if (MAX(event->occurrences[i].start_us, event->occurrences[i].end_us) >= now_us)
            return &event->occurrences[i];
    return event->occurrence_count ? &event->occurrences[event->occurrence_count - 1] : NULL;
}

/* Where it is stands in another row. */
static Err read_place(const EntityWriter *w, const EventEntity *event, const Occurrence *o, Told *out)
{
    Uuid id = o && !uuid_is_nil(o->place_id) ? o->place_id : event->place_id;
    PlaceEntity place;

    out->place = event->virtual_url[0] ? "online" : "";
    if (uuid_is_nil(id))
        return OK;
    TRY(place_load(w, id, &place));
    out->place = slice_cstr(w->mem, node_text(place.head.node, TERM_NAME));
    return OK;
}

/* In a transaction of its own, which is over before chat is asked. */
static Err read_event(Request *rq, Uuid id, Told *out)
{
    const Events *events = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    EntityWriter w;
    const Occurrence *o;
    EventEntity event;

    TRY(db_tx_begin(rq, &tx));
    w = entity_writer(rq, &tx);
    TRY(event_load(&w, id, &event));
    if (event.head.deleted_us)
        return err_make(&EVENT_DELETED, "the event is gone");
    if (!lifecycle_is_public(event.head.lifecycle) || event.takedown_us)
        return err_make(&NOT_FOUND, "there is no such event");
    o = next_of(&event, w.now_us);
    *out = (Told){.name = slice_cstr(rq->mem, node_text(event.head.node, TERM_NAME)),
                  .uri = entity_uri(rq->mem, events, ENTITY_EVENT, id),
                  .start_us = o ? o->start_us : 0};
    return read_place(&w, &event, o, out);
}

/* "2026-07-04 20:00 UTC" */
static void append_start(StrBuf *out, Arena *mem, int64_t start_us)
{
    char *text = utc_text(mem, start_us - start_us % 60000000);

    strbuf_append(out, slice_of(text, 10));
    strbuf_append_char(out, ' ');
    strbuf_append(out, slice_of(text + 11, 5));
    strbuf_append_cstr(out, " UTC");
}

static Err write_message(Request *rq, const char *said, const Told *told, char **out)
{
    StrBuf text = strbuf_new(rq->mem, MESSAGE_MAX_BYTES);
    Slice whole;

    if (said && *said) {
        strbuf_append_cstr(&text, said);
        strbuf_append_char(&text, '\n');
    }
    strbuf_append_cstr(&text, "**");
    append_plain(&text, first_chars(slice(told->name), NAME_SHOWN_CHARS));
    strbuf_append_cstr(&text, "**\n");
    if (told->start_us)
        append_start(&text, rq->mem, told->start_us);
    if (told->place[0]) {
        strbuf_append_cstr(&text, told->start_us ? " · " : "");
        append_plain(&text, first_chars(slice(told->place), NAME_SHOWN_CHARS));
    }
    strbuf_printf(&text, "\n%s", told->uri);
    if (!strbuf_finish(&text, &whole))
        return err_make(&INVALID_ARGUMENT, "the message would be too long");
    *out = slice_cstr(rq->mem, whole);
    return OK;
}

Err events_v1_announce_event(Request *rq, const Events__V1__AnnounceEventRequest *in, Events__V1__Announcement *out)
{
    Chat__V1__SendMessageRequest message = CHAT__V1__SEND_MESSAGE_REQUEST__INIT;
    Chat__V1__Message *posted;
    Told told = {.name = "", .place = "", .uri = ""};
    Uuid id;

    TRY(ulid_of_path(rq, in->event_ulid, &id));
    if (!in->has_channel_id)
        return err_make(&INVALID_ARGUMENT, "channel_id is required");
    if (in->text && utf8_length(slice(in->text)) > TEXT_MAX_CHARS)
        return err_make(&INVALID_ARGUMENT, "text: at most %d characters", TEXT_MAX_CHARS);
    TRY(read_event(rq, id, &told));
    SET(&message, channel_id, in->channel_id);
    TRY(write_message(rq, in->text, &told, &message.content));
    TRY(chat_v1_send_message_call(rq->client, &(CallOptions){.rq = rq}, rq->mem, &message, &posted));
    SET(out, channel_id, posted->channel_id);
    SET(out, message_id, posted->id);
    out->content = arena_strdup(rq->mem, message.content);
    return OK;
}
