/* profiles: accounts as others see them, for services that keep a copy. */
#include "services/auth/events.h"
#include "services/auth/store_profiles.h"

enum { PROFILES_MAX = 100 };

Err auth_v1_get_profiles(Request *rq, const Auth__V1__GetProfilesRequest *in, Auth__V1__GetProfilesReply *out)
{
    ProfileRow *rows;
    size_t count;

    if (in->n_user_ids > PROFILES_MAX)
        return err_make(&INVALID_ARGUMENT, "user_ids: at most %d", PROFILES_MAX);
    TRY(auth_store_profiles(rq, in->user_ids, in->n_user_ids, &rows, &count));
    out->profiles = ARENA_ARRAY(rq->mem, Auth__V1__Profile *, count + 1);
    for (size_t i = 0; i < count; i++) {
        Auth__V1__Profile *p = MESSAGE_NEW(rq->mem, Auth__V1__Profile, auth__v1__profile__init);

        SET(p, user_id, rows[i].user_id);
        p->username = (char *)rows[i].username;
        p->display_name = (char *)rows[i].display_name;
        p->avatar_hash = (char *)rows[i].avatar_hash;
        p->created_at = timestamp(rq->mem, rows[i].created_us);
        p->updated_at = timestamp(rq->mem, rows[i].updated_us);
        out->profiles[i] = p;
    }
    out->n_profiles = count;
    return OK;
}
