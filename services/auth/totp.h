/* totp: one-time codes by time (RFC 6238: SHA-1, 30 s, six digits), as every authenticator program makes them, and
 * recovery codes. Pure functions. */
#pragma once
#include "shared/slice.h"

enum { TOTP_SECRET_BYTES = 20, TOTP_DIGITS = 6, TOTP_STEP_S = 30, RECOVERY_CODES = 10 };

/* The number that a code of this step shows: six digits, leading zeros included. */
uint32_t totp_number(Slice secret, int64_t step);
/* Is `code` good at this time, or a step before or after? Then `*out_step` is its step, by which a second use is told.
 */
bool totp_check(Slice secret, const char *code, int64_t now_s, int64_t *out_step);
/* Six digits? Anything else may be a recovery code. */
bool totp_looks_like_code(const char *code);

/* RFC 4648, without padding; borrowed from `mem`. */
char *base32_encode(Arena *mem, Slice bytes);
/* otpauth://totp/…, for a QR code; `secret` in base 32. */
char *totp_url(Arena *mem, const char *issuer, const char *account, const char *secret);

/* 80 random bits: "xxxx-xxxx-xxxx-xxxx". */
char *recovery_code_make(Arena *mem);
/* SHA-256 of the code, however it was typed; borrowed from `mem`. */
Slice recovery_code_hash(Arena *mem, const char *code);
