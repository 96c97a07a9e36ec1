#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Whether this processor has the instructions that `floe_crc32c_hardware` needs.
bool floe_crc32c_hardware_available(void);

/// Runs the CRC-32C register `state` over `count` bytes, without the inversions
/// before and after. To be called only where the processor can.
uint32_t floe_crc32c_hardware(uint32_t state, const void *_Nullable bytes, size_t count);
