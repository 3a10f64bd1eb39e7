#include "model.h"

#include "google/api/http.pb-c.h"
#include "source.h"

typedef Google__Protobuf__FileDescriptorProto FileProto;
typedef Google__Protobuf__DescriptorProto MessageProto;
typedef Google__Protobuf__FieldDescriptorProto FieldProto;
typedef Google__Protobuf__EnumDescriptorProto EnumProto;
typedef Google__Protobuf__ServiceDescriptorProto ServiceProto;
typedef Google__Protobuf__MethodDescriptorProto MethodProto;

enum { /* field numbers in descriptor.proto, for source paths */
       FILE_MESSAGES = 4,
       FILE_ENUMS = 5,
       FILE_SERVICES = 6,
       FILE_OPTIONS = 8,
       FILE_SYNTAX = 12,
       MESSAGE_FIELDS = 2,
       MESSAGE_NESTED = 3,
       MESSAGE_ENUMS = 4,
       MESSAGE_OPTIONS = 7,
       ENUM_VALUES = 2,
       ENUM_VALUE_OPTIONS = 3,
       SERVICE_METHODS = 2,
       METHOD_OPTIONS = 4
};

static const struct {
    const char *name;
    Atrium__WellKnown kind;
} WELL_KNOWN[] = {
    {"google.protobuf.Timestamp", ATRIUM__WELL_KNOWN__TIMESTAMP},
    {"google.protobuf.Duration", ATRIUM__WELL_KNOWN__DURATION},
    {"google.protobuf.Struct", ATRIUM__WELL_KNOWN__STRUCT},
    {"google.protobuf.Value", ATRIUM__WELL_KNOWN__VALUE},
    {"google.protobuf.ListValue", ATRIUM__WELL_KNOWN__LIST_VALUE},
    {"google.protobuf.FieldMask", ATRIUM__WELL_KNOWN__FIELD_MASK},
    {"google.protobuf.DoubleValue", ATRIUM__WELL_KNOWN__WRAPPER},
    {"google.protobuf.FloatValue", ATRIUM__WELL_KNOWN__WRAPPER},
    {"google.protobuf.Int64Value", ATRIUM__WELL_KNOWN__WRAPPER},
    {"google.protobuf.UInt64Value", ATRIUM__WELL_KNOWN__WRAPPER},
    {"google.protobuf.Int32Value", ATRIUM__WELL_KNOWN__WRAPPER},
    {"google.protobuf.UInt32Value", ATRIUM__WELL_KNOWN__WRAPPER},
    {"google.protobuf.BoolValue", ATRIUM__WELL_KNOWN__WRAPPER},
    {"google.protobuf.StringValue", ATRIUM__WELL_KNOWN__WRAPPER},
    {"google.protobuf.BytesValue", ATRIUM__WELL_KNOWN__WRAPPER},
    {"google.protobuf.Empty", ATRIUM__WELL_KNOWN__EMPTY_MESSAGE},
    {"atrium.HttpBody", ATRIUM__WELL_KNOWN__HTTP_BODY},
};

static const SourcePath ROOT = {.count = 0};

static Atrium__WellKnown well_known_kind(const char *full_name)
{
    for (size_t i = 0; i < ARRAY_LEN(WELL_KNOWN); i++)
        if (strcmp(WELL_KNOWN[i].name, full_name) == 0)
            return WELL_KNOWN[i].kind;
    return ATRIUM__WELL_KNOWN__ORDINARY;
}

static const char *join(Arena *mem, const char *scope, const char *name)
{
    return *scope ? arena_printf(mem, "%s.%s", scope, name) : arena_strdup(mem, name);
}

/* An option as a message; an empty one where it is not set, so that readers see the defaults. */
static const void *rules_or_defaults(Arena *mem, const ProtobufCMessage *options,
                                     const ProtobufCMessageDescriptor *type)
{
    void *rules = source_option(mem, options, OPTION_ATRIUM, type);
    if (!rules) {
        rules = arena_alloc(mem, type->sizeof_message, _Alignof(max_align_t));
        protobuf_c_message_init(type, rules);
    }
    return rules;
}
#define BASE(options) ((options) ? &(options)->base : NULL)

