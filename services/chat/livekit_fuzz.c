/* Fuzz target: webhooks of the voice server (livekit.c). The first line is the header; a body whose token is right by
 * construction is read, too, so that what is behind the check is reached. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "services/chat/livekit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char KEY[] = "key", SECRET[] = "a secret of the fuzz target, only";

/* The token that LiveKit would send with `body`. */
static char *token_for(Arena *mem, Slice body)
{
    uint8_t digest[SHA256_DIGEST_LENGTH], mac[32];
    unsigned len = sizeof mac;
    char *text;

    SHA256((const unsigned char *)body.ptr, body.len, digest);
    text = arena_printf(mem, "{\"iss\":\"key\",\"exp\":99999999999,\"sha256\":\"%s\"}",
                        base64_encode(mem, slice_of(digest, sizeof digest)));
    text = arena_printf(mem, "%s.%s", base64url_encode(mem, SLICE_LIT("{\"alg\":\"HS256\"}")),
                        base64url_encode(mem, slice(text)));
    if (!HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET), (const unsigned char *)text, strlen(text), mac, &len))
        abort();
    return arena_printf(mem, "%s.%s", text, base64url_encode(mem, slice_of(mac, len)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice all = slice_of(data, size), header, body;
    LivekitNews news;

    (void)slice_cut(all, '\n', &header, &body);
    if (!err_failed(livekit_news_read(mem, &SYSTEM_CLOCK, KEY, SECRET, header, body, &news)))
        abort(); /* nobody guesses a signature */
    if (size > LIVEKIT_NEWS_MAX_BYTES ||
        err_failed(livekit_news_read(mem, &SYSTEM_CLOCK, KEY, SECRET, slice(token_for(mem, all)), all, &news)))
        return 0;
    if (news.kind != LIVEKIT_OTHER && news.channel_id <= 0)
        abort();
    return 0;
}
