// libblkid's low-level probing: partition tables and superblocks.
#pragma once
#include <blkid/blkid.h>
