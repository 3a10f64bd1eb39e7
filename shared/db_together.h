/* db_together: single statements that write, of fibers that write at the same moment, as one transaction and with one
 * write to the disk for all of them (db_batch.c). */
#pragma once
#include "shared/db.h"

/* What a statement locks, the first before the second: batches lock ascending, so that none waits for another. Those
 * that lock the same go by the third. */
typedef struct DbOrder {
    int64_t first, second, third;
} DbOrder;

/* As db_write, which it is outside fibers and within the request's transaction. The statement locks nothing that others
 * wait for but what `order` stands for. What a failure of another took down with it is sent again; while the locks of
 * one are waited for, all of its batch wait. */
Err db_write_together(struct Request *rq, DbOrder order, const char *sql, DbArgs args, DbRows *out) MUST_CHECK;
