/* users_events: accounts in the manner of events' contract. */
#pragma once
#include "atrium/auth/v1/admin.pb-c.h"
#include "services/auth/store_admin.h"

void answer_admin_user(Request *rq, const UserRow *user, Auth__V1__AdminUser *out);
