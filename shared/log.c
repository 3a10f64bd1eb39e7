#include "shared/log.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/strbuf.h"

/* A line is at most PIPE_BUF (4096), so that lines of processes that share a pipe do not mix; a value is cut, so that
 * one long value does not push out the others. */
enum { LOG_LINE_MAX_BYTES = 4096, LOG_VALUE_MAX_BYTES = 1024 };

struct Log {
    char *service, *version;
    _Atomic int level;
    bool text;
    int fd;
};

static _Thread_local LogContext context;

Log *log_new(const LogOptions *options)
{
    Log *log = xcalloc(1, sizeof(*log));

    log->service = xstrdup(options->service ? options->service : "");
    log->version = xstrdup(options->version ? options->version : "");
    atomic_init(&log->level, (int)options->level);
    log->fd = options->fd;
    log->text = options->format == LOG_FORMAT_TEXT || (options->format == LOG_FORMAT_AUTO && isatty(options->fd));
    return log;
}

void log_free(Log *log)
{
    if (!log)
        return;
    free(log->service);
    free(log->version);
    free(log);
}

void log_set_level(Log *log, LogLevel level)
{
    if (log)
        atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

bool log_enabled(const Log *log, LogLevel level)
{
    return log && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

void log_set_context(const char *request_id, const char *trace_id, const char *rpc)
{
    context.request_id = request_id;
    context.trace_id = trace_id;
    context.rpc = rpc;
}

void log_save_context(LogContext *out)
{
    *out = context;
}

void log_restore_context(const LogContext *saved)
{
    context = *saved;
}

static const char *level_name(LogLevel level)
{
    static const char *const NAMES[] = {"debug", "info", "warn", "error"};

    return NAMES[level];
}

/* ---------------------------------------------------------------------------------------------------- values */

static bool is_bare(Slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return s.len > 0;
}

/* On a terminal plain words stand bare; all else is quoted as in JSON, so that no value can write control codes. */
static void append_text(StrBuf *b, Slice s, bool text_format)
{
    Slice cut = utf8_take(s, LOG_VALUE_MAX_BYTES);
    char with_mark[LOG_VALUE_MAX_BYTES + 4];

    if (cut.len < s.len) {
        StrBuf marked = strbuf_over(with_mark, sizeof(with_mark));
        strbuf_append(&marked, cut);
        strbuf_append_cstr(&marked, "…");
        cut = strbuf_slice(&marked);
    }
    if (text_format && is_bare(cut))
        strbuf_append(b, cut);
    else
        strbuf_append_json(b, cut);
}

static void append_value(StrBuf *b, const LogValue *v, bool text_format)
{
    switch (v->kind) {
    case LOG_INT:
        strbuf_append_int64(b, v->i);
        break;
    case LOG_UINT:
        strbuf_append_uint64(b, v->u);
        break;
    case LOG_DOUBLE:
        if (isfinite(v->d))
            strbuf_printf(b, "%.9g", v->d);
        else
            strbuf_append_cstr(b, "null"); /* JSON has no word for it */
        break;
    case LOG_BOOL:
        strbuf_append_cstr(b, v->b ? "true" : "false");
        break;
    case LOG_TEXT:
        if (v->text)
            append_text(b, slice(v->text), text_format);
        else
            strbuf_append_cstr(b, "null");
        break;
    case LOG_SLICE:
        append_text(b, v->slice, text_format);
        break;
    }
}

/* ---------------------------------------------------------------------------------------------------- lines */

typedef struct Line {
    StrBuf buf;
    bool text, cut;
} Line;

/* A field that does not fit is left out whole: what is written stays valid JSON. */
static void append_field(Line *line, const char *name, const LogValue *value)
{
    size_t before = line->buf.len;

    if (line->text) {
        strbuf_append_char(&line->buf, ' ');
        strbuf_append_cstr(&line->buf, name);
        strbuf_append_char(&line->buf, '=');
    } else {
        strbuf_append_char(&line->buf, ',');
        strbuf_append_json(&line->buf, slice(name));
        strbuf_append_char(&line->buf, ':');
    }
    append_value(&line->buf, value, line->text);
    if (line->buf.overflow) {
        strbuf_truncate(&line->buf, before);
        line->buf.overflow = false;
        line->cut = true;
    }
}

static void append_text_field(Line *line, const char *name, const char *value)
{
    LogValue v = log_text(value);

    if (value && value[0])
        append_field(line, name, &v);
}

static void begin_text(Line *line, const Log *log, LogLevel level, const char *event, const char *time_text)
{
    static const char *const NAMES[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};

    strbuf_printf(&line->buf, "%.12s %s %s %s", time_text + sizeof("2026-01-01T") - 1, NAMES[level], log->service,
                  event);
}

static void begin_json(Line *line, const Log *log, LogLevel level, const char *event, const char *time_text)
{
    strbuf_printf(&line->buf, "{\"time\":\"%s\",\"level\":\"%s\"", time_text, level_name(level));
    append_text_field(line, "msg", event);
    append_text_field(line, "service", log->service);
    append_text_field(line, "version", log->version);
}

/* One write() for the line; what a signal or a full pipe leaves over goes after it. A log that cannot be written is
 * no reason to stop, and there is nobody to tell. */
static void write_line(int fd, Slice line)
{
    while (line.len) {
        ssize_t written = write(fd, line.ptr, line.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        line = slice_skip(line, (size_t)written);
    }
}

void log_event(Log *log, LogLevel level, const char *event, const LogField *fields, size_t count)
{
    enum { TAIL_BYTES = sizeof(",\"cut\":true}\n") };
    char bytes[LOG_LINE_MAX_BYTES], time_text[TIME_TEXT_BYTES];
    Line line = {.buf = strbuf_over(bytes, sizeof(bytes) - TAIL_BYTES)};
    struct timespec now;
    int saved_errno = errno;

    if (!log_enabled(log, level))
        return;
    line.text = log->text;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    (void)time_format_ns(now.tv_sec, (int32_t)now.tv_nsec, 9, time_text);
    (log->text ? begin_text : begin_json)(&line, log, level, event, time_text);
    append_text_field(&line, "request_id", context.request_id);
    append_text_field(&line, "trace_id", context.trace_id);
    append_text_field(&line, "rpc", context.rpc);
    for (size_t i = 0; i < count; i++)
        append_field(&line, fields[i].name, &fields[i].value);
    line.buf.max_bytes = line.buf.cap = sizeof(bytes) - 1; /* room that was kept for the end */
    if (line.cut)
        strbuf_append_cstr(&line.buf, log->text ? " cut=true" : ",\"cut\":true");
    strbuf_append_cstr(&line.buf, log->text ? "\n" : "}\n");
    write_line(log->fd, strbuf_slice(&line.buf));
    errno = saved_errno;
}
