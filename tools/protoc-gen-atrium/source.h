/* source: where a descriptor stands in its file, what comment stands above it, and the custom options on it. */
#pragma once
#include "google/protobuf/descriptor.pb-c.h"
#include "model.h"

enum { /* numbers of our extensions and of protobuf-c's, in the *Options messages */
       OPTION_ATRIUM = 50700,
       OPTION_ATRIUM_MORE = 50701,
       OPTION_HTTP = 72295728,
       OPTION_PB_C = 1019
};

enum { SOURCE_PATH_MAX = 40 };

/* A place within a FileDescriptorProto: field numbers and indices, as SourceCodeInfo has them. */
typedef struct SourcePath {
    int32_t steps[SOURCE_PATH_MAX];
    size_t count;
} SourcePath;

SourcePath source_path(SourcePath parent, int32_t field, int32_t index);
/* Of an option's statement: `parent` is its holder, `options_field` the number of the holder's `options`. */
SourcePath source_option_path(SourcePath parent, int32_t options_field, int32_t extension);
/* The line of the nearest known holder when the path itself is unknown. */
Place source_place(const Google__Protobuf__FileDescriptorProto *file, SourcePath path);
/* Comment lines without their leading space; "" when there is none. */
const char *source_comment(Arena *mem, const Google__Protobuf__FileDescriptorProto *file, SourcePath path);

/* The option with this number as a message of `type`, in `mem`; NULL when it is not set. `options` may be NULL. */
void *source_option(Arena *mem, const ProtobufCMessage *options, uint32_t number,
                    const ProtobufCMessageDescriptor *type);
/* protobuf-c's own c_package, or NULL. */
const char *source_c_package(Arena *mem, const Google__Protobuf__FileDescriptorProto *file);
/* An allocator for protobuf-c that takes from `mem` and never frees. */
ProtobufCAllocator source_allocator(Arena *mem);
