/* answers: items as the wire shows them. Everything is borrowed from rq->mem. */
#pragma once
#include "services/media/store.h"

void answer_item(Request *rq, const ItemRow *row, Media__V1__Item *out);
Media__V1__Item **answer_items(Request *rq, const ItemRow *rows, size_t count);
/* The page size that holds for a wish: contracts/media.md section 5.3. */
int64_t page_size_of(bool has, int64_t wanted);
/* 0 is NULL: the field is absent. */
Google__Protobuf__Timestamp *answer_time(Arena *mem, int64_t unix_us);
