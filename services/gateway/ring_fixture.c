/* ring_fixture: see ring_fixture.h. */
#include "services/gateway/ring_fixture.h"

/* --- sockets
 * ---------------------------------------------------------------------------------------------------------- */
static Gateway gateway;
static const Operation OPERATION = {.domain = "test"};

int64_t socket_user(const Socket *s)
{
    return s->user;
}

int socket_dialect(const Socket *s)
{
    return s->dialect;
}

const Operation *socket_operation(const Socket *s)
{
    (void)s;
    return &OPERATION;
}

Gateway *socket_gateway(const Socket *s)
{
    (void)s;
    return &gateway;
}

RingSocket **socket_ring(Socket *s)
{
    return &s->ring;
}

bool socket_write_shared(Socket *s, SharedFrame *frame, uint64_t position)
{
    if (s->broken)
        return false;
    assert_true(s->count < WRITTEN_MAX);
    s->written[s->count++] = position;
    s->last = frame;
    return true;
}

bool socket_has_room(const Socket *s)
{
    return s->room == 0 || s->count < s->room;
}

void socket_break(Socket *s, uint32_t code, const char *reason)
{
    (void)reason;
    s->broken = code;
}

/* A frame whose text is "!" cannot be made. */
SharedFrame *shared_frame_build(const TypeTables *types, int dialect, const Atrium__SocketFrame *frame,
                                uint64_t position)
{
    SharedFrame *made;

    (void)types, (void)dialect, (void)position;
    if (frame->n_parts && frame->parts[0]->text.len == 1 && frame->parts[0]->text.data[0] == '!')
        return NULL;
    made = xcalloc(1, sizeof(*made) + 8);
    made->references = 1;
    made->len = 8;
    return made;
}

void shared_frame_unref(SharedFrame *frame)
{
    if (frame && --frame->references == 0)
        free(frame);
}

const TypeTables *tables_types(const Tables *t)
{
    (void)t;
    return NULL;
}

const Operation *const *tables_sockets(const Tables *t, size_t *out_count)
{
    static const Operation *const LIST[] = {&OPERATION};

    (void)t;
    *out_count = 1;
    return LIST;
}

/* --- the world
 * -------------------------------------------------------------------------------------------------------- */
GatewaySettings settings;
static Service service;
static Rings rings;
Ring *ring;
Arena *mem;
int64_t now_us;

static int64_t read_now(void *context)
{
    (void)context;
    return now_us;
}

static const Clock CLOCK = {.unix_us = read_now, .monotonic_us = read_now};

void say(RingItem item)
{
    ring_take(ring, &item);
}

static void begin_stream(int64_t epoch, uint64_t last)
{
    say((RingItem){.kind = RING_ITEM_BEGIN, .begin = {.epoch = epoch, .last = last}});
    say((RingItem){.kind = RING_ITEM_CAUGHT_UP});
}

int set_up(void **state)
{
    (void)state;
    now_us = INT64_C(1700000000000000);
    settings = (GatewaySettings){.ring_age_ms = 300000, .ring_bytes = 1 << 20};
    service = (Service){.clock = &CLOCK, .metrics = metrics_new()};
    gateway = (Gateway){.service = &service, .settings = &settings, .loop = loop_new(), .rings = &rings};
    rings = (Rings){.g = &gateway};
    ring = rings.first = ring_new(&gateway, "test");
    mem = arena_new(4096);
    begin_stream(7, 0);
    return 0;
}

int tear_down(void **state)
{
    (void)state;
    ring_free(ring);
    loop_free(gateway.loop);
    metrics_free(service.metrics);
    arena_free(mem);
    return 0;
}

Socket *socket_of(int64_t user)
{
    Socket *s = ARENA_NEW(mem, Socket);

    s->user = user;
    return s;
}

/* --- what is said
 * ------------------------------------------------------------------------------------------------------- */
char **texts(const char *list, size_t *out_count)
{
    char **out = ARENA_ARRAY(mem, char *, 64);
    Slice rest = slice(list), word;

    *out_count = 0;
    while (slice_cut(rest, ' ', &word, &rest) || word.len) {
        if (word.len)
            out[(*out_count)++] = slice_cstr(mem, word);
        if (rest.len == 0)
            break;
    }
    if (list[0] && *out_count == 0)
        out[(*out_count)++] = arena_strdup(mem, list);
    return out;
}

