/* client: calls to other services over svc. subjects, through generated stubs (auth_v1_resolve_token_call …). Replies
 * come to a private inbox `_INBOX.<me>.<callee>.<instance>.<n>`. Blocking, from any thread; many calls may be in
 * flight. A request is never sent twice by itself, except when nobody was there to take it ("no responders"): then up
 * to CLIENT_TRIES times within the deadline. */
#pragma once
#include "shared/rpc.h"

enum { CLIENT_TRIES = 3, CLIENT_RETRY_PAUSE_MS = 50, CLIENT_STREAM_CREDIT_BYTES = 256 * 1024 };

Err client_new(Bus *bus, Metrics *metrics, Client **out) MUST_CHECK;
void client_free(Client *c);
CLEANUP_FN(Client, client_free)

typedef struct CallOptions {
    /* For whom: passes on caller, profile, address, request id, trace and what is left of the deadline. NULL: for the
     * service itself. */
    const Request *rq;
    int64_t timeout_ms;          /* 0: the rpc's own; never past rq's deadline */
    const char *idempotency_key; /* NULL none */
} CallOptions;

/* `out` is borrowed from `mem`. Errors keep the callee's reason where this program knows it, else the common one of the
 * same status. UNAVAILABLE: nobody there, or the bus is away, or it was lost while a request waited that may be
 * sent again (idempotency SAFE, or KEY with a key). DEADLINE_EXCEEDED: it may have run. */
Err client_call(Client *c, const CallOptions *options, Arena *mem, const RpcMethod *method, const ProtobufCMessage *in,
                ProtobufCMessage **out) MUST_CHECK;

/* Server-streaming: messages in order; a gap, a missed heartbeat or a lost producer is an error, never a short success.
 */
typedef struct ClientStream ClientStream;
Err client_stream_open(Client *c, const CallOptions *options, const RpcMethod *method, const ProtobufCMessage *in,
                       ClientStream **out) MUST_CHECK;
/* `*out` is NULL at the good end. */
Err client_stream_next(ClientStream *s, Arena *mem, ProtobufCMessage **out) MUST_CHECK;
void client_stream_close(ClientStream *s); /* cancels when not at its end; NULL is fine */
CLEANUP_FN(ClientStream, client_stream_close)
