/* id: every identifier of the platform (DESIGN section 7). Thread-safe unless said. */
#pragma once
#include "shared/clock.h"
#include "shared/err.h"

/* Cryptographically random; aborts when the kernel gives none. */
void random_bytes(void *out, size_t len);
uint64_t random_uint64(void);

typedef struct IdSource IdSource;
/* `worker` is 0..1023 and unique among the live processes that mint the same kind (shared/lease gives numbers out).
 * `clock` is borrowed. */
IdSource *id_source_new(const Clock *clock, unsigned worker);
void id_source_free(IdSource *ids);
/* From now on under another number. */
void id_source_set_worker(IdSource *ids, unsigned worker);
CLEANUP_FN(IdSource, id_source_free)

/* User ids: positive, 53 bits, exact as a JSON number. Time-ordered: 33 bits of 100 ms since 2026-01-01, 10 bits of
 * worker, 10 bits of sequence; waits for the next tick when the sequence is used up; never goes back with the clock. */
int64_t id_next_user(IdSource *ids);
/* Snowflakes (contracts/chat.md section 10): 42 bits of ms since the epoch there, 10 worker, 12 sequence. */
int64_t id_next(IdSource *ids);
int64_t id_snowflake_unix_ms(int64_t snowflake);

/* ULID: 26 letters of Crockford base 32, upper case; monotonic within a source and millisecond. */
#define ULID_TEXT_BYTES 27
void id_ulid(IdSource *ids, char out[ULID_TEXT_BYTES]);
bool id_ulid_parse(Slice text, uint8_t out[16]); /* either case; a first letter over 7 is false */
void id_ulid_format(const uint8_t in[16], char out[ULID_TEXT_BYTES]);

/* UUIDs, text form lower case with hyphens. */
#define UUID_TEXT_BYTES 37
typedef struct Uuid {
    uint8_t bytes[16];
} Uuid;
Uuid uuid_v7(IdSource *ids); /* RFC 9562; monotonic within a source and millisecond */
Uuid uuid_v4(void);
/* A user id where a dialect demands a UUID: version 8 with the id inside, so that it needs no table. */
Uuid uuid_from_user_id(int64_t user_id);
bool uuid_to_user_id(Uuid u, int64_t *out); /* false for any other UUID */
void uuid_format(Uuid u, char out[UUID_TEXT_BYTES]);
/* Any case, with or without hyphens, in braces, or with "urn:uuid:". */
bool uuid_parse(Slice text, Uuid *out);
char *uuid_text(Arena *mem, Uuid u);
bool uuid_is_nil(Uuid u); /* all zero, which nothing is named: "none" */
