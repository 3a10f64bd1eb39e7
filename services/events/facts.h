/* facts: members of documents that sources disagree about, and how they are told apart. No state: any thread. */
#pragma once
#include "services/events/node.h"

/* Is this member's value a matter of who is believed? Not what is ours, follows from others or has rows of its own. */
bool facts_is_one(Slice name);
/* Do they mean the same? A place is the same place, whatever it was called in between. */
bool facts_same(Slice a, Slice b);
/* Is `name` among the names of `chosen`, each of which is followed by a blank? */
bool facts_is_chosen(Slice chosen, Slice name);
/* The object `base` with the members of `over` instead of its own, and further ones. Borrowed from `mem`. */
Slice facts_overlay(Arena *mem, Slice base, Slice over);
/* Appends a member to an object that has its opening brace. */
void facts_append(StrBuf *out, Slice name, Slice value);
