/* smtp: hands one mail to a server, over libcurl. Blocking, from a background thread. */
#pragma once
#include <stdatomic.h>

#include "services/auth/auth.h"

/* UNAVAILABLE, with the server's word or why there is none; CANCELLED within about a second once `*cancel` is true.
 * Nothing goes out unencrypted unless the settings say so. */
Err smtp_send(const AuthSettings *settings, Arena *mem, const char *to, Slice message,
              const atomic_bool *cancel) MUST_CHECK;
