/* api_key: the text form of API keys: a scheme, 43 letters of base64url (256 random bits), and 6 of base 62 (the CRC-32
 * of all before them), so that a mistyped or made-up key is told from a real one without asking anybody, and tools that
 * look for leaked secrets find them. */
#pragma once
#include "shared/slice.h"

#define API_KEY_COMMONS "sel_" /* events' agents, administrators' and developers' */
#define API_KEY_PERSONAL "sk_" /* sessions': of a person */
enum { API_KEY_MAX_BYTES = 4 + 43 + 6, API_KEY_SHOWN_BYTES = 8 /* after the scheme: what is shown of it later */ };

/* A new one; `scheme` is one of the two. Borrowed from `mem`. */
char *api_key_make(Arena *mem, const char *scheme);
/* Does it begin like a key? */
bool api_key_looks(Slice token);
/* Is it one, as far as can be told without asking? */
bool api_key_well_formed(Slice token);
