/* os_linux.c - raw kernel calls. They bypass libc on purpose: core may run on a
 * scheduler stack, with any thread's identity, inside fork. */
#include "core/os.h"
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/time_types.h>

#define NSEC 1000000000l
#define PROT_READ_ 1
#define PROT_WRITE_ 2
#define MADV_DONTDUMP_ 16
#define MADV_DODUMP_ 17
#define MAP_PRIVATE_ 0x02
#define MAP_ANONYMOUS_ 0x20
#define MAP_NORESERVE_ 0x4000
#define CLOCK_MONOTONIC_ 1

/* WAIT_BITSET because its timeout is absolute and on the monotonic clock. */
int futexsleep(uint32_t *addr, uint32_t val, int64_t deadline)
{
	struct __kernel_timespec ts = { deadline / NSEC, deadline % NSEC };

	if (deadline < 0)
		ts.tv_sec = ts.tv_nsec = 0;
	return (int)RAW(__NR_futex, addr,
			FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, val,
			deadline == NEVER ? NULL : &ts, NULL,
			FUTEX_BITSET_MATCH_ANY);
}

void futexwakeup(uint32_t *addr, uint32_t n)
{
	RAW(__NR_futex, addr, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n);
}

static void *map(size_t size, int prot, int flags)
{
	long p = RAW(__NR_mmap, 0, size, prot,
		     MAP_PRIVATE_ | MAP_ANONYMOUS_ | flags, -1, 0);

	return p < 0 && p > -4096 ? NULL : (void *)p;
}

void *sysreserve(size_t size)
{
	void *p = map(size, 0, MAP_NORESERVE_);

	if (p)
		RAW(__NR_madvise, p, size, MADV_DONTDUMP_);
	return p;
}

bool sysopen(uintptr_t p, size_t size)
{
	if (RAW(__NR_mprotect, p, size, PROT_READ_ | PROT_WRITE_))
		return false;
	RAW(__NR_madvise, p, size, MADV_DODUMP_);
	return true;
}

void *sysalloc(size_t size)
{
	return map(size, PROT_READ_ | PROT_WRITE_, 0);
}

void sysfree(void *p, size_t size)
{
	RAW(__NR_munmap, p, size);
}

int64_t sysnanotime(void)
{
	struct __kernel_timespec ts;

	RAW(__NR_clock_gettime, CLOCK_MONOTONIC_, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

int usleep_raw(uint32_t us)
{
	struct __kernel_timespec ts = { us / 1000000, us % 1000000 * 1000l };

	return (int)RAW(__NR_nanosleep, &ts, NULL);
}

int gettid_raw(void)
{
	return (int)RAW(__NR_gettid);
}

void oswrite(int fd, const char *s, size_t n)
{
	RAW(__NR_write, fd, s, n);
}
