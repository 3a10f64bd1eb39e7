#include "services/media/content.h"

#include <fcntl.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/sha256.h"

static Err read_reader(void *data, char *into, size_t len, size_t *out_len)
{
    return blob_reader_read(data, into, len, out_len);
}

static void close_reader(void *data)
{
    blob_reader_free(data);
}

/* The reader goes over to the listener; what it has of a file is its own. */
static Err open_source(Request *rq, void *data, uint64_t offset, uint64_t length, BytesSource *out)
{
    BlobReader **kept = data, *reader = *kept;
    int fd = blob_reader_fd(reader);

    (void)rq;
    if (fd >= 0) {
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return err_errno(&UNAVAILABLE, "open a file once more");
        *out = (BytesSource){.fd = fd, .fd_offset = offset};
        return OK;
    }
    TRY(blob_reader_range(reader, offset, length));
    *kept = NULL;
    *out = (BytesSource){.fd = -1, .read = read_reader, .close = close_reader, .data = reader};
    return OK;
}

Err content_answer(BytesExchange *x, Blob *blob, const char *key, const ContentLook *look)
{
    BlobReader *reader = NULL;
    const BlobInfo *info;
    Err e;

    TRY(blob_reader_new(blob, key, &reader));
    info = blob_reader_info(reader);
    e = bytes_answer_content(x, &(BytesContent){
                                    .size = (int64_t)info->size_bytes,
                                    .open = open_source,
                                    .data = &reader,
                                    .content_type = look->content_type
                                                        ? look->content_type
                                                        : arena_strdup(bytes_request(x)->mem, info->content_type),
                                    .etag = arena_strdup(bytes_request(x)->mem, info->etag),
                                    .modified_ms = info->modified_ms,
                                    .cache_control = look->cache_control,
                                    .disposition = look->disposition,
                                });
    blob_reader_free(reader); /* NULL when the listener has it */
    return e;
}

static Err read_text(void *data, char *into, size_t len, size_t *out_len)
{
    Slice *rest = data;

    *out_len = MIN(len, rest->len);
    memcpy(into, rest->ptr, *out_len);
    *rest = slice_skip(*rest, *out_len);
    return OK;
}

static Err open_text(Request *rq, void *data, uint64_t offset, uint64_t length, BytesSource *out)
{
    Slice *text = ARENA_NEW(rq->mem, Slice);

    *text = slice_take(slice_skip(*(const Slice *)data, offset), length);
    *out = (BytesSource){.fd = -1, .read = read_text, .data = text};
    return OK;
}

Err content_answer_text(BytesExchange *x, Slice text, const ContentLook *look)
{
    char *etag = arena_alloc(bytes_request(x)->mem, SHA256_HEX_BYTES, 1);

    sha256_hex_of(text, etag);
    return bytes_answer_content(x, &(BytesContent){.size = (int64_t)text.len,
                                                   .open = open_text,
                                                   .data = &text,
                                                   .content_type = look->content_type,
                                                   .etag = etag,
                                                   .cache_control = look->cache_control,
                                                   .disposition = look->disposition});
}
