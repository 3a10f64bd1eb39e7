/* Forms: files and what is said of them in one request. All of it or nothing: items wait to be processed once the whole
 * form has arrived. */
#include "shared/multipart.h"

#include "atrium/media/v1/uploads.service.h"
#include "services/media/naming.h"
#include "services/media/uploads.h"
#include "shared/bytes.h"
#include "shared/strbuf.h"

enum {
    FORM_FILES_MAX = 20,
    FORM_FIELD_MAX_BYTES = 16 * 1024, /* of one field */
    FORM_ANSWER_MAX_BYTES = 64 * 1024,
};

typedef struct FormFile {
    UploadRow upload;
    BlobInfo info;
    const char *filename;
} FormFile;

typedef struct Form {
    BytesExchange *x;
    Multipart *parser;
    FormFile files[FORM_FILES_MAX];
    size_t file_count;
    bool finished; /* the files are items' from here on */
    /* Of the part that is being read: one of the two. */
    BlobWriter *writer;
    StrBuf *field;
    StrBuf title, tag;
    bool in_tags;
    const char *tags[TAGS_MAX];
    size_t tag_count;
} Form;

/* ---------------------------------------------------------------------------------------- parts */

static Err begin_file(Form *form, const MultipartPart *part)
{
    Request *rq = bytes_request(form->x);
    const Media *media = rq->service;
    FormFile *file = &form->files[form->file_count];
    UploadWish wish = {
        .kind = "form",
        .filename = part->filename,
        .content_type = slice_cstr(rq->mem, part->content_type),
        .title = slice_cstr(rq->mem, strbuf_slice(&form->title)),
        .size_bytes = UPLOAD_NO_SIZE,
        .ttl_ms = media->settings->upload_ttl_ms,
        .tags = form->tags,
        .tag_count = form->tag_count,
    };

    if (form->file_count == FORM_FILES_MAX)
        return err_make(&INVALID_ARGUMENT, "at most %d files", FORM_FILES_MAX);
    TRY(uploads_open(rq, &wish, &file->upload));
    file->filename = slice_cstr(rq->mem, part->filename);
    form->file_count++;
    return blob_writer_new(media->blob,
                           &(BlobPut){.key = file->upload.object_key,
                                      .content_type = file->upload.content_type,
                                      .length = BLOB_UNKNOWN,
                                      .max_bytes = (uint64_t)media->settings->upload_max_bytes},
                           &form->writer);
}

static Err begin_part(void *at, const MultipartPart *part)
{
    Form *form = at;

    form->field = NULL;
    form->in_tags = slice_eq_cstr(part->name, "tags");
    if (part->is_file && part->filename.len)
        return begin_file(form, part);
    if (part->is_file)
        return OK;
    if (slice_eq_cstr(part->name, "title")) {
        strbuf_truncate(&form->title, 0);
        form->field = &form->title;
    } else if (form->in_tags) {
        strbuf_truncate(&form->tag, 0);
        form->field = &form->tag;
    }
    return OK;
}

static Err part_data(void *at, Slice piece)
{
    Form *form = at;

    if (form->writer) {
        FormFile *file = &form->files[form->file_count - 1];

        TRY(uploads_grant(bytes_request(form->x), &file->upload,
                          (int64_t)(blob_writer_written(form->writer) + piece.len)));
        return blob_writer_write(form->writer, piece);
    }
    if (form->field) {
        strbuf_append(form->field, piece);
        if (form->field->overflow)
            return err_make(&PAYLOAD_TOO_LARGE, "a field has at most %d bytes", FORM_FIELD_MAX_BYTES);
    }
    return OK;
}

