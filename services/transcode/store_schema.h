/* store_schema: the tables of transcode in a schema of the test's own, on the PostgreSQL of TEST_DATABASE_URL, objects
 * in a folder of its own, and a service around them without queues or relay. For tests; by tests/run-units (PostgreSQL
 * and NATS). */
#pragma once
#include "services/transcode/store.h"
#include "services/transcode/testing.h"
#include "shared/schema_testing.h"

typedef struct StoreSchema {
    Bench bench; /* its folders */
    TestSchema schema;
    TranscodeSettings settings;
    Transcode t;
} StoreSchema;

/* Group setup and teardown; *state is a StoreSchema *. */
int store_schema_make(void **state);
int store_schema_drop(void **state);
/* Before each test: no rows. */
int store_schema_empty(void **state);
/* As an operator's call comes from the gateway. */
Request store_schema_request(StoreSchema *s);
/* A stored job of a new item, queued; whose original is at its source_key, where `content` is not NULL. */
JobRow store_schema_job(StoreSchema *s, int kind, int attempts, const char *content);
/* Another attempt at it, as a worker begins one. */
JobRow store_schema_begin(StoreSchema *s, Uuid id);
