/* Tests of the route matcher. */
#include "shared/routes.h"

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"
#include "shared/testing.h"

/* The target of a template is its text. */
static const char *const TEMPLATES[] = {
    "/",
    "/api/v1/users/@me",
    "/api/v1/users/{id}",
    "/api/v1/users/{id}/avatar",
    "/api/v1/users/@me/guilds",
    "/api/v1/events",
    "/api/v1/events:batch",
    "/api/v1/events.ics",
    "/api/v1/events/{id}",
    "/api/v1/events/{id}/ics",
    "/events/{id}",
    "/events/{id}.jsonld",
    "/events/{id}.ld.jsonld",
    "/jobs/{id}:cancel",
    "/jobs/{id}",
    "/files/{path=**}",
    "/files/{path=**}:stat",
    "/files/list",
    "/v1/{name=rooms/*/items/*}/{rest=**}",
    "/api/channels/{id}",
    "/api/channels/conversations",
    "/api/channels/conversations/{id}",
    "/api/channels/{id}/videos",
    "/api/transcripts/",
    "/nested/{filter.author_id}",
};

static RouteTree *make_tree(Arena *mem)
{
    RouteTree *tree = routes_new(mem);

    for (size_t i = 0; i < ARRAY_LEN(TEMPLATES); i++)
        assert_ok(routes_add(tree, "GET", TEMPLATES[i], TEMPLATES[i]));
    assert_ok(routes_add(tree, "POST", "/api/v1/events", "post"));
    assert_ok(routes_add(tree, "DELETE", "/api/v1/events/{id}", "delete"));
    return tree;
}

static void paths_find_the_most_exact_template(void **state)
{
    static const struct {
        const char *path, *wanted, *variables;
    } CASES[] = {
        {"/", "/", ""},
        {"/api/v1/users/@me", "/api/v1/users/@me", ""},
        {"/api/v1/users/%40me", "/api/v1/users/@me", ""},
        {"/api/v1/users/17", "/api/v1/users/{id}", "id=17;"},
        {"/api/v1/users/", NULL, ""},
        {"/api/v1/users/@me/avatar", "/api/v1/users/{id}/avatar", "id=@me;"}, /* back from the literal's dead end */
        {"/api/v1/users/@me/guilds", "/api/v1/users/@me/guilds", ""},
        {"/api/v1/users/a%2Fb", "/api/v1/users/{id}", "id=a/b;"},
        {"/api/v1/users/a%20b%C3%A9", "/api/v1/users/{id}", "id=a b\303\251;"},
        {"/api/v1/users/a+b", "/api/v1/users/{id}", "id=a+b;"},
        {"/api/v1/events:batch", "/api/v1/events:batch", ""},
        {"/api/v1/events.ics", "/api/v1/events.ics", ""},
        {"/api/v1/events/x", "/api/v1/events/{id}", "id=x;"},
        {"/api/v1/events/x/ics", "/api/v1/events/{id}/ics", "id=x;"},
        {"/events/x.jsonld", "/events/{id}.jsonld", "id=x;"},
        {"/events/x.ld.jsonld", "/events/{id}.ld.jsonld", "id=x;"},
        {"/events/.jsonld", "/events/{id}", "id=.jsonld;"}, /* a suffix needs something before it */
        {"/jobs/7:cancel", "/jobs/{id}:cancel", "id=7;"},
        {"/jobs/7:stop", "/jobs/{id}", "id=7:stop;"},
        {"/files/a/b/c", "/files/{path=**}", "path=a/b/c;"},
        {"/files/a/b:stat", "/files/{path=**}:stat", "path=a/b;"},
        {"/files/list", "/files/list", ""},
        {"/files/list/x", "/files/{path=**}", "path=list/x;"},
        {"/files", NULL, ""},
        {"/v1/rooms/1/items/2/x/y", "/v1/{name=rooms/*/items/*}/{rest=**}", "name=rooms/1/items/2;rest=x/y;"},
        {"/api/channels/conversations", "/api/channels/conversations", ""},
        {"/api/channels/conversations/9", "/api/channels/conversations/{id}", "id=9;"},
        {"/api/channels/conversations/videos", "/api/channels/conversations/{id}", "id=videos;"},
        {"/api/channels/3/videos", "/api/channels/{id}/videos", "id=3;"},
        {"/api/transcripts/", "/api/transcripts/", ""},
        {"/api/transcripts", NULL, ""},
        {"/nested/5", "/nested/{filter.author_id}", "filter.author_id=5;"},
        {"//", NULL, ""},
        {"/api/v1//users/1", NULL, ""},
        {"/API/v1/users/1", NULL, ""},
        {"*", NULL, ""},
        {"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/1/2/"
         "3/4/5/"
         "6/7/8/9/0/1/2/3/4",
         NULL, ""},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    RouteTree *tree = make_tree(mem);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        RoutePath path;
        RouteMatch match;
        StrBuf got = strbuf_new(mem, 1024);
        bool found;

        assert_true(routes_split(mem, slice(CASES[i].path), &path));
        found = routes_match(tree, mem, SLICE_LIT("GET"), &path, &match);
        if (found != (CASES[i].wanted != NULL) || (found && strcmp(match.target, CASES[i].wanted) != 0))
            fail_msg("%s: got %s, wanted %s", CASES[i].path, found ? (const char *)match.target : "nothing",
                     CASES[i].wanted ? CASES[i].wanted : "nothing");
        for (size_t v = 0; found && v < match.variable_count; v++)
            strbuf_printf(&got, SLICE_FMT "=" SLICE_FMT ";", SLICE_ARG(match.variables[v].field),
                          SLICE_ARG(match.variables[v].value));
        if (found)
            assert_slice_equal(strbuf_slice(&got), slice(CASES[i].variables));
    }
}

