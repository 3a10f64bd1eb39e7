/* submission_read: see submission.h. By jansson: SUBMISSION_MAX_BYTES and SUBMISSION_MAX_DEPTH bound it. */
#include "services/events/submission_read.h"

#include "services/events/codes.h"
#include "services/events/entity.h"
#include "shared/strbuf.h"

/* --- values ------------------------------------------------------------------------------------------------------ */
const char *path_join(Arena *mem, const char *at, const char *name)
{
    return at[0] ? arena_printf(mem, "%s.%s", at, name) : name;
}

const json_t *first_of(const json_t *value)
{
    return json_is_array(value) ? json_array_get(value, 0) : value;
}

static Slice raw_text(Arena *mem, const json_t *value)
{
    if (json_is_string(value))
        return slice_of(json_string_value(value), json_string_length(value));
    if (json_is_integer(value))
        return slice(arena_printf(mem, "%" JSON_INTEGER_FORMAT, json_integer_value(value)));
    return SLICE_LIT("");
}

const char *read_text(Reading *r, const json_t *object, const char *name, const char *at, TextShape shape,
                      size_t max_chars)
{
    Slice text = text_clean(r->mem, raw_text(r->mem, json_object_get(object, name)), shape);
    size_t chars = utf8_length(text);

    if (chars > max_chars)
        findings_add(r->faults, path_join(r->mem, at, name), "too_long", "%zu characters, at most %zu", chars,
                     max_chars);
    return slice_cstr(r->mem, text);
}

const char *url_or_fault(Reading *r, Slice text, const char *field)
{
    const char *url;

    if (slice_trim(text).len == 0)
        return "";
    url = url_clean(r->mem, text);
    if (!url)
        findings_add(r->faults, field, "invalid_url", "must be an http or https URL");
    return url ? url : "";
}

const char *read_url(Reading *r, const json_t *object, const char *name, const char *at)
{
    return url_or_fault(r, slice(json_string_value(json_object_get(object, name))), path_join(r->mem, at, name));
}

void read_when(Reading *r, const json_t *object, const char *name, const char *at, const Zone *zone, When *out)
{
    Slice text = slice(json_string_value(json_object_get(object, name)));

    if (slice_trim(text).len && !when_read(text, r->rules->accept_date_only ? zone : NULL, out))
        findings_add(r->faults, path_join(r->mem, at, name), "invalid_time",
                     "must be a time with an offset, as 2026-07-04T19:00:00-04:00");
}

bool read_number(const json_t *value, double *out)
{
    const char *text = json_string_value(value);
    char *end;

    if (json_is_number(value)) {
        *out = json_number_value(value);
        return true;
    }
    if (!text || !*text || strlen(text) > 40 || strspn(text, "0123456789+-.eE ") != strlen(text))
        return false;
    *out = strtod(text, &end);
    return end != text && slice_trim(slice(end)).len == 0 && *out > -1e15 && *out < 1e15;
}

static Slice last_part(Slice text)
{
    for (size_t i = text.len; i > 0; i--)
        if (strchr("/:#", text.ptr[i - 1]))
            return slice_skip(text, i);
    return text;
}

Slice read_type(const json_t *object)
{
    const json_t *type = json_object_get(object, "@type");

    return last_part(slice(json_string_value(first_of(type ? type : json_object_get(object, "type")))));
}

/* --- lists of texts ---------------------------------------------------------------------------------------------- */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, and none twice. */
static size_t sort_unique(const char **list, size_t count)
{
    size_t kept = 0;

    qsort(list, count, sizeof(*list), by_text);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(list[kept - 1], list[i]) != 0)
            list[kept++] = list[i];
    return kept;
}

static void add_keyword(Reading *r, Slice raw)
{
    Slice text = text_lower(r->mem, text_clean(r->mem, raw, TEXT_LINE));
    Submission *s = r->out;

    if (text.len == 0)
        return;
    if (utf8_length(text) > TERM_CHARS(KEYWORDS)) {
        findings_add(r->faults, "keywords", "too_long", "a keyword has at most %zu characters", TERM_CHARS(KEYWORDS));
        return;
    }
    if (s->keyword_count == SUBMISSION_KEYWORDS_MAX) {
        if (!findings_have(r->faults, "too_many"))
            findings_add(r->faults, "keywords", "too_many", "at most %d keywords", SUBMISSION_KEYWORDS_MAX);
        return;
    }
    s->keywords[s->keyword_count++] = slice_cstr(r->mem, text);
}

