/* bus_slot: which deployment slot is the active one. A thread asks once a second, so that nobody ever waits for it; it
 * is started by the first who wants to know. The one right that it needs is to publish to
 * $JS.API.STREAM.MSG.GET.KV_atrium. (A direct get would be cheaper, but of a bucket that is not there nobody answers
 * it.) */
#include "atrium/reasons.atrium.h"
#include "shared/bus_internal.h"

enum { SLOT_PERIOD_MS = 1000, SLOT_TIMEOUT_MS = 900 };

void bus_slot_init(Bus *bus)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&bus->slot_watch.wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* A deleted key is a message with an operation, and without a body. */
static bool message_says_active(const Bus *bus, natsMsg *msg)
{
    Slice value = slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));

    if (bus_header(msg, "KV-Operation") || value.len == 0)
        return true;
    return slice_eq_cstr(slice_trim(value), bus->slot);
}

/* False when there is no answer: then what was known stays. */
static bool ask(Bus *bus, bool *out_active)
{
    jsOptions options;
    jsErrCode code = 0;
    natsMsg *msg = NULL;
    natsStatus s;

    jsOptions_Init(&options);
    options.Wait = SLOT_TIMEOUT_MS;
    s = js_GetLastMsg(&msg, bus_jetstream(bus), "KV_atrium", "$KV.atrium.slot", &options, &code);
    if (s == NATS_OK)
        *out_active = message_says_active(bus, msg);
    else if (s == NATS_NOT_FOUND || s == NATS_NO_RESPONDERS || code == JSStreamNotFoundErr ||
             code == JSNoMessageFoundErr || code == JSNotEnabledErr || code == JSNotEnabledForAccountErr)
        *out_active = true; /* no bucket, no key, no JetStream: there are no slots */
    else
        return false;
    natsMsg_Destroy(msg);
    return true;
}

static void *watch(void *data)
{
    Bus *bus = data;
    BusSlot *slot = &bus->slot_watch;

    for (;;) {
        struct timespec until;
        bool active;

        if (bus_connected(bus) && !atomic_load(&slot->denied) && ask(bus, &active) &&
            active != atomic_exchange(&slot->active, active))
            LOG_INFO(bus->log, "slot", "slot", bus->slot, "active", active);
        if (atomic_load(&slot->denied))
            atomic_store(&slot->active, true);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += SLOT_PERIOD_MS / 1000;
        pthread_mutex_lock(&bus->lock);
        while (!slot->stop && pthread_cond_timedwait(&slot->wake, &bus->lock, &until) == 0)
            ;
        if (slot->stop) {
            pthread_mutex_unlock(&bus->lock);
            return NULL;
        }
        pthread_mutex_unlock(&bus->lock);
    }
}

bool bus_slot_active(Bus *bus)
{
    BusSlot *slot = &bus->slot_watch;

    if (atomic_load(&slot->active))
        return true;
    pthread_mutex_lock(&bus->lock);
    if (!slot->started && !slot->stop)
        slot->started = pthread_create(&slot->thread, NULL, watch, bus) == 0;
    pthread_mutex_unlock(&bus->lock);
    return atomic_load(&slot->active);
}

void bus_slot_done(Bus *bus)
{
    BusSlot *slot = &bus->slot_watch;
    bool started;

    pthread_mutex_lock(&bus->lock);
    slot->stop = true;
    started = slot->started;
    pthread_cond_broadcast(&slot->wake);
    pthread_mutex_unlock(&bus->lock);
    if (started)
        pthread_join(slot->thread, NULL);
}
