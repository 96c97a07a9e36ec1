#include "CLinuxIO.h"

#include <sys/xattr.h>

long floe_getxattr(const char *path, const char *name, void *value, size_t size) {
  return getxattr(path, name, value, size);
}
