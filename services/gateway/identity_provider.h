/* The identity provider: the one domain that the edge knows by name, since whose a credential is must be told before
 * any table of routes can help. It is the auth domain, by decision (docs/architecture.md, step 3); proto/atrium/auth
 * and atrium.ResolveTokenRequest are the other side of what stands here. */
#pragma once

#define IDENTITY_DOMAIN "auth"
/* Whose is this opaque token? After "rpc.<slot>". */
#define IDENTITY_RESOLVE_RPC IDENTITY_DOMAIN ".v1.ResolveToken"
/* Logins that ended; the last word of the subject is the login's id. */
#define IDENTITY_ENDED_STREAM "EVT_AUTH"
#define IDENTITY_ENDED_SUBJECT_PREFIX "evt." IDENTITY_DOMAIN ".login.ended."
