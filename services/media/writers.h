/* writers: one writer at a time for each upload, across instances. The store sees to that within a process, and the
 * driver fs beyond it; s3 cannot. An instance writes its name into the upload's row while it has a sitting there, and
 * holds a lease of that name (lease.h) as long as it lives. A name whose lease nobody holds is that of one that is
 * gone: who comes next takes over, at once after a crash, within WRITERS_LEASE_MS and two seconds when a host vanished.
 */
#pragma once
#include "services/media/media.h"

enum { WRITERS_LEASE_MS = 3000 };

typedef struct Writers Writers;
/* Of this process. Begins to take its lease in the background. Owned by the caller. */
Writers *writers_new(Db *db, Log *log, IdSource *ids);
void writers_free(Writers *w); /* NULL is fine */
CLEANUP_FN(Writers, writers_free)

/* The sitting may begin. CONFLICT: another one has the upload, here or elsewhere, or who we are is not settled (the
 * database was away, the process has just begun): later. */
Err writers_take(Writers *w, Request *rq, Uuid upload_id) MUST_CHECK;
/* UNAVAILABLE when the lease is lost: somebody else may write by now, so nothing more is written. To be asked before
 * bytes become durable. Costs nothing. */
Err writers_check(const Writers *w) MUST_CHECK;
/* The sitting is over, the store's part of it included. When the row cannot be written, the upload stays this
 * instance's until it has another sitting here. */
void writers_leave(Writers *w, Request *rq, Uuid upload_id);