/* ------------------------------------------------------------------------------------------- messages and enums */

static size_t count_messages(MessageProto *const *list, size_t count)
{
    size_t total = count;
    for (size_t i = 0; i < count; i++)
        total += count_messages(list[i]->nested_type, list[i]->n_nested_type);
    return total;
}

static size_t count_enums(MessageProto *const *list, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += list[i]->n_enum_type + count_enums(list[i]->nested_type, list[i]->n_nested_type);
    return total;
}

static void add_enum(Arena *mem, File *file, const FileProto *proto, const EnumProto *d, const char *scope,
                     SourcePath path)
{
    Enum *e = ARENA_NEW(mem, Enum);
    const Atrium__EnumRules *rules = rules_or_defaults(mem, BASE(d->options), &atrium__enum_rules__descriptor);

    *e = (Enum){.full_name = join(mem, scope, d->name),
                .file = file,
                .values = ARENA_ARRAY(mem, EnumValue, d->n_value),
                .value_count = d->n_value,
                .reasons = rules->reasons,
                .comment = source_comment(mem, proto, path),
                .place = source_place(proto, path)};
    for (size_t i = 0; i < d->n_value; i++) {
        const Google__Protobuf__EnumValueDescriptorProto *v = d->value[i];
        SourcePath at = source_path(path, ENUM_VALUES, (int32_t)i);
        const Atrium__EnumValueRules *names =
            source_option(mem, BASE(v->options), OPTION_ATRIUM_MORE, &atrium__enum_value_rules__descriptor);
        e->values[i] = (EnumValue){
            .name = v->name,
            .json_name = names && names->json ? names->json : v->name,
            .number = v->number,
            .reason = source_option(mem, BASE(v->options), OPTION_ATRIUM, &atrium__reason_rules__descriptor),
            .comment = source_comment(mem, proto, at),
            .place = source_place(proto, at)};
    }
    file->enums[file->enum_count++] = e;
}

/* protoc's default JSON name: "user_id" becomes "userId". */
static const char *camel(Arena *mem, const char *name)
{
    char *out = arena_strdup(mem, name), *to = out;
    bool upper = false;

    for (const char *from = name; *from; from++) {
        if (*from == '_') {
            upper = true;
            continue;
        }
        *to++ = upper && *from >= 'a' && *from <= 'z' ? (char)(*from - 'a' + 'A') : *from;
        upper = false;
    }
    *to = 0;
    return out;
}

/* A json_name that someone wrote differs from the one that protoc makes up; else message or file decide. */
static const char *field_json_name(Arena *mem, Atrium__JsonNames names, const FieldProto *d)
{
    const char *made_up = camel(mem, d->name);
    if (d->json_name && strcmp(d->json_name, made_up) != 0)
        return d->json_name;
    return names == ATRIUM__JSON_NAMES__SNAKE ? d->name : made_up;
}

static Atrium__JsonNames message_json_names(Arena *mem, const File *file, const MessageProto *d)
{
    const Atrium__MessageRules *rules =
        source_option(mem, BASE(d->options), OPTION_ATRIUM_MORE, &atrium__message_rules__descriptor);
    return rules && rules->has_json ? rules->json : file->rules->json;
}

static void add_field(Arena *mem, Atrium__JsonNames names, const FileProto *proto, const FieldProto *d, SourcePath path,
                      Field *out)
{
    *out = (Field){
        .name = d->name,
        .json_name = field_json_name(mem, names, d),
        .number = (uint32_t)d->number,
        .type = (uint32_t)d->type,
        .repeated = d->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED,
        .required = d->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REQUIRED,
        .packed = d->options && d->options->packed,
        .oneof = d->has_oneof_index ? (uint32_t)d->oneof_index + 1 : 0,
        .rules = rules_or_defaults(mem, BASE(d->options), &atrium__field_rules__descriptor),
        .comment = source_comment(mem, proto, path),
        .place = source_place(proto, path),
    };
}

