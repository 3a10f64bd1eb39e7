/* socket_internal: what the parts of the live edge (socket*.c) share. See socket.h. */
#pragma once
#include "services/gateway/ring.h"
#include "services/gateway/socket.h"
#include "services/gateway/stream_reader.h"

enum {
    SOCKET_FRAME_OUT_MAX_BYTES = 16 * 1024 * 1024, /* of one frame to a client; RPC messages are at most 10 MiB */
    SOCKET_READ_TURN_BYTES = 64 * 1024,            /* of one client, before the others have their turn */
    SOCKET_WRITE_VECTORS = 64,
    SOCKET_WAITING_MAX = 16, /* messages that wait while the service is asked; then reading pauses. What was read by
                              * then (4 KiB) is still taken */
    SOCKET_REFUSED_MAX = 8,  /* answers to one question that go on from where the ring cannot; see ring_takes */
    SOCKET_RAW_FRAMES_FACTOR = 16, /* fragments, pings and pongs: so many times frames_per_minute */
    SOCKET_WINDOW_MS = 60000,
    SOCKET_STATE_MAX_BYTES = 4096,
    SOCKET_QUERY_MAX_BYTES = 4096,
    SOCKET_CLOSE_WAIT_MS = 5000, /* for the client's part of a close, and for what it still reads before */
    SOCKETS_LOOK_MS = 250,       /* ended logins, silence and deadlines are looked at so often */
    SOCKET_RETRY_FIRST_MS = 50,  /* doubled each time */
    SOCKET_RETRY_LAST_MS = 2000,
    SOCKET_RETRY_FOR_MS = 20000,   /* that the service is not there, before the connection is closed with 1013 */
    SOCKET_CLOSED_FOR_MS = 120000, /* the same of CLOSED, before it is forgotten */
    SOCKET_DRAIN_CLOSED_MS = 2000, /* the same while we stop */
    SOCKET_LEASE_EVERY_MS = 10000,
    SOCKET_LEASE_MS = 30000,
    SOCKET_ATTACHMENTS_MAX = 8,
    SOCKET_ATTACHMENT_ID_MAX_BYTES = 128,
    SOCKET_ATTACHMENT_TEXT_MAX_BYTES = 4096, /* before and after its messages */
    SOCKET_CREDIT_BYTES = 64 * 1024,         /* of an attached stream */
    SOCKET_REASON_MAX_BYTES = 123,           /* a control frame's 125, less the code */
    SOCKET_FRAMERS_IDLE_MAX = 16
};

typedef enum SocketPhase {
    SOCKET_OPEN,
    SOCKET_CLOSING, /* a close was decided on: what is queued still leaves, what comes is not looked at */
    SOCKET_GONE     /* without a descriptor: the service has to be told */
} SocketPhase;

/* Why connections end; labels of a metric. */
typedef enum SocketEnd {
    SOCKET_END_CLIENT,      /* it said so, or left */
    SOCKET_END_SERVICE,     /* its reply said so */
    SOCKET_END_PROTOCOL,    /* what came is no RFC 6455 */
    SOCKET_END_TOO_BIG,     /* max_frame_bytes */
    SOCKET_END_FLOOD,       /* frames_per_minute */
    SOCKET_END_SLOW,        /* queue_bytes */
    SOCKET_END_SILENT,      /* GATEWAY_SOCKET_SILENCE */
    SOCKET_END_REVOKED,     /* its login ended */
    SOCKET_END_UNAVAILABLE, /* the service could not be asked, or we have no memory for what it says */
    SOCKET_END_FAILED,      /* the service failed, or said what cannot be done */
    SOCKET_END_STREAM,      /* dispatches were lost (ring.h) */
    SOCKET_END_STOPPING,    /* SIGTERM */
    SOCKET_ENDS
} SocketEnd;

/* A message of a client. */
typedef struct SocketMessage {
    struct SocketMessage *next;
    uint32_t len, room;
    bool binary;
    char bytes[];
} SocketMessage;

