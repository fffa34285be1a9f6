/* os.h - the kernel as core sees it: raw calls, -E on error, no errno. */
#ifndef CORE_OS_H
#define CORE_OS_H

#include "asm/x86_64/syscall.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096ul
#define O_RDONLY_CLOEXEC 02000000

/* Sleep while *addr == val, until deadline (monotonic ns, INT64_MAX: none). */
int futexsleep(uint32_t *addr, uint32_t val, int64_t deadline);
void futexwakeup(uint32_t *addr, uint32_t n);
/* Address space that cannot be read, and is left out of core files: debuggers would write
 * it all. NULL on failure. sysopen makes a part of it memory; false on failure. */
void *sysreserve(size_t size);
bool sysopen(uintptr_t p, size_t size);
void *sysalloc(size_t size);		 /* readable, zeroed; NULL on failure */
void sysfree(void *p, size_t size);
int64_t sysnanotime(void);		 /* CLOCK_MONOTONIC by system call */
int usleep_raw(uint32_t us);		 /* 0 or -EINTR */
int gettid_raw(void);
void oswrite(int fd, const char *s, size_t n);

static inline int64_t nanotime(void);

#include "core/core.h"
static inline int64_t nanotime(void)
{
	return corehooks.nanotime ? corehooks.nanotime() : sysnanotime();
}

#endif
