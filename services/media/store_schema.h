/* store_schema: the tables of media in a schema of the test's own, on the PostgreSQL of TEST_DATABASE_URL, and a
 * service around them, so that tests call handlers as they are. For tests. */
#pragma once
#include "services/media/store_items.h"
#include "services/media/store_processing.h"
#include "shared/testing.h"

typedef struct StoreSchema {
    Db *db;
    Arena *mem;
    IdSource *ids;
    int64_t now_us;  /* free for the test's use; clock's time */
    char name[64];   /* of the schema: unique, so that tests run side by side */
    char folder[64]; /* of the objects */
    MediaSettings settings;
    Media media;
    Clock clock; /* stands still at now_us */
} StoreSchema;

/* Group setup and teardown; *state is a StoreSchema *. */
int store_schema_make(void **state);
int store_schema_drop(void **state);
/* As it comes from the gateway, with 60 s to go: of nobody (0), or of a logged-in user. */
Request store_schema_request(StoreSchema *s, int64_t user_id);
/* Several statements, in the schema. Fails the test on any error. */
void store_schema_script(StoreSchema *s, const char *sql);
/* The first column of the first row. */
int64_t store_schema_count(StoreSchema *s, const char *sql);

/* An item in `uploading`; and one whose bytes, all `content`, are complete. Their ids. */
Uuid store_schema_item(StoreSchema *s, int64_t owner_id, const char *title);
Uuid store_schema_uploaded(StoreSchema *s, int64_t owner_id, const char *content);
/* As it is now. */
ItemRow store_schema_row(StoreSchema *s, Uuid id);
