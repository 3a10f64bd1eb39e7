#include "source.h"

static void *take(void *data, size_t size)
{
    return arena_alloc(data, size, _Alignof(max_align_t));
}

static void keep(void *data, void *pointer)
{
    (void)data, (void)pointer;
}

ProtobufCAllocator source_allocator(Arena *mem)
{
    return (ProtobufCAllocator){.alloc = take, .free = keep, .allocator_data = mem};
}

SourcePath source_path(SourcePath parent, int32_t field, int32_t index)
{
    assert(parent.count + 2 <= SOURCE_PATH_MAX);
    parent.steps[parent.count++] = field;
    parent.steps[parent.count++] = index;
    return parent;
}

SourcePath source_option_path(SourcePath parent, int32_t options_field, int32_t extension)
{
    return source_path(parent, options_field, extension);
}

static const Google__Protobuf__SourceCodeInfo__Location *find(const Google__Protobuf__FileDescriptorProto *file,
                                                              const int32_t *steps, size_t count)
{
    if (!file->source_code_info)
        return NULL;
    for (size_t i = 0; i < file->source_code_info->n_location; i++) {
        const Google__Protobuf__SourceCodeInfo__Location *l = file->source_code_info->location[i];
        if (l->n_path == count && (count == 0 || memcmp(l->path, steps, count * sizeof(*steps)) == 0))
            return l;
    }
    return NULL;
}

Place source_place(const Google__Protobuf__FileDescriptorProto *file, SourcePath path)
{
    for (size_t count = path.count; count > 0; count--) {
        const Google__Protobuf__SourceCodeInfo__Location *l = find(file, path.steps, count);
        if (l && l->n_span > 0)
            return (Place){file->name, l->span[0] + 1};
    }
    return (Place){file->name, 1};
}

const char *source_comment(Arena *mem, const Google__Protobuf__FileDescriptorProto *file, SourcePath path)
{
    const Google__Protobuf__SourceCodeInfo__Location *l = find(file, path.steps, path.count);
    const char *text = !l ? NULL : l->leading_comments ? l->leading_comments : l->trailing_comments;
    StrBuf out;
    Slice line, rest, done;

    if (!text)
        return "";
    out = strbuf_new(mem, strlen(text) + 1);
    for (rest = slice_trim(slice(text)); rest.len > 0;) {
        slice_cut(rest, '\n', &line, &rest);
        if (out.len > 0)
            strbuf_append_char(&out, '\n');
        strbuf_append(&out, slice_trim(line));
    }
    return strbuf_finish(&out, &done) ? done.ptr : "";
}

/* protobuf-c keeps the length prefix in front of an unknown field's bytes. */
static Slice without_length(const ProtobufCMessageUnknownField *f)
{
    size_t skip = 0;
    while (skip < f->len && (f->data[skip] & 0x80))
        skip++;
    return skip < f->len ? slice_of(f->data + skip + 1, f->len - skip - 1) : slice_of("", 0);
}

void *source_option(Arena *mem, const ProtobufCMessage *options, uint32_t number,
                    const ProtobufCMessageDescriptor *type)
{
    ProtobufCAllocator allocator = source_allocator(mem);
    StrBuf wire = strbuf_new(mem, 16 * 1024 * 1024);
    bool found = false;
    Slice all;

    /* An option set in parts comes as several fields; one after the other they are the merged message. */
    for (unsigned i = 0; options && i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *f = &options->unknown_fields[i];
        if (f->tag == number && f->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
            strbuf_append(&wire, without_length(f));
            found = true;
        }
    }
    if (!found || !strbuf_finish(&wire, &all))
        return NULL;
    return protobuf_c_message_unpack(type, &allocator, all.len, (const uint8_t *)all.ptr);
}

/* ProtobufCFileOptions has no generated C (protobuf-c does not install any), so its one field is read here. */
const char *source_c_package(Arena *mem, const Google__Protobuf__FileDescriptorProto *file)
{
    enum { C_PACKAGE = 6 };
    ProtobufCMessage *options;

    if (!file->options)
        return NULL;
    /* A type that has none of these fields: all are found among the unknown ones. */
    options = source_option(mem, &file->options->base, OPTION_PB_C, &google__protobuf__oneof_options__descriptor);
    for (unsigned i = 0; options && i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *f = &options->unknown_fields[i];
        if (f->tag == C_PACKAGE && f->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            return slice_cstr(mem, without_length(f));
    }
    return NULL;
}
