/* erasure: accounts that go, with all that the platform has of them. The account goes at once; the domains of
 * ERASURE_DOMAINS hear of it and report when they are done. What was reported is kept for good. */
#pragma once
#include "services/auth/users.h"

/* By an administrator: NOT_ONESELF, LAST_ADMIN, USER_NOT_FOUND. */
Err erasure_of_other(Request *rq, int64_t user_id) MUST_CHECK;
