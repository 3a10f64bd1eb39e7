/* ring_apply: who follows what: by replies of the service, and by changes of audiences in the stream. */
#include "services/gateway/ring_internal.h"

static RingSocket *of_socket(Socket *s)
{
    return *socket_ring(s);
}

/* --- a socket --------------------------------------------------------------------------------------------------------
 */
static Ring *ring_of(Socket *s)
{
    const RingSocket *rs = of_socket(s);

    return rs ? rs->ring : ring_find(socket_gateway(s)->rings, socket_operation(s)->domain);
}

static RingSocket *known_socket(Ring *ring, Socket *s)
{
    RingSocket *rs = of_socket(s);

    if (rs)
        return rs;
    rs = xcalloc(1, sizeof(*rs));
    rs->ring = ring;
    rs->socket = s;
    rs->next = ring->sockets;
    if (rs->next)
        rs->next->previous = rs;
    ring->sockets = rs;
    *socket_ring(s) = rs;
    return rs;
}

void ring_forget(Socket *s)
{
    RingSocket *rs = of_socket(s);

    if (!rs)
        return;
    ring_stop_lagging(rs);
    topics_leave_all(rs->ring->topics, &rs->follower);
    topics_set_user(rs->ring->topics, &rs->follower, 0);
    *(rs->previous ? &rs->previous->next : &rs->ring->sockets) = rs->next;
    if (rs->next)
        rs->next->previous = rs->previous;
    for (size_t i = 0; i < rs->mark_count; i++)
        free(rs->marks[i]);
    free(rs);
    *socket_ring(s) = NULL;
}

bool ring_look(Socket *s, RingLook *out)
{
    const Ring *ring = ring_of(s);

    if (!ring || !ring->filled || (of_socket(s) && of_socket(s)->lagging))
        return false;
    *out = (RingLook){.position = ring->position,
                      .oldest = MAX(ring->oldest, of_socket(s) ? of_socket(s)->oldest : 0),
                      .epoch = ring->epoch,
                      .generation = ring->generation};
    return true;
}

uint64_t ring_position(Socket *s)
{
    const RingSocket *rs = of_socket(s);
    const Ring *ring = ring_of(s);

    if (rs && rs->lagging)
        return MAX(rs->at - 1, rs->floor);
    return ring ? MAX(ring->position, rs ? rs->floor : 0) : 0;
}

static uint64_t from_of(const RingChange *c)
{
    return c->has_from ? c->from : c->asked;
}

uint64_t ring_position_before(Socket *s, const RingChange *c)
{
    const RingSocket *rs = of_socket(s);

    return c->n_join && !(rs && rs->begun) ? from_of(c) : ring_position(s);
}

/* --- changes in the stream -------------------------------------------------------------------------------------------
 */
static bool may_join(RingSocket *rs)
{
    if (rs->follower.count < RING_TOPICS_MAX)
        return true;
    socket_break(rs->socket, RING_CLOSE_TOPICS, "too many topics");
    return false;
}

/* To one socket, as it comes. */
static void change_now(Ring *ring, RingSocket *rs, const Atrium__AudienceChange *change, uint64_t position)
{
    for (size_t i = 0; i < change->n_leave; i++)
        for (uint32_t j = rs->follower.count; j-- > 0;) {
            Follow *follow = rs->follower.list[j];

            if (topic_is_of(slice_of(follow->topic->name, follow->topic->name_len), slice(change->leave[i])))
                topics_leave(ring->topics, follow);
        }
    for (size_t i = 0; i < change->n_join && may_join(rs); i++)
        topics_join(ring->topics, &rs->follower, slice(change->join[i]), MAX(position - 1, rs->floor));
}

static void change_of_users(Ring *ring, const Atrium__AudienceChange *change, uint64_t position)
{
    for (size_t i = 0; i < change->n_users; i++) {
        Follower *f = topics_first_of_user(ring->topics, change->users[i]);

        if (ring_users_have(change->except_users, change->n_except_users, change->users[i]))
            continue;
        for (; f; f = f->next_of_user)
            if (((RingSocket *)f)->begun && !((RingSocket *)f)->lagging)
                change_now(ring, (RingSocket *)f, change, position);
    }
}

