// libfuse's low-level interface, and what else a mount needs of the C library that
// Swift's Glibc module leaves out.
#pragma once

// The interface as of libfuse 3.14, the version of Debian 12.
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <mntent.h>         // getmntent_r
#include <sys/eventfd.h>    // eventfd
#include <sys/sysmacros.h>  // gnu_dev_makedev
