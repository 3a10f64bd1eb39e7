/* Addresses of strangers, and our own. */
#include "services/events/urls.h"

#include "shared/testing.h"

#define ULID_A "01ARZ3NDEKTSV4RRFFQ69G5FAV"

static const struct {
    const char *in, *out; /* NULL: refused */
} URLS[] = {
    {"https://example.org", "https://example.org"},
    {" HTTPS://Example.ORG/Path?x=1&b=%20#top ", "https://example.org/Path?x=1&b=%20"},
    {"www.example.org/show?id=77&utm_source=a&UTM_x=b&fbclid=1&gclid=2&mc_eid=3", "https://www.example.org/show?id=77"},
    {"http://example.org/?utm_source=x", "http://example.org/"},
    {"http://example.org:8080/a b", "http://example.org:8080/a%20b"},
    {"https://example.org/<script>\"'", "https://example.org/%3Cscript%3E%22'"},
    {"https://example.org/caf\xc3\xa9", "https://example.org/caf%c3%a9"},
    {"http://localhost/x", "http://localhost/x"},
    {"http://[::1]:80/x", "http://[::1]:80/x"},
    {"ftp://example.org/x", NULL},
    {"javascript:alert(1)", NULL},
    {"javascript://example.org/%0aalert(1)", NULL},
    {"data:text/html,x", NULL},
    {"mailto:ann@example.org", NULL},
    {"https://ann:secret@example.org/", NULL},
    {"https://ann@example.org/", NULL},
    {"https:///x", NULL},
    {"/events/1", NULL},
    {"not a url", NULL},
    {"jazz", NULL},
    {"", NULL},
    {"https://exa mple.org/", NULL},
    {"https://example.org/\xff", NULL},
};

static void urls_are_absolute_and_http(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(URLS); i++) {
        const char *out = url_clean(mem, slice(URLS[i].in));

        if (!URLS[i].out && out)
            fail_msg("%s became %s", URLS[i].in, out);
        if (URLS[i].out)
            assert_slice_equal(slice(out), slice(URLS[i].out));
        if (out)
            assert_slice_equal(slice(url_clean(mem, slice(out))), slice(out));
    }
}

static void hosts_and_origins(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    assert_slice_equal(url_host("https://a.example.org:81/x"), SLICE_LIT("a.example.org"));
    assert_slice_equal(url_host("https://a.example.org?x"), SLICE_LIT("a.example.org"));
    assert_slice_equal(url_host("http://[::1]:80/x"), SLICE_LIT("[::1]"));
    assert_string_equal(url_origin(mem, "https://a.example.org:81/x?y"), "https://a.example.org:81");
    assert_true(host_is_below(SLICE_LIT("example.com"), SLICE_LIT("example.com")));
    assert_true(host_is_below(SLICE_LIT("www.Example.com"), SLICE_LIT("example.com")));
    assert_false(host_is_below(SLICE_LIT("notexample.com"), SLICE_LIT("example.com")));
    assert_false(host_is_below(SLICE_LIT("example.com.org"), SLICE_LIT("example.com")));
}

static const struct {
    const char *uri;
    bool bare;
    UriKind kind;
} URIS[] = {
    {"https://sel.test/places/" ULID_A, false, URI_OURS},
    {"https://SEL.test/places/01arz3ndektsv4rrffq69g5fav", false, URI_OURS},
    {"https://sel.test/events/" ULID_A, false, URI_MALFORMED},
    {"https://sel.test/places/81ARZ3NDEKTSV4RRFFQ69G5FAV", false, URI_MALFORMED},
    {"https://sel.test/api/v1/places/" ULID_A, false, URI_MALFORMED},
    {"https://sel.test.evil/places/" ULID_A, false, URI_FOREIGN},
    {"http://sel.test/places/" ULID_A, false, URI_FOREIGN},
    {"urn:x", false, URI_MALFORMED},
    {ULID_A, false, URI_MALFORMED},
    {ULID_A, true, URI_OURS},
    {"/places/" ULID_A, true, URI_OURS},
    {"places/" ULID_A, true, URI_OURS},
    {"events/" ULID_A, true, URI_MALFORMED},
};

static void our_uris_are_told_from_foreign_ones(void **state)
{
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(URIS); i++) {
        char ulid[ULID_TEXT_BYTES] = "";
        UriKind kind = uri_read(SLICE_LIT("https://sel.test"), "places", URIS[i].bare, slice(URIS[i].uri), ulid);

        if (kind != URIS[i].kind)
            fail_msg("%s: %d", URIS[i].uri, (int)kind);
        if (kind == URI_OURS)
            assert_string_equal(ulid, ULID_A);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_absolute_and_http),
        cmocka_unit_test(hosts_and_origins),
        cmocka_unit_test(our_uris_are_told_from_foreign_ones),
    };

    return RUN(tests);
}
