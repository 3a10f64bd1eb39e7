/* persons: see persons.h. */
#include "services/chat/persons.h"

#include "atrium/auth/v1/auth.atrium.h"
#include "services/chat/store.h"
#include "shared/client.h"

enum { STATEMENT_MS = 10000 };

Chat__V1__User *persons_read(Arena *mem, const DbRows *rows, int row, int first)
{
    Chat__V1__User *user;

    if (db_is_null(rows, row, first))
        return NULL;
    user = MESSAGE_NEW(mem, Chat__V1__User, chat__v1__user__init);
    SET(user, id, db_get_int64(rows, row, first));
    user->username = db_get_cstr(mem, rows, row, first + 1);
    user->display_name = db_get_cstr(mem, rows, row, first + 2);
    user->avatar_hash = db_get_cstr_or_null(mem, rows, row, first + 3);
    user->created_at = chat_time(mem, db_get_time_us(rows, row, first + 4));
    return user;
}

static int64_t unix_us(const Google__Protobuf__Timestamp *t)
{
    return t ? t->seconds * 1000000 + t->nanos / 1000 : 0;
}

/* What comes late changes nothing. */
static const char PUT_PERSON[] =
    "INSERT INTO person (user_id, username, display_name, avatar_hash, created_at, updated_at)"
    " VALUES ($1, $2, $3, $4, $5, $6)"
    " ON CONFLICT (user_id) DO UPDATE SET username = excluded.username, display_name = excluded.display_name,"
    "  avatar_hash = excluded.avatar_hash, updated_at = excluded.updated_at"
    " WHERE person.updated_at < excluded.updated_at";

/* In the order of their ids, so that two of these never wait for each other. */
static Err put(DbTx *tx, const Auth__V1__GetProfilesReply *reply)
{
    for (size_t i = 0; i < reply->n_profiles; i++) {
        const Auth__V1__Profile *p = reply->profiles[i];

        TRY(db_exec(tx, PUT_PERSON,
                    DB_ARGS(db_int64(p->user_id), db_text(slice(p->username)), db_text(slice(p->display_name)),
                            db_text_or_null(p->avatar_hash), db_time_us(unix_us(p->created_at)),
                            db_time_us(unix_us(p->updated_at)))));
    }
    return OK;
}

static Err ask_auth(Client *client, Arena *mem, int64_t *ids, size_t count, Auth__V1__GetProfilesReply **out)
{
    Auth__V1__GetProfilesRequest in = AUTH__V1__GET_PROFILES_REQUEST__INIT;

    in.user_ids = ids;
    in.n_user_ids = count;
    return err_wrap(auth_v1_get_profiles_call(client, NULL, mem, &in, out), "ask for profiles");
}

static const char MISSING_PERSONS[] = "SELECT w.id FROM unnest($1::bigint[]) AS w (id)"
                                      " WHERE NOT EXISTS (SELECT FROM person p WHERE p.user_id = w.id)"
                                      " GROUP BY w.id ORDER BY w.id";

Err persons_require(Request *rq, const int64_t *ids, size_t count, const char *missing)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    CLEANUP(db_tx_done) DbTx tx = {0};
    Auth__V1__GetProfilesReply *reply;
    int64_t *wanted;

    TRY(db_read(rq, MISSING_PERSONS, DB_ARGS(db_int64_array(ids, count)), &rows));
    if (rows.count == 0)
        return OK;
    if (!rq->client || rows.count > PERSONS_AT_ONCE_MAX)
        return err_make(&NOT_FOUND, "%s", missing);
    wanted = ARENA_ARRAY(rq->mem, int64_t, rows.count);
    for (int i = 0; i < rows.count; i++)
        wanted[i] = db_get_int64(&rows, i, 0);
    TRY(ask_auth(rq->client, rq->mem, wanted, (size_t)rows.count, &reply));
    if (reply->n_profiles < (size_t)rows.count)
        return err_make(&NOT_FOUND, "%s", missing);
    TRY(db_tx_begin(rq, &tx));
    TRY(put(&tx, reply));
    return db_tx_commit(&tx);
}

/* Also of those who are not in the copy: who is asked for at this moment would otherwise come in as he was. */
Err persons_take_event(void *context, Arena *mem, const Event *event)
{
    const PersonEvents *events = context;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Auth__V1__GetProfilesReply *reply;
    int64_t user_id;

    if (!slice_to_int64(slice(event->key), &user_id))
        return err_make(&INVALID_BODY, "%.40s: no user id", event->key);
    TRY(ask_auth(events->client, mem, &user_id, 1, &reply));
    TRY(db_tx_begin_with(events->db, STATEMENT_MS, &tx));
    TRY(put(&tx, reply));
    return db_tx_commit(&tx);
}
