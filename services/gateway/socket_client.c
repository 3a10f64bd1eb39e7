/* socket_fixture: the client, see socket_fixture.h. */
#include <sys/socket.h>
#include <unistd.h>

#include "services/gateway/socket_fixture.h"

int read_head(int fd, char *out, size_t room)
{
    size_t len = 0;

    while (!memmem(out, len, "\r\n\r\n", 4)) {
        assert_true(len + 1 < room);
        assert_int_equal(recv(fd, out + len, 1, 0), 1);
        len++;
    }
    out[len] = '\0';
    return (int)strtol(out + 9, NULL, 10);
}

int shake_hands(int fd, const char *target, const char *headers, char *head, size_t room)
{
    char text[4096];

    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: t\r\n%s\r\n", target, headers);
    send_bytes(fd, text, strlen(text));
    return read_head(fd, head, room);
}

int refused(const char *target, const char *headers, char *head, size_t room)
{
    int fd = open_connection(), status = shake_hands(fd, target, headers, head, room);

    close(fd);
    return status;
}

void send_frame(int fd, unsigned first, Slice payload)
{
    uint8_t bytes[14 + 66000] = {(uint8_t)first}, mask[4] = {0x12, 0x34, 0x56, 0x78};
    size_t at = 2;

    assert_true(payload.len <= 66000);
    if (payload.len < 126) {
        bytes[1] = (uint8_t)(0x80 | payload.len);
    } else if (payload.len <= UINT16_MAX) {
        bytes[1] = 0x80 | 126;
        bytes[at++] = (uint8_t)(payload.len >> 8);
        bytes[at++] = (uint8_t)payload.len;
    } else {
        bytes[1] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            bytes[at++] = (uint8_t)((uint64_t)payload.len >> shift);
    }
    memcpy(bytes + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < payload.len; i++)
        bytes[at + i] = (uint8_t)payload.ptr[i] ^ mask[i % 4];
    send_bytes(fd, bytes, at + payload.len);
}

void send_text(int fd, const char *text)
{
    send_frame(fd, 0x81, slice(text));
}

static void read_exactly(int fd, void *out, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, (char *)out + at, len - at, 0);

        assert_true(n > 0);
        at += (size_t)n;
    }
}

Frame got;

const Frame *read_frame(int fd)
{
    uint8_t head[2], more[8];
    size_t extra;

    read_exactly(fd, head, 2);
    assert_int_equal(head[0] & 0xf0, 0x80);
    assert_int_equal(head[1] & 0x80, 0); /* servers do not mask */
    got.opcode = head[0] & 0xfu;
    got.len = head[1];
    extra = head[1] == 126 ? 2 : head[1] == 127 ? 8 : 0;
    read_exactly(fd, more, extra);
    if (extra)
        got.len = 0;
    for (size_t i = 0; i < extra; i++)
        got.len = got.len << 8 | more[i];
    assert_true(got.len < FRAME_ROOM);
    read_exactly(fd, got.text, got.len);
    got.text[got.len] = '\0';
    return &got;
}

void expect_text(int fd, const char *text)
{
    const Frame *frame = read_frame(fd);

    assert_int_equal(frame->opcode, 1);
    assert_string_equal(frame->text, text);
}

void expect_close(int fd, int code)
{
    const Frame *frame = read_frame(fd);

    while (frame->opcode != 8)
        frame = read_frame(fd);
    assert_true(frame->len >= 2);
    assert_int_equal((uint8_t)frame->text[0] << 8 | (uint8_t)frame->text[1], code);
}

void expect_end(int fd)
{
    char byte;

    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

int open_socket(const char *target, const char *headers)
{
    char head[4096], all[2048];
    int fd = open_connection();

    snprintf(all, sizeof(all), UPGRADE "%s", headers);
    assert_int_equal(shake_hands(fd, target, all, head, sizeof(head)), 101);
    return fd;
}

int open_talk(void)
{
    int fd = open_socket("/talk", "");

    expect_text(fd, "hello - 0");
    return fd;
}

void close_with(int fd, int code)
{
    const char payload[] = {(char)(code >> 8), (char)code};
    int closed = atomic_load(&heard.closed);

    send_frame(fd, 0x88, slice_of(payload, sizeof(payload)));
    expect_close(fd, code);
    expect_end(fd);
    wait_until(&heard.closed, closed + 1);
    wait_for_code(code);
}