/* wslay, with the buffers that it needs; only while a frame is half here does it belong to a connection. */
typedef struct SocketFramer SocketFramer;

typedef struct SocketOut {
    SharedFrame *frame;
    uint64_t position; /* of a dispatch; 0 of others */
    bool own;          /* counted in Sockets.held_bytes: nobody else has it */
} SocketOut;

typedef struct SocketAttachment SocketAttachment;
typedef struct SocketAsk SocketAsk;

/* An attached stream that has ended: to be told with the next request. */
typedef struct SocketEnded {
    struct SocketEnded *next;
    bool failed;
    char id[];
} SocketEnded;

/* What all connections of one rpc share, and its rows of metrics; lives as long as the gateway. */
typedef struct SocketGroup {
    struct SocketGroup *next;
    char *subject, *domain;
    uint32_t timeout_ms;
    size_t count;      /* connections, those included whose end the service has not been told */
    bool leasing;      /* a LEASE is under way */
    int64_t leased_ms; /* when the last one was sent; 0: never */
    Gauge *open, *asking, *attached;
    Counter *frames_in, *frames_out, *bytes_in, *bytes_out, *ends[SOCKET_ENDS];
} SocketGroup;

struct Socket {
    Sockets *all;
    Socket *prev, *next;             /* among all */
    Socket *dirty_prev, *dirty_next; /* among those that have something to do at the end of the turn */
    bool dirty, forgotten /* by the ring */;
    SocketPhase phase;
    int fd;
    uint32_t events; /* that epoll was asked for */
    int dialect;
    SocketGroup *group;
    Tables *tables;
    const Operation *op;
    const Profile *profile;
    TallyEntry *address;
    uint64_t number;
    char client[ADDRESS_TEXT_BYTES];
    RingSocket *ring;

    /* In: socket_io.c. */
    SocketFramer *framer;   /* NULL between frames */
    SocketMessage *message; /* half here */
    char *early;            /* came with the handshake */
    uint32_t early_at, early_len;
    bool blocked, deaf; /* the kernel takes no more; what comes cannot be read as frames any more */
    bool close_sent, close_received, half_closed;
    uint16_t close_code; /* for the service */
    SocketEnd end;
    int64_t heard_ms, pinged_ms, moved_ms /* of what waits for the client */, close_by_ms;
    int64_t window_ms; /* begin of the minute in which frames are counted */
    uint32_t window_messages, window_frames;
    SocketMessage *waiting, *waiting_last;
    size_t waiting_count;

    /* Out: socket_io.c. A ring of out_room places. */
    SocketOut *out;
    uint32_t out_room, out_first, out_count, out_sent /* of the first frame */;
    size_t out_bytes;
    uint64_t position; /* of the last dispatch that the kernel has taken */

    /* The service: socket_request.c. */
    SocketAsk *ask; /* under way */
    bool opened;    /* it was asked about OPEN, so it is to hear of CLOSED */
    bool open_answered, wake_due;
    char *state;
    uint32_t state_len;
    LoopTimer *wake;
    char *query;        /* until OPEN is answered */
    BusHeader *headers; /* that the rpc wanted; so long, too */
    size_t header_count;
    SocketAttachment *attachments;
    size_t attachment_count;
    SocketEnded *ended;

    /* Who: socket_login.c. */
    int64_t user_id;
    bool has_login;
    LoginKey login;
    char *login_id, *token; /* token: where a login cannot be asked about by itself */
};

struct Sockets {
    Gateway *g;
    Socket *list, *dirty;
    size_t count, open, limit;
    SocketGroup *groups;
    Tally addresses;
    SocketFramer *framers;
    size_t framer_count;
    LoopTimer *timer;
    Arena *mem; /* for the moment; whoever uses it empties it first */
    SharedFrame *ping;
    uint64_t next_number;
    int64_t held_bytes; /* of clients' messages, and of frames that wait for one client and no other */
    bool draining, flushing_posted;
    Counter *refused;
};

