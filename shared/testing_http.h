/* testing_http: a small HTTP server for tests of things that call out. One thread, one connection at a time, each
 * request handed to the test's `answer`, which writes what it likes to the connection; then it is closed. */
#pragma once
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/slice.h"
#include "shared/testing.h"

enum { HTTP_STUB_MAX_BYTES = 1 << 20 };

typedef struct HttpStub HttpStub;
struct HttpStub {
    /* `number` counts requests from 1; `head` is request line and headers. Runs on the stub's thread. */
    void (*answer)(HttpStub *stub, int number, Slice head, Slice body, int connection);
    void *data; /* the test's */
    int port;
    atomic_int requests;
    int listener;
    pthread_t thread;
};

static inline void http_stub_write(int connection, const char *text)
{
    for (Slice left = slice(text); left.len;) {
        ssize_t sent = send(connection, left.ptr, left.len, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the client has gone: it knows why */
        left = slice_skip(left, (size_t)sent);
    }
}

/* Keeps the client waiting until it gives up. */
static inline void http_stub_hang(int connection)
{
    char byte;

    while (recv(connection, &byte, 1, 0) > 0)
        ;
}

static inline size_t http_stub_content_length(Slice head)
{
    Slice line;
    bool more = true;

    while (more) {
        Slice name, value;
        int64_t len;
        more = slice_cut(head, '\n', &line, &head);
        if (slice_cut(line, ':', &name, &value) && slice_eq_nocase(name, SLICE_LIT("content-length")) &&
            slice_to_int64(slice_trim(value), &len))
            return (size_t)len;
    }
    return 0;
}

static inline void http_stub_serve(HttpStub *stub, int connection)
{
    char *bytes = xmalloc(HTTP_STUB_MAX_BYTES);
    size_t len = 0, head_len = 0, wanted = 0;

    while (!head_len || len < wanted) {
        ssize_t got = len < HTTP_STUB_MAX_BYTES ? recv(connection, bytes + len, HTTP_STUB_MAX_BYTES - len, 0) : 0;
        ptrdiff_t end;
        if (got <= 0)
            break;
        len += (size_t)got;
        end = slice_find(slice_of(bytes, len), SLICE_LIT("\r\n\r\n"));
        if (!head_len && end >= 0) {
            head_len = (size_t)end + 4;
            wanted = head_len + http_stub_content_length(slice_of(bytes, head_len));
        }
    }
    if (head_len && len >= wanted)
        stub->answer(stub, atomic_fetch_add(&stub->requests, 1) + 1, slice_of(bytes, head_len),
                     slice_of(bytes + head_len, len - head_len), connection);
    free(bytes);
}

static inline void *http_stub_run(void *data)
{
    HttpStub *stub = data;
    int connection;

    while ((connection = accept(stub->listener, NULL, NULL)) >= 0) {
        http_stub_serve(stub, connection);
        (void)shutdown(connection, SHUT_RDWR);
        (void)close(connection);
    }
    return NULL;
}

/* `stub->answer` is set; listens on a free port of 127.0.0.1. */
static inline void http_stub_start(HttpStub *stub)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    atomic_init(&stub->requests, 0);
    stub->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(stub->listener >= 0);
    assert_int_equal(bind(stub->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(stub->listener, 16), 0);
    assert_int_equal(getsockname(stub->listener, (struct sockaddr *)&address, &len), 0);
    stub->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&stub->thread, NULL, http_stub_run, stub), 0);
}

static inline void http_stub_stop(HttpStub *stub)
{
    (void)shutdown(stub->listener, SHUT_RDWR); /* accept returns */
    assert_int_equal(pthread_join(stub->thread, NULL), 0);
    (void)close(stub->listener);
}
