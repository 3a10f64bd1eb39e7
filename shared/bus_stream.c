/* bus_stream: looking for a stream, making it, changing it. */
#include "shared/bus.h"

#include "atrium/reasons.atrium.h"

/* --- what is there, and what is wanted ----------------------------------------------------------------------------
 */
/* `out` is NULL when there is no such stream; else the caller's, by jsStreamInfo_Destroy. */
static Err ask(Bus *bus, const char *name, jsStreamInfo **out)
{
    jsErrCode code = 0;
    natsStatus s;

    *out = NULL;
    s = js_GetStreamInfo(out, bus_jetstream(bus), name, NULL, &code);
    if (s == NATS_NOT_FOUND || code == JSStreamNotFoundErr)
        return OK;
    return bus_err(s, "ask for the stream");
}

static bool takes(const jsStreamConfig *have, const char *subject)
{
    for (int i = 0; i < have->SubjectsLen; i++)
        if (strcmp(have->Subjects[i], subject) == 0)
            return true;
    return false;
}

/* What publishers and consumers rely on: a release may run beside the streams of the next one. */
static bool serves(const jsStreamConfig *have, const jsStreamConfig *wanted)
{
    if (have->Retention != wanted->Retention)
        return false;
    for (int i = 0; i < wanted->SubjectsLen; i++)
        if (!takes(have, wanted->Subjects[i]))
            return false;
    return true;
}

/* "No limit" is -1 when the server tells it, and 0 or -1 when we ask for it. */
static bool same_limit(int64_t a, int64_t b)
{
    return a == b || (a <= 0 && b <= 0);
}

static bool same(const jsStreamConfig *have, const jsStreamConfig *wanted)
{
    return serves(have, wanted) && have->SubjectsLen == wanted->SubjectsLen && have->Storage == wanted->Storage &&
           have->MaxAge == wanted->MaxAge && same_limit(have->MaxBytes, wanted->MaxBytes) &&
           have->Duplicates == wanted->Duplicates && have->AllowDirect == wanted->AllowDirect &&
           have->SourcesLen == 0 && !have->RePublish;
}

/* --- making ------------------------------------------------------------------------------------------------------ */
static Err refused(natsStatus s, const char *name)
{
    if (s == NATS_ERR || s == NATS_INVALID_ARG) /* the server's own words say what it dislikes */
        return err_make(&INTERNAL, "stream %s: %s", name, nats_GetLastError(NULL));
    return err_wrap(bus_err(s, name), "stream");
}

static natsStatus make_or_change(Bus *bus, jsStreamConfig *wanted)
{
    natsStatus s = NATS_OK;

    /* Between "not found" and the making of it another instance may be first: then it is there to be updated. */
    for (int tries = 0; tries < 3; tries++) {
        jsErrCode code = 0;

        s = js_AddStream(NULL, bus_jetstream(bus), wanted, NULL, &code);
        if (s == NATS_OK || code != JSStreamNameExistErr)
            break;
        s = js_UpdateStream(NULL, bus_jetstream(bus), wanted, NULL, &code);
        if (s == NATS_OK || code != JSStreamNotFoundErr)
            break;
    }
    return s;
}

/* `good` tells whether what is there may stay. */
static Err set_up(Bus *bus, const jsStreamConfig *config, bool (*good)(const jsStreamConfig *, const jsStreamConfig *),
                  bool *out_changed)
{
    jsStreamConfig wanted = *config; /* cnats asks for one that is not const, and does not change it */
    jsStreamInfo *info;
    natsStatus s = NATS_OK;
    bool fits;

    TRY(err_wrap(ask(bus, config->Name, &info), config->Name));
    fits = info && good(info->Config, config);
    if (!fits) {
        if (info) { /* what somebody decided by hand for his cluster stays */
            wanted.Replicas = info->Config->Replicas;
            wanted.Placement = info->Config->Placement;
        }
        s = make_or_change(bus, &wanted);
    }
    jsStreamInfo_Destroy(info);
    if (s != NATS_OK)
        return refused(s, config->Name);
    *out_changed = !fits;
    return OK;
}

Err bus_set_up_stream(Bus *bus, const jsStreamConfig *config, bool *out_changed)
{
    return set_up(bus, config, same, out_changed);
}

Err bus_ensure_stream(Bus *bus, const jsStreamConfig *config)
{
    bool changed;

    return set_up(bus, config, serves, &changed);
}
