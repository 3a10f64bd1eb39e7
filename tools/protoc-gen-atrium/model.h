/* model: what the protos of one run say, resolved. Built once from protoc's descriptors; the checks and the products
 * only read it. Everything lives in the arena of the run. Single-threaded. */
#pragma once
#include "atrium/options.pb-c.h"
#include "atrium/tables.pb-c.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "shared/strbuf.h"

typedef struct File File;
typedef struct Message Message;
typedef struct Enum Enum;

/* Where something stands, for messages about it. */
typedef struct Place {
    const char *file;
    int line; /* from 1; 0 is unknown */
} Place;

typedef struct EnumValue {
    const char *name, *json_name;
    int32_t number;
    const Atrium__ReasonRules *reason; /* NULL: is none */
    const char *comment;
    Place place;
} EnumValue;

struct Enum {
    const char *full_name; /* "atrium.auth.v1.Role" */
    const File *file;
    EnumValue *values;
    size_t value_count;
    bool reasons;
    const char *comment;
    Place place;
};

typedef struct Field {
    const char *name, *json_name;
    uint32_t number;
    uint32_t type; /* google.protobuf.FieldDescriptorProto.Type */
    bool repeated, packed, required;
    uint32_t oneof;         /* one more than its index; 0 is none */
    const Message *message; /* of messages and groups */
    const Enum *enumeration;
    const Atrium__FieldRules *rules; /* never NULL */
    const char *comment;
    Place place;
} Field;

struct Message {
    const char *full_name; /* "atrium.auth.v1.User.Settings" */
    const File *file;
    Field *fields; /* in order of declaration */
    size_t field_count;
    const char **oneofs;
    size_t oneof_count;
    bool map_entry;
    Atrium__WellKnown well_known;
    const Atrium__EventRules *event; /* NULL: is none */
    const char *comment;
    Place place, event_place;
    const Google__Protobuf__DescriptorProto *descriptor;
};

typedef enum SegmentKind { SEGMENT_LITERAL, SEGMENT_ONE, SEGMENT_REST } SegmentKind;

/* A segment of a path template: "users", "*" or "**". */
typedef struct Segment {
    SegmentKind kind;
    const char *text;     /* of a literal */
    const char *variable; /* the variable it belongs to, NULL none */
} Segment;

/* A path template, taken apart: /v1/{name=rooms/x}/messages:cancel. */
typedef struct Template {
    Segment *segments;
    size_t segment_count;
    const char **variables; /* dotted field paths */
    size_t variable_count;
    const char *suffix;  /* ":cancel", ".jpg", or NULL */
    const char *shape;   /* what a request line can tell apart: /v1/rooms/x/messages:cancel with * for variables */
    const char *problem; /* why it is no template, or NULL */
} Template;

/* One way to reach an rpc over HTTP, with its rules resolved. */
typedef struct Binding {
    const char *method, *path;
    Template pattern;
    const char *body, *response_body; /* "" none */
    Atrium__Dialect dialect;
    bool profile_dialect;
    uint32_t status;
    const char *rate; /* "" none */
    Place place;
} Binding;

typedef struct Rpc {
    const char *name;
    const Message *request, *reply;
    const Atrium__RpcRules *rules; /* never NULL; what follows is resolved from them and the service's */
    Atrium__CallerPolicy caller;
    uint32_t timeout_ms;
    const char *rate;
    bool client_streams, streams;
    Binding *bindings;
    size_t binding_count;
    const char *comment;
    Place place, rules_place;
} Rpc;

typedef struct Service {
    const char *name, *full_name;
    Rpc *rpcs;
    size_t rpc_count;
    const char *comment;
    Place place;
} Service;

struct File {
    const char *name;    /* "atrium/auth/v1/auth.proto" */
    const char *package; /* "atrium.auth.v1" */
    const char *c_package;
    const char *domain, *version; /* "auth", "v1"; "" in the platform's own files */
    bool generate;                /* named on the command line; else only imported */
    bool proto3;
    const Atrium__FileRules *rules; /* never NULL */
    Message **messages;             /* nested ones too, map entries included */
    size_t message_count;
    Enum **enums;
    size_t enum_count;
    Service *services;
    size_t service_count;
    Place syntax_place, rules_place;
};

typedef struct Model {
    Arena *mem;
    File *files; /* imports before importers, as protoc sorts them */
    size_t file_count;
    StrBuf problems; /* "file:line: text" lines */
} Model;

/* `to_generate` names the files of the command line. Borrows the descriptors. */
Model *model_new(Arena *mem, Google__Protobuf__FileDescriptorProto **files, size_t file_count, char **to_generate,
                 size_t to_generate_count);

/* Notes a mistake in the protos; the run then fails with all of them. */
void model_problem(Model *m, Place place, const char *format, ...) PRINTF_LIKE(3, 4);

/* NULL when there is none. Full names without a leading dot. */
const Message *model_message(const Model *m, const char *full_name);
const Field *message_field(const Message *message, const char *name);
bool message_is(const Message *message, const char *full_name);
/* The field at a dotted path through singular messages, or NULL. */
const Field *message_field_at(const Message *message, const char *dotted);
static inline bool field_is_message(const Field *f)
{
    return f->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE ||
           f->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_GROUP;
}
/* Of any width and sign. */
bool field_is_integer(const Field *f);
static inline bool field_is_map(const Field *f)
{
    return f->message && f->message->map_entry;
}
/* The name after the last dot. */
const char *base_name(const char *full_name);

/* Every rpc of the files to generate, in order: for (RpcAt at = rpc_first(m); at.rpc; rpc_next(m, &at)). */
typedef struct RpcAt {
    const File *file;
    const Service *service;
    const Rpc *rpc;
    size_t file_index, service_index, rpc_index;
} RpcAt;
RpcAt rpc_first(const Model *m);
void rpc_next(const Model *m, RpcAt *at);

/* The domains of the files to generate, each once, in order of appearance. */
typedef struct Domain {
    const char *name;
    const char **depends, **consumes;
    size_t depend_count, consume_count;
    uint32_t event_retention_s; /* the longest that one of its files asks for */
    Place place;
} Domain;
size_t model_domains(const Model *m, Domain **out);

/* template.c: takes a path template apart; `problem` is set when it is none. */
Template template_parse(Arena *mem, const char *path);
