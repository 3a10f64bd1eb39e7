/* console: what signing in with GitHub shares with the developer portal's login. */
#pragma once
#include "services/auth/access.h"
#include "services/auth/tokens.h"

bool access_is_developer(const Access *access);
/* With `tokens->token`, for as long as it is good. */
void portal_set_cookie(Request *rq, const Tokens *tokens);