static void read_keywords(Reading *r, const json_t *value)
{
    Slice rest = slice(json_string_value(value)), word;

    while (rest.len) {
        (void)slice_cut(rest, ',', &word, &rest);
        add_keyword(r, word);
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        add_keyword(r, slice(json_string_value(json_array_get(value, i))));
    r->out->keyword_count = sort_unique(r->out->keywords, r->out->keyword_count);
}

static void add_language(Reading *r, const json_t *value)
{
    const char *code = code_language(r->mem, slice_trim(slice(json_string_value(value))));

    if (code && r->out->language_count < SUBMISSION_LANGUAGES_MAX)
        r->out->languages[r->out->language_count++] = code;
}

static void read_languages(Reading *r, const json_t *value)
{
    add_language(r, value);
    for (size_t i = 0; i < json_array_size(value); i++)
        add_language(r, json_array_get(value, i));
    r->out->language_count = sort_unique(r->out->languages, r->out->language_count);
}

/* Absolute ones stay; "/path", "events/ULID" and a ULID are ours. */
static void add_same_as(Reading *r, Slice text, const char *field)
{
    char ulid[ULID_TEXT_BYTES];
    Submission *s = r->out;
    const char *uri;

    text = slice_trim(text);
    if (text.len == 0)
        return;
    if (uri_read(r->rules->base_url, "events", true, text, ulid) == URI_OURS)
        uri = uri_make(r->mem, r->rules->base_url, "events", ulid);
    else if (text.ptr[0] == '/' && (text.len < 2 || text.ptr[1] != '/'))
        uri = url_clean(
            r->mem, slice(arena_printf(r->mem, SLICE_FMT SLICE_FMT, SLICE_ARG(r->rules->base_url), SLICE_ARG(text))));
    else
        uri = slice_find(text, SLICE_LIT("://")) > 0 ? url_clean(r->mem, text) : NULL;
    if (!uri)
        findings_add(r->faults, field, "invalid_url", "must be an absolute http or https URI, or a path of ours");
    else if (s->same_as_count < SUBMISSION_SAME_AS_MAX)
        s->same_as[s->same_as_count++] = uri;
    else
        findings_add(r->faults, "sameAs", "too_many", "at most %d", SUBMISSION_SAME_AS_MAX);
}

static void read_same_as(Reading *r, const json_t *value)
{
    add_same_as(r, slice(json_string_value(value)), "sameAs");
    for (size_t i = 0; i < json_array_size(value) && i <= SUBMISSION_SAME_AS_MAX; i++)
        add_same_as(r, slice(json_string_value(json_array_get(value, i))), arena_printf(r->mem, "sameAs.%zu", i));
    r->out->same_as_count = sort_unique(r->out->same_as, r->out->same_as_count);
}

/* --- the rest ---------------------------------------------------------------------------------------------------- */
static void read_image(Reading *r, const json_t *value)
{
    const json_t *image = first_of(value);

    if (json_is_string(image))
        r->out->image = url_or_fault(r, slice(json_string_value(image)), "image");
    else if (json_is_string(json_object_get(image, "url")))
        r->out->image = read_url(r, image, "url", "image");
    else
        r->out->image = read_url(r, image, "contentUrl", "image");
}

static void read_free(Submission *s, const json_t *value)
{
    Slice word = last_part(slice(json_string_value(value)));

    s->free = json_is_true(value) || slice_eq_nocase(word, SLICE_LIT("true"));
    s->has_free = s->free || json_is_false(value) || slice_eq_nocase(word, SLICE_LIT("false"));
}

static bool is_set(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_true(value) || slice_eq_nocase(slice(json_string_value(value)), SLICE_LIT("true"));
}

static const char *read_status(const json_t *value)
{
    static const char *const KNOWN[] = {"EventScheduled", "EventCancelled", "EventPostponed", "EventRescheduled",
                                        "EventMovedOnline"};
    Slice word = last_part(slice(json_string_value(value)));

    for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++)
        if (slice_eq_cstr(word, KNOWN[i]))
            return KNOWN[i];
    return "";
}

static void read_kind(Reading *r, const json_t *root)
{
    const Class *type = class_find(read_type(root));
    Slice domain = slice_trim(slice(json_string_value(json_object_get(root, "eventDomain"))));

    if (!type || type->family != FAMILY_EVENT)
        type = &CLASSES[CLASS_EVENT];
    r->out->type = type;
    r->out->domain = domain_is_known(domain) ? slice_cstr(r->mem, domain) : type->domain;
}

static void read_id(Reading *r, const json_t *value)
{
    char ulid[ULID_TEXT_BYTES];

    if (json_is_string(value) &&
        uri_read(r->rules->base_url, "events", false, slice(json_string_value(value)), ulid) != URI_OURS)
        findings_add(r->faults, "@id", "not_ours", "must be a URI of an event here, or absent");
}

