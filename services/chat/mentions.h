/* mentions: whom the text of a message means: <@id>, <@!id> and @username people, <@&id> roles, @everyone and @here all
 * who see the channel. Only what the text says: whether there is such a user or role, and whether its author may mean
 * everyone, is not known here. No state: any thread. */
#pragma once
#include "shared/slice.h"

enum {
    MENTIONS_MAX = 50, /* of each kind; further ones are text and no more */
    MENTION_NAME_MIN_CHARS = 2,
    MENTION_NAME_MAX_CHARS = 32
};

/* Each once, in the order of the text. */
typedef struct Mentions {
    int64_t users[MENTIONS_MAX], roles[MENTIONS_MAX];
    Slice names[MENTIONS_MAX]; /* borrowed from the text; letters, digits and underscores, as they were written */
    size_t user_count, role_count, name_count;
    bool everyone;
} Mentions;

/* `text` is valid UTF-8. What is in the middle of a word, as in an e-mail address, means nobody. */
void mentions_find(Slice text, Mentions *out);
/* `text` itself means nobody by name or id: nothing need be looked up. */
bool mentions_none(const Mentions *m);
