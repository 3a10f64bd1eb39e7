#include "dialect_docs.h"

/* The bodies are written by services/gateway/dialect.c; these schemas describe them. */
static const char PROBLEM_SCHEMA[] =
    "{\"type\": \"object\", \"description\": \"RFC 9457 problem details.\", \"required\": [\"type\", \"title\", "
    "\"status\"], \"properties\": {\"type\": {\"type\": \"string\"}, \"title\": {\"type\": \"string\"}, "
    "\"status\": {\"type\": \"integer\"}, \"detail\": {\"type\": \"string\"}, \"instance\": {\"type\": \"string\"}, "
    "\"code\": {\"type\": \"string\"}, \"errors\": {\"type\": \"array\", \"items\": {\"type\": \"object\", "
    "\"properties\": {\"pointer\": {\"type\": \"string\"}, \"detail\": {\"type\": \"string\"}}}}, "
    "\"request_id\": {\"type\": \"string\"}, \"trace_id\": {\"type\": \"string\"}}}";

static const char CHAT_SCHEMA[] =
    "{\"type\": \"object\", \"required\": [\"error\", \"message\"], \"properties\": {\"error\": {\"type\": \"object\", "
    "\"required\": [\"code\", \"message\"], \"properties\": {\"code\": {\"type\": \"string\"}, "
    "\"message\": {\"type\": \"string\"}}}, \"message\": {\"type\": \"string\"}}}";

static const char MEDIA_SCHEMA[] =
    "{\"type\": \"object\", \"required\": [\"code\", \"message\", \"details\"], \"properties\": {\"code\": {\"type\": "
    "\"string\"}, \"message\": {\"type\": \"string\"}, \"details\": {\"type\": [\"object\", \"null\"]}}}";

static const char SESSIONS_SCHEMA[] =
    "{\"type\": \"object\", \"required\": [\"error\", \"message\"], \"properties\": {\"error\": {\"type\": "
    "\"string\"}, \"message\": {\"type\": \"string\"}, \"code\": {\"type\": \"string\"}, \"details\": {\"type\": "
    "\"string\"}, \"max_size_mb\": {\"type\": \"number\"}}}";

static const char EVENTS_SCHEMA[] =
    "{\"type\": \"object\", \"description\": \"RFC 9457 problem details.\", \"required\": [\"type\", \"title\", "
    "\"status\"], \"properties\": {\"type\": {\"type\": \"string\"}, \"title\": {\"type\": \"string\"}, "
    "\"status\": {\"type\": \"integer\"}, \"detail\": {\"type\": \"string\"}, \"instance\": {\"type\": \"string\"}, "
    "\"errors\": {\"type\": \"array\", \"items\": {\"type\": \"object\", \"properties\": {\"pointer\": {\"type\": "
    "\"string\"}, \"code\": {\"type\": \"string\"}, \"message\": {\"type\": \"string\"}}}}, "
    "\"request_id\": {\"type\": \"string\"}}}";

static const char RAG_SCHEMA[] =
    "{\"type\": \"object\", \"required\": [\"detail\"], \"properties\": {\"detail\": {\"oneOf\": [{\"type\": "
    "\"string\"}, {\"type\": \"array\", \"items\": {\"type\": \"object\", \"required\": [\"type\", \"loc\", \"msg\"], "
    "\"properties\": {\"type\": {\"type\": \"string\"}, \"loc\": {\"type\": \"array\", \"items\": {\"type\": "
    "[\"string\", \"integer\"]}}, \"msg\": {\"type\": \"string\"}, \"input\": {}, \"ctx\": {\"type\": "
    "\"object\"}}}}]}, "
    "\"error_code\": {\"type\": \"string\"}, \"request_id\": {\"type\": \"string\"}}}";

static const struct {
    const char *name, *content_type, *schema, *example;
    bool knows_data, needs_body;
} DIALECTS[DIALECT_COUNT] = {
    [ATRIUM__DIALECT__ATRIUM] = {"AtriumError", "application/problem+json", PROBLEM_SCHEMA,
                                 "{\"type\": \"about:blank\", \"title\": \"Not Found\", \"status\": 404, "
                                 "\"code\": \"NOT_FOUND\"}",
                                 false, false},
    [ATRIUM__DIALECT__RETROCAST] = {"RetrocastError", "application/json", CHAT_SCHEMA,
                                    "{\"error\": {\"code\": \"NOT_FOUND\", \"message\": \"Not Found\"}, "
                                    "\"message\": \"Not Found\"}",
                                    true, false},
    [ATRIUM__DIALECT__RETROCAST_WEB] = {"RetrocastWebError", "application/json", CHAT_SCHEMA,
                                        "{\"error\": {\"code\": \"NOT_FOUND\", \"message\": \"Not Found\"}, "
                                        "\"message\": \"Not Found\"}",
                                        true, false},
    [ATRIUM__DIALECT__MEDIAVAULT] = {"MediaVaultError", "application/json", MEDIA_SCHEMA,
                                     "{\"code\": \"not_found\", \"message\": \"Not Found\", \"details\": null}", false,
                                     true},
    [ATRIUM__DIALECT__STREAMSPACE] = {"StreamSpaceError", "application/json", SESSIONS_SCHEMA,
                                      "{\"error\": \"Not Found\", \"message\": \"Not Found\", "
                                      "\"code\": \"NOT_FOUND\"}",
                                      false, false},
    [ATRIUM__DIALECT__TOGATHER] = {"TogatherError", "application/problem+json", EVENTS_SCHEMA,
                                   "{\"type\": \"https://sel.events/problems/not-found\", \"title\": \"Not Found\", "
                                   "\"status\": 404}",
                                   false, false},
    [ATRIUM__DIALECT__YOUTUBETALKER] = {"YouTubeTalkerError", "application/json", RAG_SCHEMA,
                                        "{\"detail\": \"Not Found\", \"error_code\": \"NOT_FOUND\"}", false, true},
};

const char *dialect_error_name(Atrium__Dialect dialect)
{
    return DIALECTS[dialect].name;
}

bool dialect_knows_data(Atrium__Dialect dialect)
{
    return DIALECTS[dialect].knows_data;
}

bool dialect_needs_body(Atrium__Dialect dialect)
{
    return DIALECTS[dialect].needs_body;
}

void dialect_put_responses(JsonOut *j, Arena *mem, const bool *used)
{
    for (size_t i = 0; i < DIALECT_COUNT; i++) {
        if (!used[i])
            continue;
        json_object(j, DIALECTS[i].name);
        json_text(j, "description", "What went wrong");
        json_object(j, "content");
        json_object(j, DIALECTS[i].content_type);
        json_object(j, "schema");
        json_text(j, "$ref", arena_printf(mem, "#/components/schemas/%s", DIALECTS[i].name));
        json_end_object(j);
        json_raw(j, "example", DIALECTS[i].example);
        json_end_object(j);
        json_end_object(j);
        json_end_object(j);
    }
}

void dialect_put_schemas(JsonOut *j, const bool *used)
{
    for (size_t i = 0; i < DIALECT_COUNT; i++)
        if (used[i])
            json_raw(j, DIALECTS[i].name, DIALECTS[i].schema);
}
