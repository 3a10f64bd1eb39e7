/* bus: one connection to NATS, and the names of the platform on it (DESIGN section 3). This is the only module that
 * knows how cnats connects; rpc.h, client.h, outbox.h, jobs.h and discovery.h stand on it.
 *
 * All publishing here is checked: while disconnected it fails with UNAVAILABLE at once instead of being buffered and
 * run later. A permission denied by the server during start is fatal: it is logged with the subject and the process
 * exits; later it is logged and counted. Thread-safe. */
#pragma once
#include <nats/nats.h>

#include "shared/err.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/slice.h"

typedef struct Bus Bus;

typedef struct BusOptions {
    const char *url;      /* nats://host:port[,…], tls:// for TLS */
    const char *user;     /* also the service's name on the bus: "auth" */
    const char *password; /* may be "" */
    const char *ca_file;  /* may be "": the system's */
    const char *slot;     /* "main" */
    const char *version;  /* SemVer, for discovery */
    Log *log;
    Loop *loop; /* where I/O runs; NULL starts a loop thread of the bus's own */
    bool threaded; /* plain cnats threads instead of a loop: for JetStream beside a busy loop */
    /* From the I/O thread, may be NULL. */
    void (*on_connection)(void *data, bool connected);
    void *data;
} BusOptions;

/* Tries until the server answers or `timeout_ms` is over; then reconnects for ever by itself. */
Err bus_connect(const BusOptions *options, int64_t timeout_ms, Bus **out) MUST_CHECK;
/* Flushes what was published, then closes. */
void bus_close(Bus *bus);
CLEANUP_FN(Bus, bus_close)

bool bus_connected(const Bus *bus);
const char *bus_name(const Bus *bus);     /* "auth" */
const char *bus_slot(const Bus *bus);
const char *bus_instance(const Bus *bus); /* unique per process, a NUID; also the service id of discovery */
Log *bus_log(const Bus *bus);
/* Ends the start-up phase: from here on a denial is not fatal. Waits for the server to have seen all subscriptions. */
Err bus_started(Bus *bus) MUST_CHECK;
/* Denials since the start, for tests and metrics. */
uint64_t bus_denials(const Bus *bus);

natsConnection *bus_nats(Bus *bus); /* borrowed */
jsCtx *bus_jetstream(Bus *bus);     /* borrowed */

typedef struct BusHeader {
    const char *name, *value;
} BusHeader;
/* `reply` and `headers` may be NULL. */
Err bus_publish(Bus *bus, const char *subject, const char *reply, const BusHeader *headers, size_t header_count,
                Slice body) MUST_CHECK;
/* Borrowed from the message; NULL when absent. Exact case. */
const char *bus_header(natsMsg *msg, const char *name);
/* "rpc.main.auth.v1.Login" and "svc.main.chat.auth.v1.Login". */
char *bus_rpc_subject(Arena *mem, const Bus *bus, const char *domain, const char *version, const char *method);
char *bus_svc_subject(Arena *mem, const Bus *bus, const char *domain, const char *version, const char *method);

/* Maps cnats' status; `what` is the step. */
Err bus_err(natsStatus status, const char *what);

/* True when this slot is the active one (KV bucket "atrium", key "slot"; unset means every slot). Cached, follows
 * changes within a second. Consumers, relays and schedulers ask before they work. */
bool bus_slot_active(Bus *bus);

/* Creates or updates a stream to what is asked (subjects, age, size, replicas); safe from several instances. */
Err bus_ensure_stream(Bus *bus, const jsStreamConfig *config) MUST_CHECK;
