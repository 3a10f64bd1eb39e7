/* purge: deletes what nobody can use any more, in the background, in one instance at a time; and counts the erasures
 * that are late. */
#pragma once
#include "services/auth/auth.h"
#include "shared/sweeper.h"

typedef struct Purge Purge;
typedef struct PurgeOptions {
    const Auth *auth;
    Db *db;
    const Clock *clock;
    Log *log;
    Metrics *metrics;
    int64_t interval_ms;
} PurgeOptions;
Purge *purge_start(const PurgeOptions *options);
void purge_stop(Purge *purge); /* NULL is fine */