/* --- socket.c: life ------------------------------------------------------------------------------------------------
 */
/* A place for a connection whose handshake is about to be answered; NULL with a status when there are too many. */
Socket *socket_reserve(Exchange *x, int *out_status);
/* The handshake was answered: the descriptor is its own from here on. `early` was read behind the request. */
void socket_begin(Socket *s, int fd, Slice early);
/* Something is to be done with it at the end of the turn. */
void socket_touch(Socket *s);
/* Decides on a close with this code: nothing more is asked or written but what is queued, then the close frame. Nothing
 * when that was decided before. Never calls the ring. */
void socket_close(Socket *s, uint16_t code, Slice reason, SocketEnd why);
/* The end of the connection, however; nobody said why unless a close did. May free `s` at the end of the turn. */
void socket_gone(Socket *s, SocketEnd why);
bool socket_code_is_valid(uint32_t code);

/* --- socket_io.c: frames -------------------------------------------------------------------------------------------
 */
void socket_on_ready(void *data, uint32_t events);
void socket_read(Socket *s); /* what was read with the handshake, or had to wait */
void socket_flush(Socket *s);
void socket_watch(Socket *s); /* tells epoll what is wanted */
/* A frame that was made for this one alone: counts in GATEWAY_SOCKET_MEMORY while it waits; 1013 beyond. Otherwise as
 * socket_write_shared. */
bool socket_write_own(Socket *s, SharedFrame *frame);
void socket_queue_close(Socket *s, uint16_t code, Slice reason);
void socket_drop_out(Socket *s);
void socket_message_free(Sockets *all, SocketMessage *m);
void socket_io_done(Socket *s);
void socket_framers_free(Sockets *all);

/* --- socket_frame.c ------------------------------------------------------------------------------------------------
 */
/* Bytes as they are; control frames. */
SharedFrame *shared_frame_raw(Slice bytes);
SharedFrame *shared_frame_control(unsigned opcode, Slice payload);

/* --- socket_request.c: the service ---------------------------------------------------------------------------------
 */
/* Asks the service what is due, if it is not being asked. */
void socket_next(Socket *s);
void socket_request_done(Socket *s);
void socket_lease(Sockets *all, SocketGroup *group);
/* What every request of a connection says of itself: borrowed from all->mem. `caller` NULL: nobody. */
size_t socket_headers(Socket *s, const char *caller, int64_t timeout_ms, const TraceContext *trace, BusHeader *out,
                      size_t room);
enum { SOCKET_HEADERS_MAX = 16 };

/* --- socket_login.c: who it is -------------------------------------------------------------------------------------
 */
/* Binds it to the identity: from now on it speaks for this login, and ends with it. `token` is kept only where the
 * login cannot be asked about. */
void socket_bind(Socket *s, int64_t user_id, const char *login_id, bool keep_token, Slice token);
void socket_unbind(Socket *s);
/* Whose is it now? AUTH_GOOD with nobody's identity (user_id 0) before anybody was bound. */
AuthVerdict socket_identity(Socket *s, AuthDone done, Identity *out);
/* The rpc's rate class, which has counted the handshake by its address (or user), counts logins in frames by user. */
bool socket_may_log_in(Socket *s, const Identity *identity);
bool socket_is_revoked(const Socket *s);

/* --- socket_attach.c: streams for one connection -------------------------------------------------------------------
 */
/* `caller` is the Atrium-Caller of the request that asked for it; NULL nobody. */
void socket_attach(Socket *s, const Atrium__SocketAttach *attach, const char *caller);
void socket_detach(Socket *s, const char *id);
void socket_detach_all(Socket *s);
void socket_attachments_look(Socket *s);
/* What waited for the client has left. */
void socket_attachments_read(Socket *s);
