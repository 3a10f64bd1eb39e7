/* topics: see topics.h. */
#include "services/gateway/topics.h"

#include "shared/memory.h"

typedef struct User {
    UT_hash_handle hh;
    int64_t id;
    Follower *first;
} User;

struct Topics {
    Topic *topics;
    User *users;
    size_t count;
};

enum { FIRST_ROOM = 4 };

Topics *topics_new(void)
{
    return xcalloc(1, sizeof(Topics));
}

void topics_free(Topics *t)
{
    Topic *topic, *next_topic;
    User *user, *next_user;

    if (!t)
        return;
    HASH_ITER(hh, t->topics, topic, next_topic)
    {
        HASH_DEL(t->topics, topic);
        free(topic->list);
        free(topic);
    }
    HASH_ITER(hh, t->users, user, next_user)
    {
        HASH_DEL(t->users, user);
        free(user);
    }
    free(t);
}

size_t topics_count(const Topics *t)
{
    return t->count;
}

/* --- names ------------------------------------------------------------------------------------------------------- */
Topic *topics_find(const Topics *t, Slice name)
{
    Topic *topic;

    HASH_FIND(hh, t->topics, name.ptr, (unsigned)name.len, topic);
    return topic;
}

static Topic *intern(Topics *t, Slice name)
{
    Topic *topic = topics_find(t, name);

    if (topic)
        return topic;
    topic = xcalloc(1, sizeof(*topic) + name.len + 1);
    memcpy(topic->name, name.ptr, name.len);
    topic->name_len = (uint32_t)name.len;
    HASH_ADD_KEYPTR(hh, t->topics, topic->name, topic->name_len, topic);
    t->count++;
    return topic;
}

static void forget_unused(Topics *t, Topic *topic)
{
    if (topic->count || topic->holds)
        return;
    HASH_DEL(t->topics, topic);
    t->count--;
    free(topic->list);
    free(topic);
}

Topic *topics_hold(Topics *t, Slice name)
{
    Topic *topic = intern(t, name);

    topic->holds++;
    return topic;
}

void topics_release(Topics *t, Topic *topic)
{
    topic->holds--;
    forget_unused(t, topic);
}

bool topic_is_of(Slice name, Slice of)
{
    return name.len >= of.len && memcmp(name.ptr, of.ptr, of.len) == 0 &&
           (name.len == of.len || name.ptr[of.len] == '.');
}

/* --- following --------------------------------------------------------------------------------------------------- */
static void push(Follow ***list, uint32_t *count, uint32_t *room, Follow *follow)
{
    if (*count == *room) {
        *room = *room ? *room * 2 : FIRST_ROOM;
        *list = xrealloc(*list, *room * sizeof(Follow *));
    }
    (*list)[(*count)++] = follow;
}

Follow *topics_follow_of(Follower *f, const Topic *topic)
{
    if (topic->count < f->count) {
        for (uint32_t i = 0; i < topic->count; i++)
            if (topic->list[i]->follower == f)
                return topic->list[i];
        return NULL;
    }
    for (uint32_t i = 0; i < f->count; i++)
        if (f->list[i]->topic == topic)
            return f->list[i];
    return NULL;
}

Follow *topics_join(Topics *t, Follower *f, Slice name, uint64_t since)
{
    Topic *topic = intern(t, name);
    Follow *follow = topic->mark ? topic->mark : topics_follow_of(f, topic);

    if (follow)
        return follow;
    follow = xmalloc(sizeof(*follow));
    *follow = (Follow){.topic = topic, .follower = f, .since = since, .at_topic = topic->count, .at_owner = f->count};
    push(&topic->list, &topic->count, &topic->room, follow);
    push(&f->list, &f->count, &f->room, follow);
    return follow;
}

/* The last one takes its place in either list. */
void topics_leave(Topics *t, Follow *follow)
{
    Topic *topic = follow->topic;
    Follower *f = follow->follower;

    topic->list[follow->at_topic] = topic->list[--topic->count];
    topic->list[follow->at_topic]->at_topic = follow->at_topic;
    f->list[follow->at_owner] = f->list[--f->count];
    f->list[follow->at_owner]->at_owner = follow->at_owner;
    topic->mark = NULL;
    free(follow);
    forget_unused(t, topic);
}

void topics_leave_all(Topics *t, Follower *f)
{
    while (f->count)
        topics_leave(t, f->list[f->count - 1]);
    free(f->list);
    f->list = NULL;
    f->room = 0;
}

void topics_mark(Follower *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        f->list[i]->topic->mark = f->list[i];
}

void topics_unmark(Follower *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        f->list[i]->topic->mark = NULL;
}

void topics_sweep(Topics *t, Follower *f)
{
    for (uint32_t i = f->count; i-- > 0;) {
        f->list[i]->topic->mark = NULL;
        if (f->list[i]->left)
            topics_leave(t, f->list[i]);
    }
}

/* --- users ------------------------------------------------------------------------------------------------------- */
static User *find_user(const Topics *t, int64_t id)
{
    User *user;

    HASH_FIND(hh, t->users, &id, sizeof(id), user);
    return user;
}

Follower *topics_first_of_user(const Topics *t, int64_t id)
{
    const User *user = find_user(t, id);

    return user ? user->first : NULL;
}

static void unlink_user(Topics *t, Follower *f)
{
    User *user = find_user(t, f->user);

    *(f->previous_of_user ? &f->previous_of_user->next_of_user : &user->first) = f->next_of_user;
    if (f->next_of_user)
        f->next_of_user->previous_of_user = f->previous_of_user;
    if (!user->first) {
        HASH_DEL(t->users, user);
        free(user);
    }
    f->next_of_user = f->previous_of_user = NULL;
}

void topics_set_user(Topics *t, Follower *f, int64_t id)
{
    User *user;

    if (f->user == id)
        return;
    if (f->user)
        unlink_user(t, f);
    f->user = id;
    if (!id)
        return;
    user = find_user(t, id);
    if (!user) {
        user = xcalloc(1, sizeof(*user));
        user->id = id;
        HASH_ADD(hh, t->users, id, sizeof(id), user);
    }
    f->next_of_user = user->first;
    if (user->first)
        user->first->previous_of_user = f;
    user->first = f;
}
