/* invitations: tokens that let somebody in. The database knows their SHA-256; whoever makes one gets it once. */
#pragma once
#include "atrium/auth/v1/admin.pb-c.h"
#include "services/auth/accounts.h"
#include "services/auth/store_registration.h"

/* What the maker gets. Borrowed from the request's arena. */
typedef struct InvitationSecret {
    const char *token, *url;
    bool sent; /* by mail, to the address that it is for */
} InvitationSecret;
/* Stores it; its id is made here. `path` is the page of the client that takes the token. */
Err invitation_insert(Request *rq, DbTx *tx, Invitation *invitation, const char *path,
                      InvitationSecret *out) MUST_CHECK;
/* For an account that is pending; those before it are no good any more. */
Err invitation_for_account(Request *rq, DbTx *tx, const Account *account, const char *role, Invitation *out,
                           InvitationSecret *out_secret) MUST_CHECK;
/* The answer to who made it. */
void invitation_answer(Request *rq, const Account *account, const Invitation *invitation,
                       const InvitationSecret *secret, Auth__V1__AdminInvitation *out);