static void add_message(Arena *mem, File *file, const FileProto *proto, const MessageProto *d, const char *scope,
                        SourcePath path)
{
    Message *m = ARENA_NEW(mem, Message);
    Atrium__JsonNames names = message_json_names(mem, file, d);

    *m = (Message){.full_name = join(mem, scope, d->name),
                   .file = file,
                   .descriptor = d,
                   .fields = ARENA_ARRAY(mem, Field, d->n_field),
                   .field_count = d->n_field,
                   .oneofs = ARENA_ARRAY(mem, const char *, d->n_oneof_decl),
                   .oneof_count = d->n_oneof_decl,
                   .map_entry = d->options && d->options->map_entry,
                   .event = source_option(mem, BASE(d->options), OPTION_ATRIUM, &atrium__event_rules__descriptor),
                   .comment = source_comment(mem, proto, path),
                   .place = source_place(proto, path),
                   .event_place = source_place(proto, source_option_path(path, MESSAGE_OPTIONS, OPTION_ATRIUM))};
    m->well_known = well_known_kind(m->full_name);
    file->messages[file->message_count++] = m;
    for (size_t i = 0; i < d->n_field; i++)
        add_field(mem, names, proto, d->field[i], source_path(path, MESSAGE_FIELDS, (int32_t)i), &m->fields[i]);
    for (size_t i = 0; i < d->n_oneof_decl; i++)
        m->oneofs[i] = d->oneof_decl[i]->name;
    for (size_t i = 0; i < d->n_nested_type; i++)
        add_message(mem, file, proto, d->nested_type[i], m->full_name, source_path(path, MESSAGE_NESTED, (int32_t)i));
    for (size_t i = 0; i < d->n_enum_type; i++)
        add_enum(mem, file, proto, d->enum_type[i], m->full_name, source_path(path, MESSAGE_ENUMS, (int32_t)i));
}

const Message *model_message(const Model *m, const char *full_name)
{
    for (size_t i = 0; i < m->file_count; i++)
        for (size_t j = 0; j < m->files[i].message_count; j++)
            if (strcmp(m->files[i].messages[j]->full_name, full_name) == 0)
                return m->files[i].messages[j];
    return NULL;
}

static const Enum *find_enum(const Model *m, const char *full_name)
{
    for (size_t i = 0; i < m->file_count; i++)
        for (size_t j = 0; j < m->files[i].enum_count; j++)
            if (strcmp(m->files[i].enums[j]->full_name, full_name) == 0)
                return m->files[i].enums[j];
    return NULL;
}

/* Type names come with a leading dot. */
static void link_fields(const Model *m, Message *message)
{
    for (size_t i = 0; i < message->field_count; i++) {
        const char *type = message->descriptor->field[i]->type_name;
        Field *f = &message->fields[i];
        if (field_is_message(f))
            f->message = model_message(m, type + 1);
        else if (f->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_ENUM)
            f->enumeration = find_enum(m, type + 1);
    }
}

/* ------------------------------------------------------------------------------------------- services */

static void binding_method(const Google__Api__HttpRule *rule, Binding *out)
{
    switch (rule->pattern_case) {
    case GOOGLE__API__HTTP_RULE__PATTERN_GET:
        out->method = "GET", out->path = rule->get;
        break;
    case GOOGLE__API__HTTP_RULE__PATTERN_PUT:
        out->method = "PUT", out->path = rule->put;
        break;
    case GOOGLE__API__HTTP_RULE__PATTERN_POST:
        out->method = "POST", out->path = rule->post;
        break;
    case GOOGLE__API__HTTP_RULE__PATTERN_DELETE:
        out->method = "DELETE", out->path = rule->delete_;
        break;
    case GOOGLE__API__HTTP_RULE__PATTERN_PATCH:
        out->method = "PATCH", out->path = rule->patch;
        break;
    case GOOGLE__API__HTTP_RULE__PATTERN_CUSTOM:
        out->method = rule->custom->kind, out->path = rule->custom->path;
        break;
    default:
        break;
    }
    if (!out->method)
        out->method = "";
    if (!out->path)
        out->path = "";
}

