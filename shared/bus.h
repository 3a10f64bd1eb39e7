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
    /* Where I/O runs; NULL starts a loop thread of the bus's own. With a loop of the caller's, what waits for an answer
     * (bus_jetstream, bus_ensure_stream, bus_slot_active) must not be called from that loop's thread. */
    Loop *loop;
    bool threaded; /* plain cnats threads instead of a loop: for JetStream beside a busy loop */
    /* Lost and found again. From the loop's thread; from a thread of cnats when threaded. May be NULL. */
    void (*on_connection)(void *data, bool connected);
    void *data;
} BusOptions;

/* Tries until the server answers or `timeout_ms` is over; then reconnects for ever by itself. UNAUTHENTICATED, at once,
 * when the credential is wrong; should it become so later, the process exits: nothing here could mend that. */
Err bus_connect(const BusOptions *options, int64_t timeout_ms, Bus **out) MUST_CHECK;
/* Flushes what was published, then closes. With a loop of the caller's: from its thread, or when it does not run.
 * Subscriptions are destroyed before. */
void bus_close(Bus *bus);
CLEANUP_FN(Bus, bus_close)

bool bus_connected(const Bus *bus);
/* How often the connection was lost so far. What was asked before the latest loss is answered no more: the server
 * forgot who asked. */
uint64_t bus_losses(const Bus *bus);
const char *bus_name(const Bus *bus); /* "auth" */
const char *bus_slot(const Bus *bus);
const char *bus_instance(const Bus *bus); /* unique per process, a NUID; also the service id of discovery */
Log *bus_log(const Bus *bus);
/* Ends the start-up phase: from here on a denial is not fatal. Waits for the server to have seen all subscriptions;
 * with a loop of the caller's: before it runs, or from its thread. */
Err bus_started(Bus *bus) MUST_CHECK;
/* Denials since the start, for tests and metrics. */
uint64_t bus_denials(const Bus *bus);

natsConnection *bus_nats(Bus *bus); /* borrowed */
Loop *bus_io_loop(Bus *bus);        /* borrowed; NULL when threaded */
jsCtx *bus_jetstream(Bus *bus);     /* borrowed */

typedef struct BusHeader {
    const char *name, *value;
} BusHeader;
/* `reply` and `headers` may be NULL; a header with a NULL value is left out. Header values are one line. */
Err bus_publish(Bus *bus, const char *subject, const char *reply, const BusHeader *headers, size_t header_count,
                Slice body) MUST_CHECK;
/* The same where a loss is as good as an answer that nobody waited for: heartbeats, answers to those who time out. */
void bus_publish_lossy(Bus *bus, const char *subject, const BusHeader *headers, size_t header_count, Slice body);
/* natsMsg_Destroy, later and together with others: for messages that come by the thousand. NULL is fine. */
void bus_discard(Bus *bus, natsMsg *msg);
/* Borrowed from the message; NULL when absent. Exact case. */
const char *bus_header(natsMsg *msg, const char *name);
/* "rpc.main.auth.v1.Login" and "svc.main.chat.auth.v1.Login". */
char *bus_rpc_subject(Arena *mem, const Bus *bus, const char *domain, const char *version, const char *method);
char *bus_svc_subject(Arena *mem, const Bus *bus, const char *domain, const char *version, const char *method);

/* Maps cnats' status; `what` is the step. */
Err bus_err(natsStatus status, const char *what);

/* True when this slot is the active one (KV bucket "atrium", key "slot"; unset means every slot). Cached, follows
 * changes within a second. Consumers, relays and schedulers ask before they work. Never blocks: the first call starts
 * the asking in the background, and until there is an answer it is false. */
bool bus_slot_active(Bus *bus);

/* Looks for a stream; makes it, or changes it, only where it is missing or takes other subjects or in another manner
 * (how much it keeps may differ). Safe from several instances. Services use streams.h. */
Err bus_ensure_stream(Bus *bus, const jsStreamConfig *config) MUST_CHECK;
/* For the operator: the same, but everything that is asked for becomes so. Replicas and placement stay as they are. */
Err bus_set_up_stream(Bus *bus, const jsStreamConfig *config, bool *out_changed) MUST_CHECK;

/* --- for rpc.c, client.c and the like ---------------------------------------------------------------------------- */
/* Longest subject that we publish or subscribe to. */
enum { BUS_SUBJECT_MAX_BYTES = 256 };
/* A new unique name, 22 letters and digits: part of an inbox, a message id. */
#define BUS_NUID_BYTES 23
void bus_nuid(char out[BUS_NUID_BYTES]);
/* Async callbacks of all subscriptions run in one delivery thread unless the bus is threaded: they must not block. Ends
 * the subscription and returns when its callback runs no more. NULL is fine. Not from a callback. */
void bus_unsubscribe(natsSubscription *sub);
/* First in an async callback: waits while the loop is still reading. cnats hands each message over by a lock and a
 * signal; a delivery thread that takes them one by one as they are parsed costs both threads two switches a message,
 * one that waits finds them all there. */
void bus_batch(Bus *bus);