/* The list of its followers changes while they leave and join. */
static void change_of_topic(Ring *ring, const Atrium__AudienceChange *change, uint64_t position)
{
    Topic *topic = change->topic ? topics_find(ring->topics, slice(change->topic)) : NULL;
    Follower **list;
    size_t count;

    if (!topic || topic->count == 0)
        return;
    count = topic->count;
    list = xmalloc(count * sizeof(Follower *));
    for (size_t i = 0; i < count; i++)
        list[i] = topic->list[i]->follower;
    for (size_t i = 0; i < count; i++)
        if (!ring_users_have(change->except_users, change->n_except_users, list[i]->user) &&
            !((RingSocket *)list[i])->lagging)
            change_now(ring, (RingSocket *)list[i], change, position);
    free(list);
}

void ring_change_audience(Ring *ring, const RingEntry *entry)
{
    for (size_t i = 0; i < entry->dispatch->n_changes; i++) {
        const Atrium__AudienceChange *change = entry->dispatch->changes[i];

        if (change->n_users)
            change_of_users(ring, change, entry->position);
        else
            change_of_topic(ring, change, entry->position);
    }
}

/* --- a gap
 * ------------------------------------------------------------------------------------------------------------
 */
/* What has been passed of the stream while a gap is looked over. */
typedef struct Walk {
    const Ring *ring;
    const RingChange *reply;
    int64_t user;
    Topic **passed;
    size_t count, room;
} Walk;

static void pass(Walk *w, Topic *topic)
{
    if (topic->walk == w->ring->walks)
        return;
    topic->walk = w->ring->walks;
    if (w->count == w->room) {
        w->room = w->room ? w->room * 2 : 64;
        w->passed = xrealloc(w->passed, w->room * sizeof(Topic *));
    }
    w->passed[w->count++] = topic;
}

/* Is it about a topic that the reply joins, or one below such a topic? */
static bool is_near(const Walk *w, const char *topic)
{
    for (size_t i = 0; topic && i < w->reply->n_join; i++)
        if (topic_is_of(slice(topic), slice(w->reply->join[i]->topic)))
            return true;
    return false;
}

static bool may_mean(const Walk *w, const Atrium__AudienceChange *change)
{
    if (ring_users_have(change->except_users, change->n_except_users, w->user))
        return false;
    return change->n_users ? ring_users_have(change->users, change->n_users, w->user) : is_near(w, change->topic);
}

/* Who left something above what he follows now has come back to it, and what he followed below it before, nobody knows.
 */
static bool leaves_above(const Walk *w, const Atrium__AudienceChange *change)
{
    for (size_t i = 0; i < change->n_leave; i++)
        for (size_t j = 0; j < w->reply->n_join; j++)
            if (strcmp(change->leave[i], w->reply->join[j]->topic) != 0 &&
                topic_is_of(slice(w->reply->join[j]->topic), slice(change->leave[i])))
                return true;
    return false;
}

/* It tells how it was before (see go_back), or nothing was said before on what it is about: then it makes no difference
 * since when. */
static bool is_harmless(const Walk *w, const Atrium__AudienceChange *change)
{
    if (change->exact && !leaves_above(w, change))
        return true;
    for (size_t i = 0; i < change->n_join; i++) {
        const Topic *topic = topics_find(w->ring->topics, slice(change->join[i]));

        if (topic && topic->walk == w->ring->walks)
            return false;
    }
    for (size_t i = 0; i < change->n_leave; i++)
        for (size_t j = 0; j < w->count; j++)
            if (topic_is_of(slice_of(w->passed[j]->name, w->passed[j]->name_len), slice(change->leave[i])))
                return false;
    return true;
}

/* The first change in the gap that matters; 0: there is none. */
static uint64_t find_change(Ring *ring, const RingChange *c, int64_t user)
{
    Walk w = {.ring = ring, .reply = c, .user = user};
    uint64_t found = 0;

    ring->walks++;
    for (uint64_t at = MAX(from_of(c) + 1, ring->oldest); !found && at <= MIN(c->asked, ring->position); at++) {
        const RingEntry *entry = ring_entry_at(ring, at);

        for (size_t i = 0; !found && i < entry->dispatch->n_changes; i++)
            if (may_mean(&w, entry->dispatch->changes[i]) && !is_harmless(&w, entry->dispatch->changes[i]))
                found = at;
        pass(&w, entry->topic);
    }
    free(w.passed);
    return found;
}

