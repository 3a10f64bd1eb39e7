/* Fuzz target: the claims of an id_token whose signature was good: whatever is taken must be of this issuer, for us and
 * of this sign-in. The first byte chooses whether good claims stand in front, so that inputs get past them. */
#include "services/auth/oidc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char GOOD[] = "{\"iss\":\"https://i.example\",\"aud\":\"us\",\"nonce\":\"n\",\"iat\":1000,\"exp\":1300,";

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const Provider PROVIDER = {.name = "i", .title = "I", .issuer = "https://i.example", .client_id = "us"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 14);
    Slice rest = len ? slice_of(data + 1, len - 1) : (Slice){NULL, 0};
    StrBuf payload = strbuf_new(mem, len + sizeof(GOOD));
    Person person;

    if (len && (data[0] & 1))
        strbuf_append_cstr(&payload, GOOD);
    strbuf_append(&payload, rest);
    if (err_failed(oidc_read_claims(mem, &PROVIDER, strbuf_slice(&payload), "n", 1000, &person)))
        return 0;
    check(strcmp(person.issuer, PROVIDER.issuer) == 0 && person.subject[0] && strlen(person.subject) <= 255);
    check(slice_find(strbuf_slice(&payload), SLICE_LIT("us")) >= 0 && person.name && person.avatar_url);
    return 0;
}
