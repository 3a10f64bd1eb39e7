/* store_schema: the tables of media in a schema of the test's own, on the PostgreSQL of TEST_DATABASE_URL, and a
 * service around them, so that tests call handlers as they are. For tests. */
#pragma once
#include "services/media/store_items.h"
#include "services/media/store_processing.h"
#include "shared/schema_testing.h"

typedef struct StoreSchema {
    TestSchema schema;
    char folder[64]; /* of the objects */
    MediaSettings settings;
    Media media;
} StoreSchema;

/* Group setup and teardown; *state is a StoreSchema *. */
int store_schema_make(void **state);
int store_schema_drop(void **state);
/* As it comes from the gateway, with 60 s to go: of nobody (0), or of a logged-in user. */
Request store_schema_request(StoreSchema *s, int64_t user_id);

/* An item in `uploading`; and one whose bytes, all `content`, are complete. Their ids. */
Uuid store_schema_item(StoreSchema *s, int64_t owner_id, const char *title);
Uuid store_schema_uploaded(StoreSchema *s, int64_t owner_id, const char *content);
/* As it is now. */
ItemRow store_schema_row(StoreSchema *s, Uuid id);
