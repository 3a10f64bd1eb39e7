/* erasure: accounts that go, with all that the platform has of them. */
#include "services/auth/erasure.h"

#include "atrium/auth/v1/admin.service.h"
#include "services/auth/accounts.h"
#include "services/auth/audit.h"
#include "services/auth/events.h"
#include "services/auth/pages.h"
#include "services/auth/second_factor.h"
#include "services/auth/store_erasure.h"

enum { DOMAINS_MAX = 64 };

/* Of ERASURE_DOMAINS; our own part is done at once. */
static size_t read_domains(const Auth *auth, Slice out[DOMAINS_MAX])
{
    Slice rest = slice(auth->settings->erasure_domains), word;
    size_t count = 0;

    while (rest.len && count < DOMAINS_MAX) {
        (void)slice_cut(rest, ',', &word, &rest); /* false is the last one */
        word = slice_trim(word);
        if (word.len && !slice_eq_cstr(word, "auth"))
            out[count++] = word;
    }
    return count;
}

/* In the transaction that has locked the account. */
static Err erase(Request *rq, DbTx *tx, const UserRow *user, ErasureRow *out)
{
    const Auth *auth = rq->service;
    int64_t id = user->account.id, rows;
    ErasureRow erasure = {.id = uuid_v7(auth->ids),
                          .user_id = id,
                          .requested_by = rq->caller.user_id == id ? 0 : rq->caller.user_id,
                          .requested_us = clock_unix_us(rq->clock)};
    Slice domains[DOMAINS_MAX];
    size_t count = read_domains(auth, domains);
    OutboxRow announce = user_deleted_event(rq->mem, auth->ids, id, erasure.id, erasure.requested_us);

    if (user->account.role == ROLE_ADMIN)
        TRY(access_keep_an_admin(tx, id));
    TRY(user_end_access(rq, tx, id, AUTH__V1__LOGIN_END__DELETED));
    TRY(audit_insert_user(tx, rq, AUDIT_USER_DELETED, id,
                          audit_detail(rq->mem, "erasure_id", uuid_text(rq->mem, erasure.id))));
    TRY(auth_store_erase(tx, &erasure, domains, count, &rows));
    TRY(outbox_insert(tx, &announce, false));
    if (count == 0)
        erasure.completed_us = erasure.requested_us;
    *out = erasure;
    return OK;
}

Err erasure_of_other(Request *rq, int64_t user_id)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    ErasureRow erasure;
    UserRow user;

    TRY(user_refuse_self(rq, user_id));
    TRY(user_enter(rq, &tx, user_id, &user));
    TRY(erase(rq, &tx, &user, &erasure));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- handlers */
static Err answer_erasure(Request *rq, Uuid id, Auth__V1__ErasureInfo *out)
{
    ErasureReportRow *rows;
    ErasureRow erasure;
    size_t count;

    TRY(auth_store_erasure(rq, id, &erasure, &rows, &count));
    if (uuid_is_nil(erasure.id))
        return err_make(&NOT_FOUND, "there is no such erasure");
    out->id = uuid_text(rq->mem, id);
    out->requested_at = timestamp(rq->mem, erasure.requested_us);
    out->completed_at = erasure.completed_us ? timestamp(rq->mem, erasure.completed_us) : NULL;
    out->reports = ARENA_ARRAY(rq->mem, Auth__V1__ErasureReport *, count + 1);
    out->waiting_for = ARENA_ARRAY(rq->mem, char *, count + 1);
    for (size_t i = 0; i < count; i++) {
        Auth__V1__ErasureReport *report;

        if (rows[i].reported_us == 0) {
            out->waiting_for[out->n_waiting_for++] = arena_strdup(rq->mem, rows[i].domain);
            continue;
        }
        report = MESSAGE_NEW(rq->mem, Auth__V1__ErasureReport, auth__v1__erasure_report__init);
        report->domain = arena_strdup(rq->mem, rows[i].domain);
        report->reported_at = timestamp(rq->mem, rows[i].reported_us);
        SET(report, rows, rows[i].rows);
        out->reports[out->n_reports++] = report;
    }
    return OK;
}

Err auth_v1_delete_me(Request *rq, const Auth__V1__DeleteMeRequest *in, Auth__V1__ErasureInfo *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    ErasureRow erasure;
    UserRow user;

    TRY(caller_prove(rq, in->password, in->code));
    TRY(user_enter(rq, &tx, rq->caller.user_id, &user));
    TRY(erase(rq, &tx, &user, &erasure));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    return answer_erasure(rq, erasure.id, out);
}

Err auth_v1_get_erasure(Request *rq, const Auth__V1__GetErasureRequest *in, Auth__V1__ErasureInfo *out)
{
    Uuid id;

    if (!uuid_parse(slice(in->erasure_id), &id))
        return err_make(&NOT_FOUND, "there is no such erasure");
    return answer_erasure(rq, id, out);
}

/* Each domain speaks for itself. */
Err auth_v1_report_erasure(Request *rq, const Auth__V1__ReportErasureRequest *in, Auth__V1__ReportErasureReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool found;
    Uuid id;
    (void)out;

    if (!uuid_parse(slice(in->erasure_id), &id) || !in->domain || !in->domain[0])
        return err_make(&INVALID_ARGUMENT, "erasure_id and domain are needed");
    if (strcmp(in->domain, rq->caller.service) != 0)
        return err_make(&PERMISSION_DENIED, "each domain reports for itself");
    TRY(db_tx_begin(rq, &tx));
    TRY(auth_store_report_erasure(&tx, id, in->domain, MAX(in->rows, 0), clock_unix_us(rq->clock), &found));
    if (!found)
        return err_make(&NOT_FOUND, "there is no such erasure");
    return db_tx_commit(&tx);
}
