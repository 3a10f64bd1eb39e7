/* grants: what roles grant, and whose access changed lately, so that tokens that were made before are looked at anew.
 * The roles are asked of the identity provider at the start and whenever it says that they changed; it says so on its
 * stream (tail.h), as it does for users. Roles are of the loop's thread; changes of any. */
#pragma once
#include "services/gateway/upstream.h"
#include "shared/clock.h"

typedef struct Grants Grants;
typedef struct GrantsOptions {
    Bus *bus;   /* threaded; NULL for tests: changes then come by grants_note_change, roles by grants_set */
    Loop *loop; /* goes with `bus` */
    const Clock *clock;
    Log *log;
    Metrics *metrics;
    const char *slot;
    int64_t age_ms; /* longest life of a token */
    size_t changes_max;
} GrantsOptions;
Err grants_start(const GrantsOptions *options, Grants **out) MUST_CHECK;
void grants_stop(Grants *g); /* before the loop is freed; NULL is fine */
CLEANUP_FN(Grants, grants_stop)
/* Asks from now on, until it knows. In the loop's thread, or before it runs. */
void grants_connect(Grants *g, Upstream *upstream);

/* Does it know what roles grant, and has it heard of all changes? Any thread. */
bool grants_ready(Grants *g);
/* Another number whenever roles grant something else; never 0 once they are known. */
uint64_t grants_generation(const Grants *g);
/* None of an unknown role. Borrowed until the generation changes. */
typedef struct RoleGrants {
    const char *name;
    const char *const *permissions;
    size_t permission_count;
} RoleGrants;
RoleGrants grants_of_role(const Grants *g, const char *name);
/* All roles anew; copied. */
void grants_set(Grants *g, const RoleGrants *roles, size_t count);

/* The latest change of what a user holds: changes are numbered as they come. {0, 0} when none is remembered. When there
 * are too many to remember, it is as if everybody's had changed. */
typedef struct AccessChange {
    uint64_t number;
    int64_t at_unix_ms;
} AccessChange;
AccessChange grants_change_of(Grants *g, int64_t user_id);
void grants_note_change(Grants *g, int64_t user_id, int64_t at_unix_ms);
void grants_note_change_of_all(Grants *g, int64_t at_unix_ms);
