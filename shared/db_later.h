/* db_later: statements of a transaction whose answer nobody needs to see before the next one: what is only written.
 * They leave with the transaction's next statement, in one write and one read, which saves a round trip each. */
#pragma once
#include "shared/db.h"

/* As db_exec, but it fails later: with the next statement of the transaction that is not of this kind, or with its
 * commit, whose error is then this one's. So it is for what fails only when something is wrong, and not for what may
 * violate a constraint that somebody asks for (db_violated). `args` may go as soon as it returns. It runs before what
 * is asked for after it. */
Err db_exec_later(DbTx *tx, const char *sql, DbArgs args) MUST_CHECK;
/* Waits for all that was sent: for who goes on after a failure, and has to know whose it is. */
Err db_settle(DbTx *tx) MUST_CHECK;
