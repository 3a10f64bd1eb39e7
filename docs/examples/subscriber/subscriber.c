/* Prints the ends of logins as they happen: an outside subscriber in C, with the NATS project's own client (libnats)
 * and messages made of the platform's protos by protoc-c. Build: make example-subscriber.
 *
 *   NATS_URL=… NATS_USER=… NATS_PASSWORD=… build/bin/example-subscriber 'evt.auth.login.>'
 *
 * With a durable credential the subject is _INBOX.<user>.events; each event is acknowledged there once it is dealt
 * with. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nats/nats.h>

#include "atrium/auth/v1/auth.pb-c.h"

static const char *header(natsMsg *msg, const char *name)
{
    const char *value = NULL;

    return natsMsgHeader_Get(msg, name, &value) == NATS_OK ? value : "";
}

/* The CloudEvents headers tell what the body is; unknown types are none of our business. */
static void print_event(natsMsg *msg)
{
    Auth__V1__LoginEnded *event;

    if (strcmp(header(msg, "ce-type"), "atrium.auth.login.ended") != 0)
        return;
    event =
        auth__v1__login_ended__unpack(NULL, (size_t)natsMsg_GetDataLength(msg), (const uint8_t *)natsMsg_GetData(msg));
    if (!event)
        return;
    printf("%s %s login %s of user %" PRId64 "\n", header(msg, "ce-type"), header(msg, "ce-id"), event->login_id,
           event->user_id);
    auth__v1__login_ended__free_unpacked(event, NULL);
}

/* With a durable credential the server waits for this, and delivers again what was not acknowledged. Events may come
 * twice in any case: ce-id tells. Other reply subjects are the publisher's own affair. */
static void acknowledge(natsConnection *nc, natsMsg *msg)
{
    const char *reply = natsMsg_GetReply(msg);

    if (reply && strncmp(reply, "$JS.ACK.", strlen("$JS.ACK.")) == 0)
        (void)natsConnection_Publish(nc, reply, NULL, 0); /* lost: it comes again */
}

int main(int argc, char **argv)
{
    const char *url = getenv("NATS_URL"), *user = getenv("NATS_USER"), *password = getenv("NATS_PASSWORD");
    natsOptions *options = NULL;
    natsConnection *nc = NULL;
    natsSubscription *sub = NULL;
    natsMsg *msg;
    natsStatus s = natsOptions_Create(&options);

    if (s == NATS_OK)
        s = natsOptions_SetURL(options, url ? url : "nats://127.0.0.1:4222");
    if (s == NATS_OK)
        s = natsOptions_SetUserInfo(options, user, password);
    if (s == NATS_OK)
        s = natsOptions_SetMaxReconnect(options, -1);
    if (s == NATS_OK)
        s = natsConnection_Connect(&nc, options);
    if (s == NATS_OK)
        s = natsConnection_SubscribeSync(&sub, nc, argc > 1 ? argv[1] : "evt.auth.login.>");
    if (s == NATS_OK)
        s = natsConnection_Flush(nc);
    if (s == NATS_OK)
        puts("listening");
    while (s == NATS_OK) {
        fflush(stdout);
        s = natsSubscription_NextMsg(&msg, sub, 60000);
        if (s == NATS_TIMEOUT) {
            s = NATS_OK;
            continue;
        }
        if (s != NATS_OK)
            break;
        print_event(msg);
        acknowledge(nc, msg);
        natsMsg_Destroy(msg);
    }
    fprintf(stderr, "subscriber: %s\n", natsStatus_GetText(s));
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(nc);
    natsOptions_Destroy(options);
    nats_Close();
    return 1;
}