static const Atrium__BindingRules *binding_rules(const Atrium__RpcRules *rules, const char *path)
{
    for (size_t i = 0; i < rules->n_binding; i++)
        if (rules->binding[i]->path && strcmp(rules->binding[i]->path, path) == 0)
            return rules->binding[i];
    return NULL;
}

/* "none" takes a default away. */
static const char *rate_or(const char *own, const char *inherited)
{
    if (!own || !*own)
        return inherited;
    return strcmp(own, "none") == 0 ? "" : own;
}

static void add_binding(Arena *mem, const Google__Api__HttpRule *rule, const Atrium__ServiceRules *defaults,
                        Place place, Rpc *rpc)
{
    Binding *b = &rpc->bindings[rpc->binding_count++];
    const Atrium__BindingRules *own;

    *b = (Binding){.body = rule->body ? rule->body : "",
                   .response_body = rule->response_body ? rule->response_body : "",
                   .dialect = rpc->rules->has_dialect ? rpc->rules->dialect : defaults->dialect,
                   .profile_dialect =
                       rpc->rules->has_profile_dialect ? rpc->rules->profile_dialect : defaults->profile_dialect,
                   .status = rpc->rules->status,
                   .rate = rpc->rate,
                   .place = place};
    binding_method(rule, b);
    b->pattern = template_parse(mem, b->path);
    own = binding_rules(rpc->rules, b->path);
    if (own && own->has_dialect)
        b->dialect = own->dialect;
    if (own && own->status)
        b->status = own->status;
    if (own)
        b->rate = rate_or(own->rate, b->rate);
}

static void add_rpc(Model *m, const FileProto *proto, const MethodProto *d, const Atrium__ServiceRules *defaults,
                    SourcePath path, Rpc *out)
{
    const Google__Api__HttpRule *http =
        source_option(m->mem, BASE(d->options), OPTION_HTTP, &google__api__http_rule__descriptor);
    Place http_place = source_place(proto, source_option_path(path, METHOD_OPTIONS, OPTION_HTTP));
    const Atrium__RpcRules *rules = rules_or_defaults(m->mem, BASE(d->options), &atrium__rpc_rules__descriptor);

    *out = (Rpc){.name = d->name,
                 .request = model_message(m, d->input_type + 1),
                 .reply = model_message(m, d->output_type + 1),
                 .rules = rules,
                 .caller = rules->caller,
                 .timeout_ms = rules->timeout_ms ? rules->timeout_ms : defaults->timeout_ms,
                 .rate = rate_or(rules->rate, rate_or(defaults->rate, "")),
                 .client_streams = d->client_streaming,
                 .streams = d->server_streaming,
                 .comment = source_comment(m->mem, proto, path),
                 .place = source_place(proto, path),
                 .rules_place = source_place(proto, source_option_path(path, METHOD_OPTIONS, OPTION_ATRIUM))};
    if (!http)
        return;
    out->bindings = ARENA_ARRAY(m->mem, Binding, 1 + http->n_additional_bindings);
    add_binding(m->mem, http, defaults, http_place, out);
    for (size_t i = 0; i < http->n_additional_bindings; i++)
        add_binding(m->mem, http->additional_bindings[i], defaults, http_place, out);
}