bool ring_takes(Socket *s, const RingChange *c)
{
    Ring *ring = ring_of(s);
    RingSocket *rs = of_socket(s);
    uint64_t found;

    if (!ring || c->n_join == 0 || from_of(c) >= c->asked || c->generation != ring->generation ||
        (rs && (rs->begun || rs->oldest)))
        return true;
    found = find_change(ring, c, socket_user(s));
    if (!found)
        return true;
    known_socket(ring, s)->oldest = found + 1;
    return false;
}

/* --- a reply
 * -----------------------------------------------------------------------------------------------------------
 */
/* What it follows already it has got so far. While a reply is applied, what was left is only marked so: when it is
 * joined again, `since` still tells what the socket has got of it. Topics know their Follow (topics_mark), so that a
 * look at an entry costs nothing. */
static void leave_marked(RingSocket *rs, Slice of, uint64_t position)
{
    for (uint32_t i = 0; i < rs->follower.count; i++) {
        Follow *follow = rs->follower.list[i];

        if (follow->left || !topic_is_of(slice_of(follow->topic->name, follow->topic->name_len), of))
            continue;
        follow->left = true;
        follow->since = MAX(follow->since, position);
    }
}

static void join_marked(Ring *ring, RingSocket *rs, const char *name, uint64_t since)
{
    Follow *follow;

    if (!may_join(rs))
        return;
    follow = topics_join(ring->topics, &rs->follower, slice(name), since);
    follow->topic->mark = follow;
    if (follow->left)
        follow->since = MAX(follow->since, since);
    follow->left = false;
}

static bool means(const RingSocket *rs, const Atrium__AudienceChange *change)
{
    const Topic *topic;
    int64_t user = rs->follower.user;

    if (ring_users_have(change->except_users, change->n_except_users, user))
        return false;
    if (change->n_users)
        return user && ring_users_have(change->users, change->n_users, user);
    topic = change->topic ? topics_find(rs->ring->topics, slice(change->topic)) : NULL;
    return topic && topic->mark && !topic->mark->left;
}

static Follow *marked(const Ring *ring, const char *name)
{
    const Topic *topic = topics_find(ring->topics, slice(name));

    return topic ? topic->mark : NULL;
}

/* Of what was changed before the question the reply knows what came of it in the end; exact changes tell when. */
static void change_again(Ring *ring, RingSocket *rs, const RingEntry *entry)
{
    bool known = entry->position <= rs->asked;

    for (size_t i = 0; i < entry->dispatch->n_changes; i++) {
        const Atrium__AudienceChange *change = entry->dispatch->changes[i];

        if ((known && !(change->exact && rs->comes_back)) || !means(rs, change))
            continue;
        for (size_t j = 0; j < change->n_leave; j++)
            leave_marked(rs, slice(change->leave[j]), entry->position - 1);
        for (size_t j = 0; j < change->n_join; j++)
            if (!known || marked(ring, change->join[j]))
                join_marked(ring, rs, change->join[j], MAX(entry->position - 1, rs->floor));
    }
}

/* Before an exact change its topics were not followed yet, or still: from the end back to `from`, what the reply joins
 * becomes as it was there. */
static void undo(const Ring *ring, RingSocket *rs, const Atrium__AudienceChange *change)
{
    for (size_t i = 0; i < change->n_join; i++) {
        Follow *follow = marked(ring, change->join[i]);

        if (follow)
            follow->left = true;
    }
    for (size_t i = 0; i < change->n_leave; i++)
        for (uint32_t j = 0; j < rs->follower.count; j++) {
            Follow *follow = rs->follower.list[j];

            if (topic_is_of(slice_of(follow->topic->name, follow->topic->name_len), slice(change->leave[i])))
                follow->left = false;
        }
}

static void go_back(const Ring *ring, RingSocket *rs)
{
    for (uint64_t at = ring->position; at >= rs->at; at--) {
        const Atrium__Dispatch *d = ring_entry_at(ring, at)->dispatch;

        for (size_t i = d->n_changes; i-- > 0;)
            if (d->changes[i]->exact && means(rs, d->changes[i]))
                undo(ring, rs, d->changes[i]);
    }
}

/* What lies between, in the stream's order: changes since the request was sent, and what the topics that are new have
 * told. False: its client does not read so fast, and the rest must wait. */
