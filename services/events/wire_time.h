/* wire_time: instants as messages have them. */
#pragma once
#include "google/protobuf/timestamp.pb-c.h"
#include "shared/arena.h"

/* 0 is NULL: the field is absent. */
Google__Protobuf__Timestamp *wire_time(Arena *mem, int64_t unix_us);