static void add_services(Model *m, File *file, const FileProto *proto)
{
    file->services = ARENA_ARRAY(m->mem, Service, proto->n_service);
    file->service_count = proto->n_service;
    for (size_t i = 0; i < proto->n_service; i++) {
        const ServiceProto *d = proto->service[i];
        SourcePath path = source_path(ROOT, FILE_SERVICES, (int32_t)i);
        const Atrium__ServiceRules *defaults =
            rules_or_defaults(m->mem, BASE(d->options), &atrium__service_rules__descriptor);
        Service *s = &file->services[i];
        *s = (Service){.name = d->name,
                       .full_name = join(m->mem, file->package, d->name),
                       .rpcs = ARENA_ARRAY(m->mem, Rpc, d->n_method),
                       .rpc_count = d->n_method,
                       .comment = source_comment(m->mem, proto, path),
                       .place = source_place(proto, path)};
        for (size_t j = 0; j < d->n_method; j++)
            add_rpc(m, proto, d->method[j], defaults, source_path(path, SERVICE_METHODS, (int32_t)j), &s->rpcs[j]);
    }
}

/* ------------------------------------------------------------------------------------------- files */

/* "atrium.auth.v1" is version v1 of domain auth; other packages belong to no domain. */
static void find_domain(Arena *mem, File *file)
{
    Slice head, rest = slice(file->package), domain;

    file->domain = file->version = "";
    if (!slice_cut(rest, '.', &head, &rest) || !slice_eq_cstr(head, "atrium"))
        return;
    if (!slice_cut(rest, '.', &domain, &rest) || slice_find_char(rest, '.') >= 0)
        return;
    file->domain = slice_cstr(mem, domain);
    file->version = slice_cstr(mem, rest);
}

static void add_file(Model *m, File *file, const FileProto *proto, char **to_generate, size_t to_generate_count)
{
    *file = (File){.name = proto->name,
                   .package = proto->package ? proto->package : "",
                   .c_package = source_c_package(m->mem, proto),
                   .proto3 = proto->syntax && strcmp(proto->syntax, "proto3") == 0,
                   .rules = rules_or_defaults(m->mem, BASE(proto->options), &atrium__file_rules__descriptor),
                   .syntax_place = source_place(proto, (SourcePath){.steps = {FILE_SYNTAX}, .count = 1}),
                   .rules_place = source_place(proto, source_option_path(ROOT, FILE_OPTIONS, OPTION_ATRIUM))};
    if (!file->c_package)
        file->c_package = file->package;
    find_domain(m->mem, file);
    for (size_t i = 0; i < to_generate_count; i++)
        file->generate |= strcmp(to_generate[i], proto->name) == 0;
    file->messages = ARENA_ARRAY(m->mem, Message *, count_messages(proto->message_type, proto->n_message_type));
    file->enums =
        ARENA_ARRAY(m->mem, Enum *, proto->n_enum_type + count_enums(proto->message_type, proto->n_message_type));
    for (size_t i = 0; i < proto->n_enum_type; i++)
        add_enum(m->mem, file, proto, proto->enum_type[i], file->package, source_path(ROOT, FILE_ENUMS, (int32_t)i));
    for (size_t i = 0; i < proto->n_message_type; i++)
        add_message(m->mem, file, proto, proto->message_type[i], file->package,
                    source_path(ROOT, FILE_MESSAGES, (int32_t)i));
}

Model *model_new(Arena *mem, Google__Protobuf__FileDescriptorProto **files, size_t file_count, char **to_generate,
                 size_t to_generate_count)
{
    Model *m = ARENA_NEW(mem, Model);

    *m = (Model){.mem = mem,
                 .files = ARENA_ARRAY(mem, File, file_count),
                 .file_count = file_count,
                 .problems = strbuf_new(mem, 1024 * 1024)};
    for (size_t i = 0; i < file_count; i++)
        add_file(m, &m->files[i], files[i], to_generate, to_generate_count);
    for (size_t i = 0; i < file_count; i++)
        for (size_t j = 0; j < m->files[i].message_count; j++)
            link_fields(m, m->files[i].messages[j]);
    for (size_t i = 0; i < file_count; i++)
        add_services(m, &m->files[i], files[i]);
    return m;
}

/* ------------------------------------------------------------------------------------------- questions */

void model_problem(Model *m, Place place, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    strbuf_printf(&m->problems, "%s:%d: %s\n", place.file, place.line, text);
}

