/* presence: what others see of a user (contracts/chat.md section 8), out of all his connections on all gateways.
 *
 * Each connection has a status of its own; the best of them is shown: online, idle, dnd; one that is invisible shows
 * nothing. Without connections a user is shown as he was for PRESENCE_GRACE_MS, so that a reload or a resume is not
 * seen; then he is offline. All that changes it runs under the user's lock, and tells it in the same transaction.
 *
 * Who is told. A change goes to each guild of the user, on g.<guild>, except to those who share an earlier guild with
 * him (by id) and have seen it there: so everybody sees it once, and an edge looks only at connections that follow the
 * guild. The user sees his own, too.
 *
 * Connections that nobody says CLOSED for: those of an edge that has not renewed its lease (presence_sweep). */
#pragma once
#include "services/chat/dispatch.h"
#include "services/chat/status.h"

enum {
    PRESENCE_GRACE_MS = 10000,
    /* Of an edge that has a connection and has not told a lease yet. */
    PRESENCE_FIRST_LEASE_MS = 60000,
    PRESENCE_SWEEP_MAX = 500 /* users in one turn of the sweep */
};

/* PRESENCE_UPDATE's data; borrowed from `mem`. */
const ProtobufCMessage *presence_update(Arena *mem, int64_t user_id, Status shown);

/* The connection is there, with this status: said when it identifies itself, resumes or chooses, and again when it was
 * forgotten (its edge had been taken for gone). */
Err presence_connected(DbTx *tx, Arena *mem, const char *connection, int64_t user_id, Status status) MUST_CHECK;
/* The same of a session that is taken up again: as the user was last seen, with `out_status` what that means. */
Err presence_resumed(DbTx *tx, Arena *mem, const char *connection, int64_t user_id, Status *out_status) MUST_CHECK;
/* Nothing when it is not known. */
Err presence_disconnected(DbTx *tx, Arena *mem, const char *connection) MUST_CHECK;
/* The edge lives, and its next word comes within `lease_ms`. */
Err presence_renew(DbTx *tx, const char *edge, int64_t lease_ms) MUST_CHECK;

/* One turn: connections of edges whose lease is over end, and whose grace is over is offline. Each user in a
 * transaction of his own. By one instance at a time (shared/lease); if two did, nothing worse would happen than work
 * done twice. `out_more`: there is more to do at once. */
Err presence_sweep(Db *db, Log *log, bool *out_more) MUST_CHECK;
