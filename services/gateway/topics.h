/* topics: who follows what. Names of topics are kept once; a follower has a list of what it follows, a topic a list of
 * its followers, and a Follow stands in both, so that joining and leaving cost nothing that grows with the other side.
 * Users are found by their id. No thread of its own: the loop's. */
#pragma once
#include <uthash.h>

#include "shared/slice.h"

typedef struct Topics Topics;
typedef struct Topic Topic;
typedef struct Follower Follower;

/* One follower of one topic. */
typedef struct Follow {
    Topic *topic;
    Follower *follower;
    uint64_t since;              /* dispatches with greater numbers are for it */
    uint32_t at_topic, at_owner; /* places in the two lists */
    bool left;                   /* by a change that is being applied; topics_sweep takes it away */
} Follow;

struct Topic {
    UT_hash_handle hh;
    Follow **list;
    uint32_t count, room;
    uint32_t holds; /* of those who keep it though nobody follows it */
    Follow *mark;   /* see topics_mark */
    uint32_t walk;  /* the ring's: something of it was passed on this walk */
    uint32_t name_len;
    char name[];
};

/* Embedded in what follows; all zero at first. */
struct Follower {
    Follow **list;
    uint32_t count, room;
    int64_t user; /* 0: not among the users */
    Follower *next_of_user, *previous_of_user;
};

Topics *topics_new(void);
/* When there are no followers. NULL is fine. */
void topics_free(Topics *t);
size_t topics_count(const Topics *t);

/* Kept until topics_release, whether or not somebody follows it. */
Topic *topics_hold(Topics *t, Slice name);
void topics_release(Topics *t, Topic *topic);
Topic *topics_find(const Topics *t, Slice name); /* NULL: nobody follows it or holds it */

/* NULL when it does not follow it. */
Follow *topics_follow_of(Follower *f, const Topic *topic);
/* What it has already stays as it is, `since` too. */
Follow *topics_join(Topics *t, Follower *f, Slice name, uint64_t since);
void topics_leave(Topics *t, Follow *follow);
void topics_leave_all(Topics *t, Follower *f);
/* Is `name` the topic `of`, or below it? "g.1" and "g.1.c.2" are of "g.1"; "g.10" is not. */
bool topic_is_of(Slice name, Slice of);

/* While a change of one follower is applied: each topic of his knows his Follow (topic->mark); the caller sets it for
 * those that join meanwhile. One follower at a time; topics_sweep ends it, and takes away what has `left`. */
void topics_mark(Follower *f);
void topics_unmark(Follower *f); /* later more of it */
void topics_sweep(Topics *t, Follower *f);

/* As a follower of `user` (not 0) it is found by topics_first_of_user and next_of_user. Again for another one: moves.
 */
void topics_set_user(Topics *t, Follower *f, int64_t user);
Follower *topics_first_of_user(const Topics *t, int64_t user);
