/* store_schema: the tables of auth in a schema of the test's own, on the PostgreSQL of TEST_DATABASE_URL, and a service
 * around them, so that tests call handlers as they are. For tests. */
#pragma once
#include "services/auth/store.h"
#include "shared/schema_testing.h"

typedef struct StoreSchema {
    TestSchema schema;
    AuthSettings settings; /* cheap hashes, registration open; a test may change them */
    Auth auth;
} StoreSchema;

/* Group setup and teardown; *state is a StoreSchema *. */
int store_schema_make(void **state);
int store_schema_drop(void **state);
/* As it comes from the gateway, with 60 s to go; and of a logged-in user. */
Request store_schema_request(StoreSchema *s);
Request store_schema_user_request(StoreSchema *s, int64_t user_id);
Request store_schema_request_of(StoreSchema *s, int64_t user_id, Role role);
/* A stored account with this password (NULL: none), active, of role user. */
Account store_schema_account(StoreSchema *s, const char *username, const char *email, const char *password);
/* The row of a live account without a password. */
void store_schema_person(StoreSchema *s, int64_t id, const char *username, Role role);
