/* bytes: a data plane by itself, for measuring: files of a store given out and taken in behind tickets, with all that
 * the platform does for them (ticket, digest, durable write) and without a database.
 *
 *   bytes FOLDER PORT: prints "get <ticket>" for each object named by a line of standard input, then "put <ticket>",
 * and serves GET /get/{ticket} and PUT /put/{ticket} until SIGTERM. */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/bytes.h"

enum { KEYS_MAX = 64, DRAIN_MS = 1000, TICKET_LIFE_MS = 86400000 };

typedef struct Bench {
    Blob *blob;
    TicketKeys *tickets;
    atomic_uint next;
} Bench;

static Err end_get(BytesExchange *x)
{
    const Bench *bench = bytes_request(x)->service;
    BlobReader *reader = NULL;
    Ticket ticket;

    TRY(bytes_take_ticket(x, bytes_variable(x, "ticket"), "get", &ticket));
    TRY(blob_reader_new(bench->blob, ticket.resource, &reader));
    return bytes_answer_blob(x, &reader, &(BytesContent){.content_type = "application/octet-stream"});
}

static Err begin_put(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    Bench *bench = (Bench *)(uintptr_t)rq->service;
    int64_t length = bytes_length(x);
    BlobWriter *writer = NULL;
    BlobPut put = {.length = length < 0 ? BLOB_UNKNOWN : (uint64_t)length};
    Ticket ticket;

    TRY(bytes_take_ticket(x, bytes_variable(x, "ticket"), "put", &ticket));
    bytes_limit_body(x, UINT64_MAX);
    put.key = arena_printf(rq->mem, "put/%u", atomic_fetch_add(&bench->next, 1) % KEYS_MAX);
    TRY(blob_writer_new(bench->blob, &put, &writer));
    bytes_set_state(x, writer);
    return OK;
}

static Err put_data(BytesExchange *x, Slice piece)
{
    return blob_writer_write(bytes_state(x), piece);
}

static Err end_put(BytesExchange *x)
{
    BlobInfo info;

    TRY(blob_writer_commit(bytes_state(x), &info));
    return bytes_answer_empty(x, 201);
}

static void put_done(BytesExchange *x)
{
    blob_writer_free(bytes_state(x));
}

static const BytesHandler GET = {.end = end_get},
                          PUT = {.begin = begin_put, .data = put_data, .end = end_put, .done = put_done};
static const BytesRow ROWS[] = {{"GET", "/get/{ticket}", "bench.v1.Get", RPC_ANYONE, "", 0, &GET},
                                {"PUT", "/put/{ticket}", "bench.v1.Put", RPC_ANYONE, "", 0, &PUT}};
static const BytesService SERVICE = {"bench", "bench", ROWS, ARRAY_LEN(ROWS)};

static Err print_ticket(const Bench *bench, Arena *mem, const char *kind, const char *resource)
{
    const Ticket ticket = {
        .kind = kind, .resource = resource, .expires_ms = clock_unix_ms(&SYSTEM_CLOCK) + TICKET_LIFE_MS};
    char *text;

    TRY(ticket_sign(bench->tickets, mem, &ticket, &text));
    printf("%s %s\n", kind, text);
    return OK;
}

static Err print_tickets(const Bench *bench, Arena *mem)
{
    char line[256];

    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        TRY(print_ticket(bench, mem, "get", line));
    }
    TRY(print_ticket(bench, mem, "put", ""));
    fflush(stdout);
    return OK;
}

static Err serve(const char *folder, const char *address, Arena *mem)
{
    static const BytesService *const SERVICES[] = {&SERVICE};
    const BytesSettings settings = {.public_url = "",
                                    .connections_max = 256,
                                    .head_timeout_ms = 15000,
                                    .idle_timeout_ms = 60000,
                                    .min_rate_bytes = 1,
                                    .step_timeout_ms = 30000};
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    CLEANUP(ticket_keys_free_at) TicketKeys *tickets = ticket_keys_random();
    CLEANUP(blob_close_at) Blob *blob = NULL;
    CLEANUP(bytes_listener_stop_at) BytesListener *listener = NULL;
    Bench bench = {.tickets = tickets};
    sigset_t set;
    int signal_number;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    TRY(blob_open(&(BlobOptions){.driver = "fs", .dir = folder}, &blob));
    bench.blob = blob;
    TRY(bytes_listener_start(&(BytesOptions){.address = address,
                                             .settings = &settings,
                                             .services = SERVICES,
                                             .service_count = 1,
                                             .context = &bench,
                                             .tickets = tickets,
                                             .clock = &SYSTEM_CLOCK,
                                             .metrics = metrics},
                             &listener));
    TRY(print_tickets(&bench, mem));
    (void)sigwait(&set, &signal_number); /* fails for a wrong set only */
    bytes_listener_drain(listener, DRAIN_MS);
    return OK;
}

/* bytes FOLDER put KEY FILE: fills the store. */
static Err fill(const char *folder, const char *key, const char *file)
{
    CLEANUP(blob_close_at) Blob *blob = NULL;
    BlobInfo info;

    TRY(blob_open(&(BlobOptions){.driver = "fs", .dir = folder}, &blob));
    return blob_put_file(blob, &(BlobPut){.key = key, .length = BLOB_UNKNOWN}, file, &info);
}

int main(int argc, char **argv)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Err e;

    if (argc == 5 && strcmp(argv[2], "put") == 0)
        e = fill(argv[1], argv[3], argv[4]);
    else if (argc == 3)
        e = serve(argv[1], arena_printf(mem, "127.0.0.1:%s", argv[2]), mem);
    else
        e = err_make(&INVALID_ARGUMENT, "bytes FOLDER PORT, or bytes FOLDER put KEY FILE");
    if (err_failed(e))
        fprintf(stderr, "bytes: %s\n", e.text);
    return err_failed(e) ? 1 : 0;
}
