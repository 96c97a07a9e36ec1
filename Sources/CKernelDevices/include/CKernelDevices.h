// Calls about block devices and file systems that Swift cannot make: ioctls, variadic
// calls, calls without a libc wrapper. The system's headers stay in CKernelDevices.c.
#pragma once
#include <stdint.h>

// Every call gives -1 and sets errno on failure.

// Mounts the file system of a block device read-only where no path leads to: the mount
// lasts as long as the descriptor that is given, and whoever is killed leaves none
// (fsopen(2), fsmount(2): Linux 5.2). An XFS may have the UUID of one that is mounted.
// `without_log`: its log is not replayed (`norecovery`), which is right only where it
// holds nothing that is not in its place.
int ckernel_mount_read_only(const char *type, const char *device, int without_log);

// Lets a device-mapper device of this number go on that is suspended
// (linux/dm-ioctl.h, DM_DEV_SUSPEND without DM_SUSPEND_FLAG). `control` is
// /dev/mapper/control, open.
int ckernel_resume(int control, uint32_t major, uint32_t minor);

// What the only target of a device-mapper device of this number says of itself, as `dmsetup
// status` prints it: its type, a space, its words (linux/dm-ioctl.h, DM_TABLE_STATUS). Nothing
// is written out for it. ENODATA: it has no table, or more than one target. `control` is
// /dev/mapper/control, open.
int ckernel_target_status(int control, uint32_t major, uint32_t minor, char *text,
                          uint32_t size);

// Tells the kernel that others' writes wait for this process, so that it never makes it wait
// for them when it looks for memory (prctl(2), PR_SET_IO_FLUSHER: Linux 5.6).
int ckernel_write_for_others(void);

// Writes out all that is written to the file system of a file that is open (syncfs(2)).
int ckernel_write_out(int directory);

// Makes a file without a name in a directory and writes it out, in a process of its own: on a
// file system that is frozen that waits for as long as it is, and cannot be ended. Returns 0, or
// -1 with errno, ETIMEDOUT when it was not done after so many milliseconds.
int ckernel_touch(int directory, int milliseconds);

// Keeps all memory of the process, now and later, from being written out or dropped
// (mlockall(2)).
int ckernel_lock_memory(void);

// Has this process run before all that has no deadline, lvm2 in its critical section among
// them; its children do not (sched_setscheduler(2), SCHED_FIFO).
int ckernel_run_first(void);
