/* registration: who may make an account for himself: anyone, nobody, or who has an invitation. */
#pragma once
#include "services/auth/accounts.h"
#include "services/auth/store_registration.h"

typedef enum RegistrationMode { MODE_OPEN, MODE_CLOSED, MODE_INVITE } RegistrationMode;
const char *registration_mode_name(RegistrationMode mode);
bool registration_mode_parse(Slice text, RegistrationMode *out);
/* What an administrator said last, else the setting. `tx` may be NULL. */
Err registration_mode(Request *rq, DbTx *tx, RegistrationMode *out) MUST_CHECK;

/* For accounts that come without an invitation (sign-in with others): REGISTRATION_CLOSED unless anyone may. `tx` may
 * be NULL. */
Err registration_check(Request *rq, DbTx *tx) MUST_CHECK;
/* For registrations: REGISTRATION_CLOSED with this text, or INVALID_INVITATION. `token` may be NULL. What the
 * invitation says goes into `draft`, whose e-mail address has been checked; account_store takes one use of it. */
Err registration_enter(Request *rq, const char *token, const char *refusal, AccountDraft *draft) MUST_CHECK;
