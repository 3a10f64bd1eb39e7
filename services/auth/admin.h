/* admin: the first administrator, made at start. */
#pragma once
#include "services/auth/auth.h"

/* ADMIN_PASSWORD makes ADMIN_USERNAME an administrator when there is none; ADMIN_PASSWORD_RESET overwrites his password
 * and ends his logins, unless it is his password already. `rq` has the service, database, clock and log. A name that an
 * ordinary account has is logged, and no error. */
Err admin_bootstrap(Request *rq) MUST_CHECK;
