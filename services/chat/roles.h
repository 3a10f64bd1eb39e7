/* roles: what handlers that give, take and change roles ask alike. */
#pragma once
#include "services/chat/permissions.h"

/* ROLE_HIERARCHY "cannot <verb> a role at or above your highest role position", unless the position is below. */
Err roles_require_above(const Standing *caller, int position, const char *verb) MUST_CHECK;
/* MISSING_PERMISSIONS when somebody would give others what he has not himself. */
Err roles_require_bits(const Standing *caller, int64_t given) MUST_CHECK;
