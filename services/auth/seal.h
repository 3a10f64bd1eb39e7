/* seal: keys derived of the service's one secret (AUTH_SECRET_KEY, or JWT_SECRET where that is empty), and secrets at
 * rest that must be read again, so that no hash does. */
#pragma once
#include "services/auth/auth.h"

enum { DERIVED_KEY_BYTES = 32 };
/* HKDF-SHA-256 without a salt (RFC 5869); one label, one purpose. */
void secret_derive(const AuthSettings *settings, const char *label, uint8_t out[DERIVED_KEY_BYTES]);

/* Encrypted and authenticated, with a nonce of its own; borrowed from `mem`. */
Slice seal(const AuthSettings *settings, Arena *mem, Slice plain);
/* False when it was sealed with another secret, or is not what was sealed. */
bool unseal(const AuthSettings *settings, Arena *mem, Slice sealed, Slice *out);