static void bad_escapes_are_refused(void **state)
{
    static const char *const BAD[] = {"/%", "/a%2", "/%zz", "/a%00b", "/%ff", "/%c0%80", "/%ed%a0%80", "/a\xff", ""};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    RoutePath path;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        if (routes_split(mem, slice(BAD[i]), &path))
            fail_msg("\"%s\" was accepted", BAD[i]);
}

static void queries_read_plus_as_a_space(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice out;
    (void)state;

    assert_true(percent_decode(mem, SLICE_LIT("a+b%2B%26"), true, &out));
    assert_slice_equal(out, SLICE_LIT("a b+&"));
    assert_true(percent_decode(mem, SLICE_LIT(""), true, &out));
    assert_int_equal(out.len, 0);
    assert_false(percent_decode(mem, SLICE_LIT("%2"), true, &out));
}

static void allow_lists_the_methods_of_a_path(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    RouteTree *tree = make_tree(mem);
    RoutePath path;
    const void *target = NULL;
    (void)state;

    assert_true(routes_split(mem, SLICE_LIT("/api/v1/events"), &path));
    assert_string_equal(routes_allow(tree, mem, &path, &target), "GET, HEAD, OPTIONS, POST");
    assert_string_equal(target, "/api/v1/events");
    assert_true(routes_split(mem, SLICE_LIT("/api/v1/events/7"), &path));
    assert_string_equal(routes_allow(tree, mem, &path, NULL), "DELETE, GET, HEAD, OPTIONS");
    assert_true(routes_split(mem, SLICE_LIT("/nowhere"), &path));
    assert_null(routes_allow(tree, mem, &path, NULL));
}

/* By the first letter of what the template ends in. */
static int last_letter(const void *target)
{
    return strrchr(target, '/')[1];
}

static void a_near_miss_leads_to_those_of_one_kind(void **state)
{
    static const char *const NEAR[] = {"/v1/cats/{id}/c0", "/v1/cats/{id}/c1", "/v1/cats/{id}/toys/c2",
                                       "/v1/dogs/d1",      "/v1/dogs/{id}/c3", "/files/{path=**}"};
    static const struct {
        const char *path;
        bool finds;
    } CASES[] = {{"/v1/cats/7/nothing", true}, {"/v1/cats/7/toys", true},
                 {"/v1/dogs/7/nothing", true}, {"/v1/dogs", false},
                 {"/v1/birds", false},         {"/v1", false},
                 {"/nothing", false},          {"/", false},
                 {"/v1/cats", true},           {"/v1/cats/7/toys/8/9", true},
                 {"/v1/cats//x", true}};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    RouteTree *tree = routes_new(mem);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(NEAR); i++)
        assert_ok(routes_add(tree, i % 2 ? "GET" : "PUT", NEAR[i], NEAR[i]));
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        RoutePath path;

        assert_true(routes_split(mem, slice(CASES[i].path), &path));
        if ((routes_near(tree, &path, last_letter) != NULL) != CASES[i].finds)
            fail_msg("%s", CASES[i].path);
    }
}

static void clashes_and_bad_templates_are_refused(void **state)
{
    static const char *const BAD[] = {"api",
                                      "",
                                      "/a/{b",
                                      "/a/{}",
                                      "/a/b*",
                                      "/{a=**}/b",
                                      "/a/{b}c/d",
                                      "/a/{b=}",
                                      "/x}{",
                                      "/a/{b=c//d}",
                                      "/api/v1/users/{other}",
                                      "/files/{other=**}",
                                      "/jobs/{x}:cancel",
                                      "/events/{x}"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    RouteTree *tree = make_tree(mem);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_reason(routes_add(tree, "GET", BAD[i], "x"), &INVALID_ARGUMENT);
    assert_ok(routes_add(tree, "PUT", "/api/v1/users/{other}", "x")); /* another method is another tree */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_find_the_most_exact_template),
        cmocka_unit_test(bad_escapes_are_refused),
        cmocka_unit_test(queries_read_plus_as_a_space),
        cmocka_unit_test(allow_lists_the_methods_of_a_path),
        cmocka_unit_test(a_near_miss_leads_to_those_of_one_kind),
        cmocka_unit_test(clashes_and_bad_templates_are_refused),
    };

    return RUN(tests);
}
