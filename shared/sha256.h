/* sha256: SHA-256 whose state can be written down and taken up again, so that the digest of an upload outlives the
 * process that began it. The work is OpenSSL's, which uses the processor's instructions for it.
 *
 * Why not EVP: its states cannot be serialised, and the other way, to read again what is staged at every resumption,
 * costs the square of an upload's size for a client that sends it in small pieces (10 GB in pieces of 8 MB: 6 TB of
 * reading). */
#pragma once
#include "shared/slice.h"

typedef struct Sha256 {
    uint32_t words[8];
    uint64_t count_bytes; /* taken so far; the last count_bytes % 64 of them wait in `rest` */
    uint8_t rest[64];
} Sha256;

enum { SHA256_BYTES = 32, SHA256_HEX_BYTES = 65, SHA256_STATE_TEXT_BYTES = 64 + 1 + 20 + 1 + 126 + 1 };

void sha256_init(Sha256 *s);
void sha256_update(Sha256 *s, Slice bytes);
/* Of what came so far; `s` goes on. */
void sha256_digest(const Sha256 *s, uint8_t out[SHA256_BYTES]);
void sha256_hex(const Sha256 *s, char out[SHA256_HEX_BYTES]); /* lower case */
void sha256_hex_of(Slice bytes, char out[SHA256_HEX_BYTES]);
/* 64 digits of hex, lower case. */
bool sha256_is_hex(Slice text);

/* The state as text: letters, digits and dots. It is no secret and no proof: who can change it can choose the digest.
 */
void sha256_save(const Sha256 *s, char out[SHA256_STATE_TEXT_BYTES]);
bool sha256_restore(Slice text, Sha256 *out);
