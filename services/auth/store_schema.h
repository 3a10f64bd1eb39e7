/* store_schema: the tables of auth in a schema of the test's own, on the PostgreSQL of TEST_DATABASE_URL. For tests. */
#pragma once
#include "services/auth/store.h"
#include "shared/testing.h"

typedef struct StoreSchema {
    Db *db;
    Arena *mem;
    IdSource *ids;
    int64_t now_us; /* free for the test's use */
    char name[64];  /* of the schema: unique, so that tests run side by side */
} StoreSchema;

/* Group setup and teardown; *state is a StoreSchema *. */
int store_schema_make(void **state);
int store_schema_drop(void **state);
/* Several statements, in the schema. Fails the test on any error. */
void store_schema_script(StoreSchema *s, const char *sql);
/* The first column of the first row. */
int64_t store_schema_count(StoreSchema *s, const char *sql);
