/* erase: an account that is gone, with its traces here. What it submitted is of the commons and stays, without it. */
#pragma once
#include "services/events/events.h"

typedef struct Eraser {
    const Events *events;
    Db *db;
    const Clock *clock;
    Log *log;
} Eraser;
/* An EraseUser (erasure.h); `context` is an Eraser. */
Err erase_user(void *context, Arena *mem, int64_t user_id, int64_t *out_rows);
