#include "CChecksum.h"

#include <string.h>

static inline uint64_t word(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

#if defined(__x86_64__)
#include <immintrin.h>

bool floe_crc32c_hardware_available(void) {
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

// The crc32 instruction takes eight bytes a cycle but answers only three cycles
// later, so three lanes run side by side. Three lanes and two words make 4096 bytes.
enum { lane = 1360 };

// What a lane's register becomes when `lane`, or two times `lane`, zero bytes follow
// is its product with x^(8n) modulo the polynomial. The carry-less product of two
// reflected numbers is one power of x too high and the crc32 instruction multiplies
// by x^32, so the factors are x^(8n - 33), reflected.
static const uint32_t after_one_lane = 0x3f70cc6f;
static const uint32_t after_two_lanes = 0x5aa1f3cf;

__attribute__((target("sse4.2,pclmul")))
static inline uint64_t product(uint64_t state, uint32_t factor) {
  __m128i result = _mm_clmulepi64_si128(
      _mm_cvtsi64_si128((long long)state), _mm_cvtsi64_si128((long long)factor), 0);
  return (uint64_t)_mm_cvtsi128_si64(result);
}

__attribute__((target("sse4.2,pclmul")))
uint32_t floe_crc32c_hardware(uint32_t state, const void *bytes, size_t count) {
  const uint8_t *at = bytes;
  uint64_t first = state;
  for (; count >= 3 * lane; count -= 3 * lane) {
    uint64_t second = 0, third = 0;
    for (size_t step = 0; step < lane; step += 8) {
      first = _mm_crc32_u64(first, word(at + step));
      second = _mm_crc32_u64(second, word(at + lane + step));
      third = _mm_crc32_u64(third, word(at + 2 * lane + step));
    }
    uint64_t shifted = product(first, after_two_lanes) ^ product(second, after_one_lane);
    first = _mm_crc32_u64(0, shifted) ^ third;
    at += 3 * lane;
  }
  for (; count >= 8; count -= 8, at += 8) first = _mm_crc32_u64(first, word(at));
  for (; count > 0; count--, at++) first = _mm_crc32_u8((uint32_t)first, *at);
  return (uint32_t)first;
}

#elif defined(__aarch64__) && defined(__linux__)
#include <arm_acle.h>
#include <sys/auxv.h>

bool floe_crc32c_hardware_available(void) {
  const unsigned long hwcap_crc32 = 1UL << 7; // asm/hwcap.h
  return (getauxval(AT_HWCAP) & hwcap_crc32) != 0;
}

__attribute__((target("crc")))
uint32_t floe_crc32c_hardware(uint32_t state, const void *bytes, size_t count) {
  const uint8_t *at = bytes;
  for (; count >= 8; count -= 8, at += 8) state = __crc32cd(state, word(at));
  for (; count > 0; count--, at++) state = __crc32cb(state, *at);
  return state;
}

#else

bool floe_crc32c_hardware_available(void) { return false; }

// Never reached: the caller asks first.
uint32_t floe_crc32c_hardware(uint32_t state, const void *bytes, size_t count) {
  (void)bytes, (void)count;
  return state;
}

#endif