static bool go_over(Ring *ring, RingSocket *rs)
{
    for (; rs->at <= ring->position; rs->at++) {
        RingEntry *entry;
        const Follow *follow;

        if (!socket_has_room(rs->socket))
            return false;
        entry = ring_entry_at(ring, rs->at);
        change_again(ring, rs, entry);
        follow = entry->topic->mark;
        if (follow && !follow->left && follow->since < rs->at)
            ring_write(ring, entry, rs);
    }
    return true;
}

/* Nothing is said or changed out of its turn: whoever lags stays behind as a whole. */
static void fill_in(Ring *ring, RingSocket *rs)
{
    bool done = go_over(ring, rs);

    if (!done && !rs->lagging) {
        rs->lagging = true;
        if (ring->lagging++ == 0)
            loop_timer_set(ring->pace, RING_PACE_MS, RING_PACE_MS);
    }
    if (done) {
        topics_sweep(ring->topics, &rs->follower);
        ring_stop_lagging(rs);
    } else {
        topics_unmark(&rs->follower);
    }
}

void ring_stop_lagging(RingSocket *rs)
{
    if (!rs->lagging)
        return;
    rs->lagging = false;
    if (--rs->ring->lagging == 0)
        loop_timer_clear(rs->ring->pace);
}

void ring_go_on(void *data)
{
    Ring *ring = data;

    for (RingSocket *rs = ring->sockets; rs && ring->lagging; rs = rs->next) {
        if (!rs->lagging || !socket_has_room(rs->socket))
            continue;
        if (rs->at < ring->oldest) {
            ring_stop_lagging(rs);
            socket_break(rs->socket, RING_CLOSE_LOST, "come again");
            continue;
        }
        topics_mark(&rs->follower);
        fill_in(ring, rs);
    }
}

/* Can the ring still give what the reply is about? */
static bool is_whole(const Ring *ring, const RingSocket *rs, const RingChange *c)
{
    return c->generation == ring->generation && !rs->lagging && c->asked + 1 >= ring->oldest &&
           (c->n_join == 0 || from_of(c) + 1 >= MAX(ring->oldest, rs->oldest));
}

static void change_topics(Ring *ring, RingSocket *rs, const RingChange *c)
{
    uint64_t from = from_of(c);

    if (!is_whole(ring, rs, c)) {
        socket_break(rs->socket, RING_CLOSE_LOST, "come again");
        return;
    }
    topics_set_user(ring->topics, &rs->follower, socket_user(rs->socket));
    rs->comes_back = !rs->begun;
    if (rs->comes_back)
        rs->floor = from;
    rs->begun = true;
    topics_mark(&rs->follower);
    for (uint32_t i = 0; i < rs->follower.count; i++)
        rs->follower.list[i]->since = MAX(rs->follower.list[i]->since, ring->position);
    for (size_t i = 0; i < c->n_leave; i++)
        leave_marked(rs, slice(c->leave[i]), ring->position);
    for (size_t i = 0; i < c->n_join; i++)
        join_marked(ring, rs, c->join[i]->topic, from);
    rs->at = MAX(c->n_join ? MIN(from, c->asked) + 1 : c->asked + 1, ring->oldest);
    rs->asked = c->asked;
    if (rs->comes_back)
        go_back(ring, rs);
    fill_in(ring, rs);
}

static bool has_mark(const RingSocket *rs, const char *mark)
{
    for (size_t i = 0; i < rs->mark_count; i++)
        if (strcmp(rs->marks[i], mark) == 0)
            return true;
    return false;
}

static void take_marks(RingSocket *rs, const RingChange *c)
{
    for (size_t i = 0; i < c->n_marks && rs->mark_count < RING_MARKS_MAX; i++) {
        if (has_mark(rs, c->marks[i]) || strlen(c->marks[i]) >= RING_MARK_MAX_BYTES)
            continue;
        rs->marks[rs->mark_count++] = xstrdup(c->marks[i]);
        ring_note_socket_mark(rs, c->marks[i]);
    }
}

void ring_apply(Socket *s, const RingChange *c)
{
    Ring *ring = ring_of(s);
    RingSocket *rs;

    if (!ring || (c->n_join == 0 && c->n_leave == 0 && c->n_marks == 0))
        return;
    rs = known_socket(ring, s);
    if (c->n_join || (c->n_leave && rs->begun))
        change_topics(ring, rs, c);
    topics_set_user(ring->topics, &rs->follower, socket_user(s));
    take_marks(rs, c);
}
