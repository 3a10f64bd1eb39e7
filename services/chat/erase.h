/* erase: an account that is gone, with all that chat has of it. */
#pragma once
#include "services/chat/chat.h"

typedef struct Eraser {
    const Chat *chat;
    Db *db;
    const Clock *clock;
    Log *log;
} Eraser;
/* An EraseUser (erasure.h); `context` is an Eraser. */
Err erase_user(void *context, Arena *mem, int64_t user_id, int64_t *out_rows);
