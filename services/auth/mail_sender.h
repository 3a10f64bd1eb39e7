/* mail_sender: sends what waits, in the background, in one instance at a time. A mail is claimed before it is sent, and
 * comes again when that fails; it could come twice only if the process died between the server's word and ours. */
#pragma once
#include <stdatomic.h>

#include "services/auth/auth.h"
#include "shared/sweeper.h"

typedef struct MailSender MailSender;
/* As smtp_send. */
typedef Err (*MailSend)(const AuthSettings *settings, Arena *mem, const char *to, Slice message,
                        const atomic_bool *cancel);
typedef struct MailSenderOptions {
    const Auth *auth;
    Db *db;
    const Clock *clock;
    Log *log;
    Metrics *metrics;
    MailSend send;
} MailSenderOptions;
MailSender *mail_sender_start(const MailSenderOptions *options);
void mail_sender_stop(MailSender *sender); /* NULL is fine */

/* What the thread does each time, for tests too: takes one mail that is due. False when there was none, or the server
 * cannot be reached, so that more would not come further. */
bool mail_sender_step(MailSender *sender);
/* Without a thread. */
MailSender *mail_sender_new(const MailSenderOptions *options);
void mail_sender_free(MailSender *sender);