Atrium__AudienceChange *change(int64_t user, const char *topic, const char *join, const char *leave)
{
    Atrium__AudienceChange *c = MESSAGE_NEW(mem, Atrium__AudienceChange, atrium__audience_change__init);

    if (user) {
        c->users = ARENA_ARRAY(mem, int64_t, 1);
        c->users[0] = user;
        c->n_users = 1;
    }
    c->topic = topic ? arena_strdup(mem, topic) : NULL;
    c->join = texts(join, &c->n_join);
    c->leave = texts(leave, &c->n_leave);
    return c;
}

Atrium__AudienceChange *exactly(Atrium__AudienceChange *c, bool exact)
{
    SET(c, exact, exact);
    return c;
}

Atrium__DispatchVariant *variant(const char *text)
{
    Atrium__DispatchVariant *v = MESSAGE_NEW(mem, Atrium__DispatchVariant, atrium__dispatch_variant__init);

    v->frames = ARENA_ARRAY(mem, Atrium__SocketFrame *, 1);
    v->frames[0] = MESSAGE_NEW(mem, Atrium__SocketFrame, atrium__socket_frame__init);
    v->frames[0]->parts = ARENA_ARRAY(mem, Atrium__FramePart *, 1);
    v->frames[0]->parts[0] = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);
    v->frames[0]->parts[0]->has_text = true;
    v->frames[0]->parts[0]->text.data = (uint8_t *)arena_strdup(mem, text);
    v->frames[0]->parts[0]->text.len = strlen(text);
    v->frames[0]->n_parts = 1;
    v->n_frames = 1;
    return v;
}

void dispatch_at(uint64_t position, const char *topic, Atrium__Dispatch *d)
{
    say((RingItem){.kind = RING_ITEM_ENTRY,
                   .entry = ring_entry_new(slice(topic), position, now_us / 1000, message_pack(mem, &d->base))});
}

Atrium__Dispatch *dispatch_of(Atrium__AudienceChange *c, Atrium__DispatchVariant *v)
{
    Atrium__Dispatch *d = MESSAGE_NEW(mem, Atrium__Dispatch, atrium__dispatch__init);

    d->changes = ARENA_ARRAY(mem, Atrium__AudienceChange *, 1);
    d->changes[0] = c;
    d->n_changes = c != NULL;
    d->variants = ARENA_ARRAY(mem, Atrium__DispatchVariant *, 1);
    d->variants[0] = v;
    d->n_variants = v != NULL;
    return d;
}

void tell(const char *topic)
{
    dispatch_at(ring->position + 1, topic, dispatch_of(NULL, variant("x")));
}

void tell_change(const char *topic, Atrium__AudienceChange *c)
{
    dispatch_at(ring->position + 1, topic, dispatch_of(c, variant("x")));
}

RingChange ask(Socket *s)
{
    RingLook look;

    assert_true(ring_look(s, &look));
    return (RingChange){.asked = look.position, .generation = look.generation};
}

void reply(Socket *s, RingChange c, const char *leave, const char *join)
{
    size_t count;
    char **names = texts(join, &count);

    c.leave = texts(leave, &c.n_leave);
    c.join = ARENA_ARRAY(mem, Atrium__TopicJoin *, count);
    c.n_join = count;
    for (size_t i = 0; i < count; i++) {
        c.join[i] = MESSAGE_NEW(mem, Atrium__TopicJoin, atrium__topic_join__init);
        c.join[i]->topic = names[i];
    }
    ring_apply(s, &c);
}

void start(Socket *s, const char *join)
{
    reply(s, ask(s), "", join);
}

void resume(Socket *s, const char *join, uint64_t from)
{
    RingChange c = ask(s);

    c.has_from = true;
    c.from = from;
    reply(s, c, "", join);
}

void assert_written(const Socket *s, const uint64_t *expected, size_t count)
{
    assert_int_equal(s->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(s->written[i], expected[i]);
}
