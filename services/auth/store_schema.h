/* store_schema: the tables of auth in a schema of the test's own, on the PostgreSQL of TEST_DATABASE_URL, and a service
 * around them, so that tests call handlers as they are. For tests. */
#pragma once
#include "services/auth/store.h"
#include "shared/testing.h"

typedef struct StoreSchema {
    Db *db;
    Arena *mem;
    IdSource *ids;
    int64_t now_us;        /* free for the test's use; clock's time */
    char name[64];         /* of the schema: unique, so that tests run side by side */
    AuthSettings settings; /* cheap hashes, registration open; a test may change them */
    Auth auth;
    Clock clock; /* stands still at now_us */
} StoreSchema;

/* Group setup and teardown; *state is a StoreSchema *. */
int store_schema_make(void **state);
int store_schema_drop(void **state);
/* Several statements, in the schema. Fails the test on any error. */
void store_schema_script(StoreSchema *s, const char *sql);
/* As it comes from the gateway, with 60 s to go; and of a logged-in user. */
Request store_schema_request(StoreSchema *s);
Request store_schema_user_request(StoreSchema *s, int64_t user_id);
Request store_schema_request_of(StoreSchema *s, int64_t user_id, Role role);
/* A stored account with this password (NULL: none), active, of role user. */
Account store_schema_account(StoreSchema *s, const char *username, const char *email, const char *password);
/* The first column of the first row. */
int64_t store_schema_count(StoreSchema *s, const char *sql);
/* The row of a live account without a password. */
void store_schema_person(StoreSchema *s, int64_t id, const char *username, Role role);
