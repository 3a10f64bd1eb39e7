/* profiles: which contract's manner a host name or a listening port has, where paths are shared (DESIGN section 7). */
#pragma once
#include "services/gateway/dialect.h"

typedef enum CorsFlavour { CORS_OURS, CORS_CHAT, CORS_MEDIA, CORS_SESSIONS, CORS_EVENTS, CORS_RAG } CorsFlavour;

typedef enum HealthFlavour { HEALTH_OURS, HEALTH_CHAT, HEALTH_SESSIONS, HEALTH_RAG } HealthFlavour;

typedef struct Profile {
    const char *name;
    int dialect;         /* of own paths, of what no path matched, and of shared routes (Operation.profile_dialect) */
    bool keeps_dialects; /* shared routes keep their own */
    CorsFlavour cors;
    HealthFlavour health;         /* what /health answers */
    bool hides_methods;           /* a wrong method is 404 */
    bool slash_redirects;         /* a path with a slash too many or too few is sent to the right one */
    bool strangers_first;         /* an unknown path under /api/v1 tells strangers 401 … */
    const char *strangers_except; /* … but not under this segment of it; NULL none */
    bool root_is_json;            /* "/" is no page, even for browsers */
    const char *front;     /* the path that "/" stands for, where a domain has it; NULL: the gateway's own page */
    const char *checkup;   /* the same of "/health" */
    bool options_anywhere; /* OPTIONS on any path is 204 */
    bool options_refused;  /* OPTIONS that is no preflight is a wrong method */
} Profile;

typedef struct Profiles Profiles; /* immutable */
/* GATEWAY_HOSTS: "chat.localhost=chat-web,:4000=media". INVALID_ARGUMENT for unknown profiles and what cannot be read.
 * CHAT_DIALECT says what hosts and ports are that it does not name: "all", or with "web" as chat-web. */
Err profiles_parse(Arena *mem, const char *hosts, const char *chat_dialect, const Profiles **out) MUST_CHECK;
/* `host` as the header has it, with or without a port. A name wins over the port. Never NULL. */
const Profile *profiles_find(const Profiles *p, Slice host, int port);
const Profile *profile_by_name(Slice name); /* NULL when unknown */
/* The one whose own dialect it is; NULL: none has. */
const Profile *profile_of_dialect(int dialect);
/* The dialect in which `op` answers there. */
int profile_dialect(const Profile *p, const Operation *op);
