/* message: protobuf-c messages in arenas. What protobuf-c leaves out is here: bounded nesting, UTF-8, ownership. */
#pragma once
#include <protobuf-c/protobuf-c.h>

#include "shared/err.h"
#include "shared/slice.h"

enum { MESSAGE_MAX_DEPTH = 64 };

/* Sets a field and its has_ flag. */
#define SET(msg, field, value)                                                                                         \
    do {                                                                                                               \
        (msg)->field = (value);                                                                                        \
        (msg)->has_##field = true;                                                                                     \
    } while (0)
/* A new initialised message in `mem`: MESSAGE_NEW(rq->mem, Auth__V1__User, auth__v1__user__init). */
#define MESSAGE_NEW(mem, T, init)                                                                                      \
    ({                                                                                                                 \
        T *message_ = ARENA_NEW((mem), T);                                                                             \
        init(message_);                                                                                                \
        message_;                                                                                                      \
    })

/* Unpacks into `mem`; never freed by itself. INVALID_BODY when the bytes are no such message, nest deeper than
 * MESSAGE_MAX_DEPTH or hold text that is not UTF-8. */
Err message_unpack(Arena *mem, const ProtobufCMessageDescriptor *type, Slice wire, ProtobufCMessage **out) MUST_CHECK;
/* Packed into `mem`. */
Slice message_pack(Arena *mem, const ProtobufCMessage *message);
/* An empty message of `type`, initialised, in `mem`. */
ProtobufCMessage *message_new(Arena *mem, const ProtobufCMessageDescriptor *type);
