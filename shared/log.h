/* log: one event, one line on stdout, JSON or (on a terminal) text. An event is a fixed name, values are
 * fields with units in their names. Thread-safe; a line is written by one write().
 *
 *   LOG_WARN(log, "bus_lost", "retry_ms", wait, "server", url);
 *
 * Values may be any integer, bool, double, const char * or Slice. Never tokens, never message bodies. */
#pragma once
#include "shared/slice.h"

typedef enum LogLevel { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR } LogLevel;

typedef struct Log Log;

typedef struct LogOptions {
    const char *service, *version;
    LogLevel level;
    enum { LOG_FORMAT_AUTO, LOG_FORMAT_JSON, LOG_FORMAT_TEXT } format; /* AUTO: text on a terminal, else JSON */
    int fd;                                                            /* usually STDOUT_FILENO */
} LogOptions;

Log *log_new(const LogOptions *options);
void log_free(Log *log);
CLEANUP_FN(Log, log_free)
void log_set_level(Log *log, LogLevel level);
bool log_enabled(const Log *log, LogLevel level);

/* The request that this thread works on: its lines carry these until set to NULL. Borrowed. */
void log_set_context(const char *request_id, const char *trace_id, const char *rpc);
/* For those who change between requests within one thread (fiber.h). */
typedef struct LogContext {
    const char *request_id, *trace_id, *rpc;
} LogContext;
void log_save_context(LogContext *out);
void log_restore_context(const LogContext *saved);

typedef struct LogValue {
    enum { LOG_INT, LOG_UINT, LOG_DOUBLE, LOG_BOOL, LOG_TEXT, LOG_SLICE } kind;
    union {
        int64_t i;
        uint64_t u;
        double d;
        bool b;
        const char *text;
        Slice slice;
    };
} LogValue;
typedef struct LogField {
    const char *name;
    LogValue value;
} LogField;

/* `log` may be NULL: nothing is written. */
void log_event(Log *log, LogLevel level, const char *event, const LogField *fields, size_t count);

static inline LogValue log_int(int64_t v)
{
    return (LogValue){.kind = LOG_INT, .i = v};
}
static inline LogValue log_uint(uint64_t v)
{
    return (LogValue){.kind = LOG_UINT, .u = v};
}
static inline LogValue log_double(double v)
{
    return (LogValue){.kind = LOG_DOUBLE, .d = v};
}
static inline LogValue log_bool(bool v)
{
    return (LogValue){.kind = LOG_BOOL, .b = v};
}
static inline LogValue log_text(const char *v)
{
    return (LogValue){.kind = LOG_TEXT, .text = v};
}
static inline LogValue log_slice(Slice v)
{
    return (LogValue){.kind = LOG_SLICE, .slice = v};
}
#define LOG_VALUE(v)                                                                                                   \
    _Generic((v), bool: log_bool, char *: log_text, const char *: log_text, Slice: log_slice, float: log_double,       \
        double: log_double, unsigned long: log_uint, unsigned long long: log_uint, default: log_int)(v)

#define LOG_F0(...)
#define LOG_F2(n, v)                                                                                                   \
    {                                                                                                                  \
        n, LOG_VALUE(v)                                                                                                \
    }
#define LOG_F4(n, v, ...) {n, LOG_VALUE(v)}, LOG_F2(__VA_ARGS__)
#define LOG_F6(n, v, ...) {n, LOG_VALUE(v)}, LOG_F4(__VA_ARGS__)
#define LOG_F8(n, v, ...) {n, LOG_VALUE(v)}, LOG_F6(__VA_ARGS__)
#define LOG_F10(n, v, ...) {n, LOG_VALUE(v)}, LOG_F8(__VA_ARGS__)
#define LOG_F12(n, v, ...) {n, LOG_VALUE(v)}, LOG_F10(__VA_ARGS__)
/* The macro for as many arguments as there are; an odd number names LOG_ODD, which there is none of. */
#define LOG_PICK(z, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, name, ...) name
#define LOG_FIELDS(...)                                                                                                \
    LOG_PICK(0, ##__VA_ARGS__, LOG_F12, LOG_ODD, LOG_F10, LOG_ODD, LOG_F8, LOG_ODD, LOG_F6, LOG_ODD, LOG_F4, LOG_ODD,  \
             LOG_F2, LOG_ODD, LOG_F0)                                                                                  \
    (__VA_ARGS__)
#define LOG_AT(log, level, event, ...)                                                                                 \
    do {                                                                                                               \
        if (log_enabled((log), (level))) {                                                                             \
            const LogField log_fields_[] = {{NULL, {0}}, LOG_FIELDS(__VA_ARGS__)};                                     \
            log_event((log), (level), (event), log_fields_ + 1, ARRAY_LEN(log_fields_) - 1);                           \
        }                                                                                                              \
    } while (0)
#define LOG_DEBUG(log, event, ...) LOG_AT(log, LOG_LEVEL_DEBUG, event, ##__VA_ARGS__)
#define LOG_INFO(log, event, ...) LOG_AT(log, LOG_LEVEL_INFO, event, ##__VA_ARGS__)
#define LOG_WARN(log, event, ...) LOG_AT(log, LOG_LEVEL_WARN, event, ##__VA_ARGS__)
#define LOG_ERROR(log, event, ...) LOG_AT(log, LOG_LEVEL_ERROR, event, ##__VA_ARGS__)
