/* text: what usernames and e-mail addresses may look like. Pure functions. */
#pragma once
#include "shared/slice.h"

/* 2 to 32 of A-Z a-z 0-9 _ */
bool username_valid(Slice name);

/* Takes "a@b.c" or "Name <a@b.c>"; `out` is borrowed from `text`. NULL when it is good, else why not, as a sentence
 * (a constant). `allow_reserved` lets names pass that no mail can reach (test, localhost …). */
const char *email_parse(Slice text, bool allow_reserved, Slice *out);

/* A username for an e-mail account: made of what stands before the @. From the second attempt on with a random end.
 * Borrowed from `mem`. */
char *username_for_email(Arena *mem, Slice email, int attempt);

/* At most `max_bytes` of text that came in a header, as valid UTF-8. Borrowed from `mem`; never NULL. */
char *text_of_header(Arena *mem, const char *value, size_t max_bytes);