bool field_is_integer(const Field *f)
{
    switch (f->type) {
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT64:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_UINT64:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT32:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FIXED64:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FIXED32:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_UINT32:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SFIXED32:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SFIXED64:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SINT32:
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SINT64:
        return true;
    default:
        return false;
    }
}

const Field *message_field(const Message *message, const char *name)
{
    for (size_t i = 0; i < message->field_count; i++)
        if (strcmp(message->fields[i].name, name) == 0)
            return &message->fields[i];
    return NULL;
}

bool message_is(const Message *message, const char *full_name)
{
    return strcmp(message->full_name, full_name) == 0;
}

const Field *message_field_at(const Message *message, const char *dotted)
{
    Slice name, rest = slice(dotted);

    for (;;) {
        bool more = slice_cut(rest, '.', &name, &rest);
        const Field *found = NULL;
        for (size_t i = 0; i < message->field_count; i++)
            if (slice_eq_cstr(name, message->fields[i].name))
                found = &message->fields[i];
        if (!found || !more)
            return found;
        if (!found->message || found->repeated)
            return NULL;
        message = found->message;
    }
}

const char *base_name(const char *full_name)
{
    const char *dot = strrchr(full_name, '.');
    return dot ? dot + 1 : full_name;
}

/* Stands on the first rpc at or after the indices of `at`. */
static void settle(const Model *m, RpcAt *at)
{
    at->rpc = NULL;
    for (; at->file_index < m->file_count; at->file_index++, at->service_index = 0, at->rpc_index = 0) {
        const File *file = &m->files[at->file_index];
        if (!file->generate)
            continue;
        for (; at->service_index < file->service_count; at->service_index++, at->rpc_index = 0) {
            const Service *service = &file->services[at->service_index];
            if (at->rpc_index >= service->rpc_count)
                continue;
            at->file = file;
            at->service = service;
            at->rpc = &service->rpcs[at->rpc_index];
            return;
        }
    }
}

RpcAt rpc_first(const Model *m)
{
    RpcAt at = {0};
    settle(m, &at);
    return at;
}

void rpc_next(const Model *m, RpcAt *at)
{
    at->rpc_index++;
    settle(m, at);
}

/* Adds what is not there yet; `list` has room. */
static void merge_names(const char **list, size_t *count, char *const *more, size_t more_count)
{
    for (size_t i = 0; i < more_count; i++) {
        bool known = false;
        for (size_t j = 0; j < *count; j++)
            known |= strcmp(list[j], more[i]) == 0;
        if (!known)
            list[(*count)++] = more[i];
    }
}

size_t model_domains(const Model *m, Domain **out)
{
    const Atrium__FileRules defaults = ATRIUM__FILE_RULES__INIT;
    Domain *list = ARENA_ARRAY(m->mem, Domain, m->file_count);
    size_t count = 0, depends = 0, consumes = 0;

    for (size_t i = 0; i < m->file_count; i++)
        depends += m->files[i].rules->n_depends, consumes += m->files[i].rules->n_consumes;
    for (size_t i = 0; i < m->file_count; i++) {
        const File *file = &m->files[i];
        Domain *d = list;
        if (!file->generate || !*file->domain)
            continue;
        while (d < list + count && strcmp(d->name, file->domain) != 0)
            d++;
        if (d == list + count) {
            *d = (Domain){.name = file->domain,
                          .depends = ARENA_ARRAY(m->mem, const char *, depends),
                          .consumes = ARENA_ARRAY(m->mem, const char *, consumes),
                          .place = file->rules_place};
            count++;
        }
        merge_names(d->depends, &d->depend_count, file->rules->depends, file->rules->n_depends);
        if (file->rules->has_event_retention_s)
            d->event_retention_s = MAX(d->event_retention_s, file->rules->event_retention_s);
        merge_names(d->consumes, &d->consume_count, file->rules->consumes, file->rules->n_consumes);
    }
    for (size_t i = 0; i < count; i++)
        if (list[i].event_retention_s == 0) /* none of its files says */
            list[i].event_retention_s = defaults.event_retention_s;
    *out = list;
    return count;
}
