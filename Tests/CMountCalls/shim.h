// System calls that the tests of mounts make and that Swift's Glibc module leaves out.
#pragma once

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

// Flags and values that depend on _GNU_SOURCE, which the Glibc module does without.
enum {
  mount_direct = __O_DIRECT,  // open(2)'s O_DIRECT
  mount_seek_data = 3,        // lseek(2)'s SEEK_DATA
  mount_seek_hole = 4,        // lseek(2)'s SEEK_HOLE
  mount_remount = 32,         // mount(2)'s MS_REMOUNT
};

// getdents64(2)
static inline long mount_getdents(int directory, void *entries, size_t size) {
  return syscall(SYS_getdents64, directory, entries, size);
}

// fallocate(2), with mode 0
static inline long mount_allocate(int file, int64_t offset, int64_t length) {
  return syscall(SYS_fallocate, file, 0, offset, length);
}

// memfd_create(2)
static inline int mount_memory_file(const char *name) {
  return (int)syscall(SYS_memfd_create, name, 0);
}

// copy_file_range(2), at the files' own positions
static inline long mount_copy_range(int from, int to, size_t length) {
  return syscall(SYS_copy_file_range, from, NULL, to, NULL, length, 0);
}

// splice(2), at the files' own positions
static inline long mount_splice(int from, int to, size_t length) {
  return syscall(SYS_splice, from, NULL, to, NULL, length, 0);
}
