/* The identity provider: the one domain that the edge knows by name, since whose a credential is must be told before
 * any table of routes can help. It is the auth domain, by decision (docs/architecture.md, step 3); proto/atrium/auth
 * and the Resolve…, GetGrants… and GetSigningKeys… messages of atrium are the other side of what stands here. */
#pragma once

#define IDENTITY_DOMAIN "auth"
/* Whose is this opaque token? After "rpc.<slot>". */
#define IDENTITY_RESOLVE_RPC IDENTITY_DOMAIN ".v1.ResolveToken"
/* The reason with which it refuses a token that was good once; for any other it has the common one. */
#define IDENTITY_EXPIRED_REASON IDENTITY_DOMAIN ".v1.SESSION_EXPIRED"
/* Whose login is this now? And what do roles grant? */
#define IDENTITY_RESOLVE_LOGIN_RPC IDENTITY_DOMAIN ".v1.ResolveLogin"
#define IDENTITY_GRANTS_RPC IDENTITY_DOMAIN ".v1.GetGrants"
/* What API keys did. */
#define IDENTITY_USAGE_RPC IDENTITY_DOMAIN ".v1.ReportKeyUsage"
/* What are JWTs signed with? */
#define IDENTITY_KEYS_RPC IDENTITY_DOMAIN ".v1.GetSigningKeys"
/* What it tells of by itself. Logins that ended; the last word of the subject is the login's id. */
#define IDENTITY_STREAM "EVT_AUTH"
#define IDENTITY_ENDED_SUBJECT_PREFIX "evt." IDENTITY_DOMAIN ".login.ended."
/* What somebody may has changed: the last word is the user's id, 0 for what roles grant, -1 for what many people hold.
 */
#define IDENTITY_ACCESS_SUBJECT_PREFIX "evt." IDENTITY_DOMAIN ".access.changed."