static Err add_tag(Form *form)
{
    Slice tag = slice_trim(strbuf_slice(&form->tag));

    if (!tag.len)
        return OK;
    if (!name_valid(tag, TAG_MAX_CHARS))
        return err_make(&INVALID_ARGUMENT, "tags: 1 to %d characters each, no controls", TAG_MAX_CHARS);
    if (form->tag_count == TAGS_MAX)
        return err_make(&INVALID_ARGUMENT, "tags: at most %d", TAGS_MAX);
    for (size_t i = 0; i < form->tag_count; i++)
        if (slice_eq_cstr(tag, form->tags[i]))
            return OK;
    form->tags[form->tag_count++] = slice_cstr(bytes_request(form->x)->mem, tag);
    return OK;
}

static Err end_part(void *at)
{
    Form *form = at;

    if (form->writer) {
        TRY(blob_writer_commit(form->writer, &form->files[form->file_count - 1].info));
        blob_writer_free(MOVE(form->writer));
        return OK;
    }
    return form->field && form->in_tags ? add_tag(form) : OK;
}

/* ---------------------------------------------------------------------------------------- the request */

static Err begin_form(BytesExchange *x)
{
    static const MultipartEvents EVENTS = {begin_part, part_data, end_part};
    Request *rq = bytes_request(x);
    const Media *media = rq->service;
    Form *form = ARENA_NEW(rq->mem, Form);
    Slice boundary;

    TRY(multipart_boundary(rq->mem, slice(bytes_header(x, "content-type")), &boundary));
    bytes_limit_body(x, (uint64_t)media->settings->upload_max_bytes);
    form->x = x;
    form->title = strbuf_new(rq->mem, FORM_FIELD_MAX_BYTES);
    form->tag = strbuf_new(rq->mem, FORM_FIELD_MAX_BYTES);
    form->parser = multipart_new(rq->mem, boundary, &EVENTS, form);
    bytes_set_state(x, form);
    return OK;
}

static Err form_data(BytesExchange *x, Slice piece)
{
    Form *form = bytes_state(x);

    return multipart_push(form->parser, piece);
}

static Err answer(BytesExchange *x, const Form *form)
{
    Request *rq = bytes_request(x);
    StrBuf json = strbuf_new(rq->mem, FORM_ANSWER_MAX_BYTES);
    Slice body;

    strbuf_append_cstr(&json, "{\"items\":[");
    for (size_t i = 0; i < form->file_count; i++) {
        const FormFile *file = &form->files[i];

        strbuf_printf(&json, "%s{\"media_id\":\"%s\",\"status\":\"queued\",\"original_filename\":", i ? "," : "",
                      uuid_text(rq->mem, file->upload.media_id));
        strbuf_append_json(&json, slice(file->filename));
        strbuf_printf(&json, ",\"size_bytes\":%" PRIu64 "}", file->info.size_bytes);
    }
    strbuf_append_cstr(&json, "]}\n");
    if (!strbuf_finish(&json, &body))
        return err_make(&INTERNAL, "the answer to a form is too long");
    return bytes_answer(x, 200, "application/json", body);
}

static Err end_form(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    Form *form = bytes_state(x);
    const char *title = slice_cstr(rq->mem, strbuf_slice(&form->title));

    TRY(multipart_finish(form->parser));
    if (!form->file_count)
        return err_make(&INVALID_ARGUMENT, "the form has no file");
    if (*title && !name_valid(slice(title), TITLE_MAX_CHARS)) /* it may stand behind the files */
        return err_make(&INVALID_ARGUMENT, "title: at most %d characters, no controls", TITLE_MAX_CHARS);
    form->finished = true;
    for (size_t i = 0; i < form->file_count; i++)
        TRY(uploads_finish(rq, &form->files[i].upload, &form->files[i].info, title));
    return answer(x, form);
}

static void form_done(BytesExchange *x)
{
    Form *form = bytes_state(x);

    if (!form)
        return;
    blob_writer_free(MOVE(form->writer));
    for (size_t i = 0; i < form->file_count && !form->finished; i++)
        err_ignore(uploads_drop(bytes_request(x), &form->files[i].upload)); /* else they expire */
}

const BytesHandler media_v1_upload_form = {begin_form, form_data, end_form, form_done};
