/* livekit: see livekit.h. */
#include "services/chat/livekit.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "atrium/reasons.atrium.h"

enum { MAC_BYTES = 32 };

static void free_json(json_t **json)
{
    json_decref(*json);
}

char *livekit_room(Arena *mem, int64_t channel_id)
{
    return arena_printf(mem, "voice-%" PRId64, channel_id);
}

/* --- tokens ------------------------------------------------------------------------------------------------------ */
static Slice mac_of(Arena *mem, const char *secret, Slice text)
{
    uint8_t *mac = arena_alloc_raw(mem, MAC_BYTES, 1);
    unsigned len = MAC_BYTES;

    if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text.ptr, text.len, mac, &len))
        abort(); /* only when memory is out */
    return slice_of(mac, len);
}

/* Only what is granted is a member: LiveKit takes an absent one for false, but canPublish for true. */
static json_t *video_grant(const LivekitGrant *g)
{
    json_t *video = json_object();

    if (g->room)
        json_object_set_new(video, "room", json_string(g->room));
    if (g->join) {
        json_object_set_new(video, "roomJoin", json_true());
        json_object_set_new(video, "canSubscribe", json_true());
        json_object_set_new(video, "canPublish", json_boolean(g->publish));
    }
    if (g->admin)
        json_object_set_new(video, "roomAdmin", json_true());
    if (g->create)
        json_object_set_new(video, "roomCreate", json_true());
    return video;
}

static char *claims_text(Arena *mem, const Clock *clock, const char *key, const LivekitGrant *g)
{
    CLEANUP(free_json) json_t *claims = json_object();
    int64_t now_s = clock_unix_ms(clock) / 1000;
    char *text, *copy;

    json_object_set_new(claims, "iss", json_string(key));
    if (g->identity)
        json_object_set_new(claims, "sub", json_string(g->identity));
    if (g->name)
        json_object_set_new(claims, "name", json_string(g->name));
    json_object_set_new(claims, "iat", json_integer(now_s));
    json_object_set_new(claims, "nbf", json_integer(now_s));
    json_object_set_new(claims, "exp", json_integer(now_s + g->ttl_ms / 1000));
    json_object_set_new(claims, "video", video_grant(g));
    text = json_dumps(claims, JSON_COMPACT);
    copy = arena_strdup(mem, text ? text : "{}");
    free(text);
    return copy;
}

char *livekit_token(Arena *mem, const Clock *clock, const char *key, const char *secret, const LivekitGrant *grant)
{
    const char *head = base64url_encode(mem, SLICE_LIT("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"));
    const char *signed_text =
        arena_printf(mem, "%s.%s", head, base64url_encode(mem, slice(claims_text(mem, clock, key, grant))));

    return arena_printf(mem, "%s.%s", signed_text, base64url_encode(mem, mac_of(mem, secret, slice(signed_text))));
}

/* --- webhooks ---------------------------------------------------------------------------------------------------- */
static json_t *load_part(Arena *mem, Slice base64)
{
    Slice text;

    return base64_decode(mem, base64, &text) ? json_loadb(text.ptr, text.len, 0, NULL) : NULL;
}

static bool text_is(const json_t *object, const char *name, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text && strcmp(text, wanted) == 0;
}

/* The digest of the body in either base64, as a claim: only then is it this body that was signed. */
static bool digest_fits(Arena *mem, const json_t *claims, Slice body)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    Slice claimed;

    SHA256((const unsigned char *)body.ptr, body.len, digest);
    return base64_decode(mem, slice(json_string_value(json_object_get(claims, "sha256"))), &claimed) &&
           slice_eq(claimed, slice_of(digest, sizeof digest));
}

static bool claims_hold(Arena *mem, const Clock *clock, const char *key, const json_t *claims, Slice body)
{
    int64_t now_s = clock_unix_ms(clock) / 1000;
    const json_t *expires = json_object_get(claims, "exp"), *begins = json_object_get(claims, "nbf");

    return text_is(claims, "iss", key) && json_is_integer(expires) && json_integer_value(expires) > now_s &&
           (!json_is_integer(begins) || json_integer_value(begins) <= now_s) && digest_fits(mem, claims, body);
}

static bool token_holds(Arena *mem, const Clock *clock, const char *key, const char *secret, Slice token, Slice body)
{
    ptrdiff_t first = slice_find_char(token, '.');
    ptrdiff_t second = first < 0 ? -1 : slice_find_char(slice_skip(token, (size_t)first + 1), '.');
    CLEANUP(free_json) json_t *head = NULL;
    CLEANUP(free_json) json_t *claims = NULL;
    Slice signed_text, mac;

    if (second < 0 || token.len > LIVEKIT_TOKEN_MAX_BYTES)
        return false;
    signed_text = slice_take(token, (size_t)(first + 1 + second));
    if (!base64_decode(mem, slice_skip(token, signed_text.len + 1), &mac) ||
        !slice_eq_secret(mac, mac_of(mem, secret, signed_text)))
        return false;
    head = load_part(mem, slice_take(token, (size_t)first));
    claims = load_part(mem, slice_skip(signed_text, (size_t)first + 1));
    return text_is(head, "alg", "HS256") && claims_hold(mem, clock, key, claims, body);
}

/* "voice-<number>"; 0 for any other room. */
static int64_t room_channel(const json_t *room)
{
    Slice name = slice(json_string_value(json_object_get(room, "name")));
    int64_t id;

    if (!slice_starts_with(name, SLICE_LIT("voice-")) || !slice_to_int64(slice_skip(name, strlen("voice-")), &id))
        return 0;
    return MAX(id, 0);
}

/* Somebody who came again under the same name has pushed his older connection out: he is still there. */
static LivekitNews read_event(const json_t *event)
{
    const json_t *participant = json_object_get(event, "participant");
    LivekitNews news = {.channel_id = room_channel(json_object_get(event, "room"))};

    if (text_is(event, "event", "room_finished"))
        news.kind = LIVEKIT_ROOM_FINISHED;
    else if (text_is(event, "event", "participant_left") &&
             !text_is(participant, "disconnectReason", "DUPLICATE_IDENTITY") &&
             slice_to_int64(slice(json_string_value(json_object_get(participant, "identity"))), &news.user_id) &&
             news.user_id > 0)
        news.kind = LIVEKIT_PARTICIPANT_LEFT;
    if (!news.channel_id)
        news.kind = LIVEKIT_OTHER;
    return news;
}

Err livekit_news_read(Arena *mem, const Clock *clock, const char *key, const char *secret, Slice authorization,
                      Slice body, LivekitNews *out)
{
    Slice token = slice_trim(authorization);
    CLEANUP(free_json) json_t *event = NULL;

    if (slice_starts_with(token, SLICE_LIT("Bearer ")))
        token = slice_trim(slice_skip(token, strlen("Bearer ")));
    if (body.len > LIVEKIT_NEWS_MAX_BYTES || !token_holds(mem, clock, key, secret, token, body))
        return err_make(&UNAUTHENTICATED, "not signed by the voice server");
    event = json_loadb(body.ptr, body.len, 0, NULL);
    if (!json_is_object(event))
        return err_make(&INVALID_ARGUMENT, "no event");
    *out = read_event(event);
    return OK;
}
