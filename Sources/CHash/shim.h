#pragma once

// Debian's hash functions, each over one run of bytes.

#include <blake2.h>
#include <nettle/sha2.h>
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

static inline uint64_t chash_xxhash64(const void *bytes, size_t count) {
  return XXH64(bytes, count, 0);
}

/// `digest` takes 32 bytes.
static inline void chash_sha256(const void *bytes, size_t count, uint8_t *digest) {
  struct sha256_ctx state;
  sha256_init(&state);
  sha256_update(&state, count, (const uint8_t *)bytes);
  sha256_digest(&state, SHA256_DIGEST_SIZE, digest);
}

/// BLAKE2b with a digest of 32 bytes and without a key; 0 when it could be made.
static inline int chash_blake2b(const void *bytes, size_t count, uint8_t *digest) {
  return blake2b(digest, bytes, NULL, 32, count, 0);
}