static void read_root(Reading *r, const json_t *root)
{
    Submission *s = r->out;

    read_id(r, json_object_get(root, "@id"));
    s->name = read_text(r, root, "name", "", TEXT_LINE, r->rules->name_max_chars);
    s->name_key = slice_cstr(r->mem, text_key(r->mem, slice(s->name)));
    s->description = read_text(r, root, "description", "", TEXT_PARAGRAPHS, TERM_CHARS(DESCRIPTION));
    read_kind(r, root);
    read_recurrence(r, json_object_get(root, "recurrence"));
    s->zone = s->recurrence.zone ? s->recurrence.zone : r->rules->default_zone;
    read_when(r, root, "startDate", "", s->zone, &s->start);
    read_when(r, root, "endDate", "", s->zone, &s->end);
    read_when(r, root, "doorTime", "", s->zone, &s->door);
    read_location(r, json_object_get(root, "location"));
    read_virtual_location(r, json_object_get(root, "virtualLocation"));
    read_organizer(r, json_object_get(root, "organizer"));
    read_performers(r, json_object_get(root, "performer"));
    read_image(r, json_object_get(root, "image"));
    s->url = read_url(r, root, "url", "");
    read_keywords(r, json_object_get(root, "keywords"));
    read_languages(r, json_object_get(root, "inLanguage"));
    read_offers(r, json_object_get(root, "offers"));
    read_free(s, json_object_get(root, "isAccessibleForFree"));
    s->status = read_status(json_object_get(root, "eventStatus"));
    s->license = read_text(r, root, "license", "", TEXT_MARKUP_KEPT, TERM_CHARS(LICENSE));
    read_same_as(r, json_object_get(root, "sameAs"));
    read_occurrences(r, json_object_get(root, "occurrences"));
    read_source(r, json_object_get(root, "source"));
    s->wants_review = slice_eq_cstr(slice(json_string_value(json_object_get(root, "lifecycle_state"))), "review");
    s->skip_multi_session = is_set(root, "skip_multi_session_check");
    s->year_inferred = is_set(root, "yearWasInferred");
    s->resurrect = is_set(root, "resurrect");
}

/* --- JSON -------------------------------------------------------------------------------------------------------- */
/* jansson's own bound is 2048 levels of its recursion. */
static bool too_deep(Slice body)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < body.len; i++) {
        char c = body.ptr[i];

        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '[') && ++depth > SUBMISSION_MAX_DEPTH)
            return true;
        else if (!quoted && (c == '}' || c == ']') && depth)
            depth--;
    }
    return false;
}

static json_t *load(Slice body, const char **out_problem)
{
    json_error_t error;
    json_t *root;

    if (body.len > 3 && memcmp(body.ptr, "\xef\xbb\xbf", 3) == 0)
        body = slice_skip(body, 3);
    *out_problem = "the body is nested too deep";
    if (too_deep(body))
        return NULL;
    *out_problem = "the body is not valid JSON in UTF-8, or names a member twice";
    root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (root && !json_is_object(root)) {
        *out_problem = "the body must be one JSON object";
        json_decref(root);
        return NULL;
    }
    return root;
}

bool submission_read(Arena *mem, const WritingRules *rules, Slice body, Submission *out, Findings *faults)
{
    Reading r = {.mem = mem, .rules = rules, .out = out, .faults = faults};
    const char *problem = "the body is too large";
    json_t *root = body.len <= SUBMISSION_MAX_BYTES ? load(body, &problem) : NULL;

    *out = (Submission){.original = body,
                        .image = "",
                        .virtual_url = "",
                        .virtual_name = "",
                        .place = {.ulid = "",
                                  .name = "",
                                  .street = "",
                                  .locality = "",
                                  .region = "",
                                  .postal_code = "",
                                  .country = "",
                                  .telephone = "",
                                  .url = ""},
                        .organizer = {.ulid = "", .name = "", .url = "", .email = "", .telephone = "", .same_as = ""},
                        .recurrence = {.external_key = "", .series_name = "", .rrule = ""},
                        .source = {.url = "", .event_id = "", .name = "", .license = ""}};
    if (!root) {
        findings_add(faults, "", "invalid_json", "%s", problem);
        return false;
    }
    read_root(&r, root);
    json_decref(root);
    return true;
}

Slice submission_canonical(Arena *mem, Slice body)
{
    const char *problem;
    json_t *root = load(body, &problem);
    char *text = root ? json_dumps(root, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    Slice out = text ? slice(arena_strdup(mem, text)) : SLICE_LIT("");

    free(text);
    json_decref(root);
    return out;
}

/* --- words ------------------------------------------------------------------------------------------------------- */
bool license_is_cc0(const char *license)
{
    static const char *const SPELLINGS[] = {"", "cc0", "cc0-1.0", "http://creativecommons.org/publicdomain/zero/1.0",
                                            "https://creativecommons.org/publicdomain/zero/1.0"};
    Slice text = slice_trim(slice(license));

    if (text.len && text.ptr[text.len - 1] == '/')
        text.len--;
    for (size_t i = 0; i < ARRAY_LEN(SPELLINGS); i++)
        if (slice_eq_nocase(text, slice(SPELLINGS[i])))
            return true;
    return false;
}
