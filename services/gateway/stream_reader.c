/* stream_reader: see stream_reader.h. */
#include "services/gateway/stream_reader.h"

#include "shared/rpc.h"

static void tell_producer(const StreamReader *r, const char *header, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    bus_publish_lossy(r->gateway->bus, r->control, (const BusHeader[]){{header, text}}, 1, (Slice){"", 0});
}

void stream_reader_init(StreamReader *r, Gateway *g, uint64_t credit_bytes)
{
    *r = (StreamReader){.gateway = g, .expected = 1, .credit_bytes = credit_bytes, .granted_bytes = credit_bytes};
    r->heard_ms = r->told_ms = loop_now_ms(g->loop);
}

void stream_reader_leave(StreamReader *r, bool cancel)
{
    if (!r->listening)
        return;
    upstream_forget(r->gateway->upstream, r->ticket);
    r->listening = false;
    if (cancel && r->control)
        tell_producer(r, "Atrium-Stream-Cancel", 1);
}

void stream_reader_done(StreamReader *r)
{
    stream_reader_leave(r, true);
    free(MOVE(r->control));
}

StreamEvent stream_reader_take(StreamReader *r, natsMsg *msg)
{
    const char *beat = bus_header(msg, "Atrium-Stream-Beat"), *seq = bus_header(msg, "Atrium-Seq");
    const char *control = bus_header(msg, "Atrium-Stream-Control");
    uint64_t number = 0;

    r->heard_ms = loop_now_ms(r->gateway->loop);
    if (!seq && !beat) { /* refused before there was a stream; or nothing that we know */
        if (r->expected > 1 || !bus_header(msg, "Nats-Service-Error-Code"))
            return STREAM_BROKEN;
        stream_reader_leave(r, false);
        return STREAM_REFUSED;
    }
    if (!slice_to_uint64(slice(beat ? beat : seq), &number) || (beat && number >= r->expected) ||
        (seq && number && number != r->expected))
        return STREAM_LOST;
    if (seq && number == 0 && control && !r->control) {
        r->control = xstrdup(control);
        r->began_ms = r->heard_ms;
    }
    if (!seq || number == 0)
        return STREAM_NOTHING;
    if (!r->control)
        return STREAM_BROKEN;
    if (bus_header(msg, "Atrium-Stream-End")) {
        stream_reader_leave(r, false);
        return STREAM_END;
    }
    r->expected++;
    return STREAM_MESSAGE;
}

uint64_t stream_cost(natsMsg *msg)
{
    return (uint64_t)natsMsg_GetDataLength(msg) + RPC_STREAM_MESSAGE_COST_BYTES;
}

void stream_reader_read(StreamReader *r, uint64_t cost)
{
    r->read_bytes += cost;
    /* Half a window at a time, so that credit costs little and the producer rarely waits. */
    if (!r->listening || !r->control || r->read_bytes + r->credit_bytes / 2 < r->granted_bytes)
        return;
    r->granted_bytes = r->read_bytes + r->credit_bytes;
    r->told_ms = loop_now_ms(r->gateway->loop);
    tell_producer(r, "Atrium-Stream-Credit", r->granted_bytes);
}

bool stream_reader_look(StreamReader *r)
{
    int64_t now_ms = loop_now_ms(r->gateway->loop);

    if (now_ms - r->heard_ms > STREAM_SILENT_PRODUCER_MS)
        return false;
    if (r->listening && r->control && now_ms - r->told_ms >= STREAM_TELL_MS) {
        r->told_ms = now_ms;
        tell_producer(r, "Atrium-Stream-Credit", r->granted_bytes);
    }
    return true;
}
