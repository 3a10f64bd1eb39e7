/* email: the caller's own address. */
#pragma once
#include "services/auth/store_tx.h"

/* Gives the caller's account a checked address: it counts once it is verified, or at once where nothing can be sent
 * (`*out_sent` false). Whoever has the address has the account, so a token alone is not enough for it: caller_prove
 * comes first. EMAIL_TAKEN. */
Err email_change_own(Request *rq, DbTx *tx, const char *email, bool *out_sent) MUST_CHECK;
