/* webhook_internal: what the two files of webhook share. */
#pragma once
#include "shared/webhook.h"

/* False when no key fits: it was sealed with one that is gone. */
bool webhook_unseal(const WebhookKeys *keys, Arena *mem, Slice sealed, Slice *out);
