/* futex.c - SYS_futex by libc's syscall(): futexes are our wait queues.
 *
 * Rust's std, GLib, libstdc++, nsync and other run-times wait by syscall(SYS_futex).
 * A private futex is a wait at its address, compared under the queue's lock. With the
 * shared flag it is ours, too, if nobody else can see the word: always for libstdc++,
 * which uses the shared form on private words, else if the mapping is private. Nothing
 * that was found out about a mapping is kept: the program can put another in its place
 * without our seeing it.
 * A wake serves our waiters first and asks the kernel for those still missing: code
 * that has the system call inline waits there. So a wake need not know whose the word
 * is, which takes a microsecond to find out; nor may it, since it would lose a wake-up
 * where it knew otherwise than the waiter: libstdc++ makes its last call a jump, so that
 * its wakes seem to come from the program.
 */
#include "shim/shim.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* ---- whose word ------------------------------------------------------------------ */

/* linux/fs.h of 6.11: which mapping is at an address. */
struct procmap_query_ {
	uint64_t size, query_flags, query_addr;
	uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset,
		inode;
	uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
	uint64_t vma_name_addr, build_id_addr;
};
#define PROCMAP_QUERY_ _IOWR('f', 17, struct procmap_query_)
#define VMA_SHARED 8u

static int shared_parsed(int fd, uintptr_t addr)
{
	char buf[4096], perms[8];
	size_t have = 0;
	ssize_t n;

	while ((n = REAL(syscall)(SYS_read, fd, buf + have,
				  sizeof(buf) - 1 - have)) > 0) {
		char *line = buf, *nl;

		have += (size_t)n;
		buf[have] = 0;
		while ((nl = strchr(line, '\n'))) {
			unsigned long lo, hi;

			if (sscanf(line, "%lx-%lx %7s", &lo, &hi, perms) ==
				    3 &&
			    lo <= addr && addr < hi)
				return perms[3] == 's';
			line = nl + 1;
		}
		have -= (size_t)(line - buf);
		memmove(buf, line, have);
		if (have == sizeof(buf) - 1)
			have = 0; /* a line longer than any: skip it */
	}
	return -1;
}

/* Others may map this word, too. When in doubt, yes: the kernel then does it. */
static bool sharedword(uintptr_t addr)
{
	struct procmap_query_ q = { .size = sizeof(q), .query_addr = addr };
	int fd = (int)REAL(syscall)(SYS_openat, AT_FDCWD, "/proc/self/maps",
				    O_RDONLY | O_CLOEXEC);
	int e = errno, shared = -1;

	if (fd < 0)
		return true;
	if (REAL(syscall)(SYS_ioctl, fd, PROCMAP_QUERY_, &q) == 0)
		shared = (q.vma_flags & VMA_SHARED) != 0;
	else
		shared = shared_parsed(fd, addr);
	REAL(syscall)(SYS_close, fd);
	errno = e;
	return shared != 0;
}

static __typeof__(_dl_find_object) *findobject; /* none before glibc 2.35 */
/* Its code, if it was there when the first thread started. It has unique symbols, so that
 * it is never unloaded. */
static uintptr_t cxxlo, cxxhi;

static int findcxx(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size, (void)arg;
	if (!info->dlpi_name || !strstr(info->dlpi_name, "libstdc++.so"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && (p->p_flags & PF_X)) {
			cxxlo = info->dlpi_addr + p->p_vaddr;
			cxxhi = cxxlo + p->p_memsz;
		}
	}
	return 1;
}

void futexinit(void)
{
	findobject = (__typeof__(findobject))dlsym(RTLD_DEFAULT,
						   "_dl_find_object");
	dl_iterate_phdr(findcxx, NULL);
}

/* dladdr only where there is nothing else: it looks for the nearest of thousands of
 * symbols, 10 us. */
static bool fromlibstdcxx(void *caller)
{
	struct dl_find_object dl;
	Dl_info info;

	if ((uintptr_t)caller - cxxlo < cxxhi - cxxlo)
		return true;
	if (findobject)
		return findobject(caller, &dl) == 0 &&
		       strstr(dl.dlfo_link_map->l_name, "libstdc++.so");
	return dladdr(caller, &info) && info.dli_fname &&
	       strstr(info.dli_fname, "libstdc++.so");
}

/* ---- the operations ------------------------------------------------------------------ */

struct compare {
	uint32_t *word, val;
};

static bool equal(void *arg)
{
	struct compare *c = arg;

	return __atomic_load_n(c->word, __ATOMIC_SEQ_CST) == c->val;
}

static int futexwait(uint32_t *word, uint32_t val, int64_t deadline,
		     uint32_t mask)
{
	struct compare c = { word, val };
	struct semawait w = { .addr = (uintptr_t)word,
			      .mask = mask,
			      .reason = WAIT_FUTEX,
			      .interruptible = true,
			      .deadline = deadline,
			      .check = equal,
			      .arg = &c };

	int r;

	do
		r = semawait(&w);
	while (r == -EINTR && deadline == NEVER && gsigrestarts());
	/* no cancellation point: to the caller it is a spurious wake-up */
	return r == -ECANCELED ? 0 : r;
}

static int timeoutof(int op, bool realtime, const struct timespec *ts,
		     int64_t *deadline)
{
	struct timespec now, abs;

	if (!ts) {
		*deadline = NEVER;
		return 0;
	}
	if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec > 999999999)
		return -EINVAL;
	if (op != FUTEX_WAIT)
		return deadlineof(realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC,
				  ts, deadline);
	REAL(clock_gettime)(CLOCK_MONOTONIC, &now);
	abs.tv_sec = ts->tv_sec > INT64_MAX / 2 ? INT64_MAX / 2 :
						  ts->tv_sec + now.tv_sec;
	abs.tv_nsec = ts->tv_nsec + now.tv_nsec;
	if (abs.tv_nsec > 999999999) {
		abs.tv_nsec -= 1000000000;
		abs.tv_sec++;
	}
	return deadlineof(CLOCK_MONOTONIC, &abs, deadline);
}

static long kernel(long *a)
{
	long r = REAL(syscall)(SYS_futex, a[0], a[1], a[2], a[3], a[4], a[5]);

	return r < 0 ? -errno : r;
}

/* One that is the kernel's, and waits there. */
static long kernelwait(long *a)
{
	bool relative = (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT;
	struct countdown c = { .asked = (const struct timespec *)a[3] };

	return BLOCKING(({
		if (relative)
			a[3] = (long)countdown(&c);
		REAL(syscall)(SYS_futex, a[0], a[1], a[2], a[3], a[4], a[5]);
	}));
}

static bool waits(long op)
{
	switch (op & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
	case FUTEX_WAIT_REQUEUE_PI:
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		return true;
	default:
		return false;
	}
}

/* Wake n of ours, then, for those missing, the kernel's. */
static long wake(long *a, uint32_t mask)
{
	uint32_t n = (uint32_t)a[2], woken;
	long more;

	if ((int)a[2] < 0)
		n = UINT32_MAX;
	/* as the kernel, which for a count of zero wakes one, if any */
	woken = semawake((uintptr_t)a[0], n ? n : 1, mask);
	if (woken >= (n ? n : 1))
		return woken;
	a[2] = (int)(n - woken < INT32_MAX ? n - woken : INT32_MAX);
	more = kernel(a);
	return more < 0 ? (woken ? (long)woken : more) : woken + more;
}

static long requeue(long *a, bool cmp)
{
	struct compare c = { (uint32_t *)a[0], (uint32_t)a[5] };
	int64_t r = semarequeue((uintptr_t)a[0], (uint32_t)a[2],
				(uintptr_t)a[4], (uint32_t)a[3],
				cmp ? equal : NULL, &c);

	return r;
}

/* n bits of word from there on, with their sign. */
static int32_t field(uint32_t word, int from, int n)
{
	return (int32_t)(word << (32 - from - n)) >> (32 - n);
}

static int64_t changed(uint32_t *word, uint32_t op, uint32_t arg)
{
	switch (op) {
	case FUTEX_OP_SET:
		return __atomic_exchange_n(word, arg, __ATOMIC_SEQ_CST);
	case FUTEX_OP_ADD:
		return __atomic_fetch_add(word, arg, __ATOMIC_SEQ_CST);
	case FUTEX_OP_OR:
		return __atomic_fetch_or(word, arg, __ATOMIC_SEQ_CST);
	case FUTEX_OP_ANDN:
		return __atomic_fetch_and(word, ~arg, __ATOMIC_SEQ_CST);
	case FUTEX_OP_XOR:
		return __atomic_fetch_xor(word, arg, __ATOMIC_SEQ_CST);
	default:
		return -ENOSYS;
	}
}

static int holds(int32_t was, uint32_t cmp, int32_t arg)
{
	switch (cmp) {
	case FUTEX_OP_CMP_EQ:
		return was == arg;
	case FUTEX_OP_CMP_NE:
		return was != arg;
	case FUTEX_OP_CMP_LT:
		return was < arg;
	case FUTEX_OP_CMP_LE:
		return was <= arg;
	case FUTEX_OP_CMP_GT:
		return was > arg;
	case FUTEX_OP_CMP_GE:
		return was >= arg;
	default:
		return -ENOSYS;
	}
}

/* Change the second word, wake at the first, and at the second if what it was compares.
 * In that order and no lock around: who begins to wait in between queues behind those
 * that this is for. */
static long wakeop(long *a)
{
	uint32_t what = (uint32_t)a[5], op = what >> 28;
	uint32_t arg = (uint32_t)field(what, 12, 12);
	long second[6] = { a[4], a[1], a[3] }, n, more;
	int64_t was;
	int both;

	if (op & FUTEX_OP_OPARG_SHIFT)
		arg = 1u << (arg & 31);
	was = changed((uint32_t *)a[4], op & ~(uint32_t)FUTEX_OP_OPARG_SHIFT,
		      arg);
	if (was < 0)
		return was;
	both = holds((int32_t)was, what >> 24 & 15, field(what, 0, 12));
	if (both < 0)
		return both;
	a[1] = second[1] = FUTEX_WAKE | (a[1] & FUTEX_PRIVATE_FLAG);
	n = wake(a, 0);
	if (n < 0 || !both)
		return n;
	more = wake(second, 0);
	return more < 0 ? more : n + more;
}

/* A futex call on a word that is ours. -ENOSYS: not one of those. */
static long ourfutex(long *a)
{
	int op = (int)a[1] & FUTEX_CMD_MASK;
	uint32_t *word = (uint32_t *)a[0];
	int64_t deadline;
	int e;

	switch (op) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		if ((uintptr_t)word % 4 ||
		    (op == FUTEX_WAIT_BITSET && (uint32_t)a[5] == 0))
			return -EINVAL;
		e = timeoutof(op, (a[1] & FUTEX_CLOCK_REALTIME) != 0,
			      (const struct timespec *)a[3], &deadline);
		if (e)
			return e;
		return futexwait(word, (uint32_t)a[2], deadline,
				 op == FUTEX_WAIT ? 0 : (uint32_t)a[5]);
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		if ((uintptr_t)word % 4 ||
		    (op == FUTEX_WAKE_BITSET && (uint32_t)a[5] == 0))
			return -EINVAL;
		return wake(a, op == FUTEX_WAKE ? 0 : (uint32_t)a[5]);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		if ((int)a[2] < 0 || (int)a[3] < 0)
			return -EINVAL;
		return requeue(a, op == FUTEX_CMP_REQUEUE);
	case FUTEX_WAKE_OP:
		if ((uintptr_t)word % 4 || a[4] % 4)
			return -EINVAL;
		return wakeop(a);
	default:
		return -ENOSYS;
	}
}

/* A wait for the end of a thread that the program has made by clone: its number is there
 * until the kernel itself clears it, and wakes in the kernel (CLONE_CHILD_CLEARTID). If it
 * has ended already, the word has changed. */
static bool untilgone(long *a)
{
	int op = (int)a[1] & FUTEX_CMD_MASK, e = errno;
	bool alive = (op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET) &&
		     (int)a[2] > 0 &&
		     REAL(syscall)(SYS_tgkill, getpid(), (int)a[2], 0) == 0;

	errno = e;
	return alive;
}

static bool wakes(long op)
{
	return (op & FUTEX_CMD_MASK) == FUTEX_WAKE ||
	       (op & FUTEX_CMD_MASK) == FUTEX_WAKE_BITSET;
}

static bool isours(long *a, void *caller)
{
	return (a[1] & FUTEX_PRIVATE_FLAG) || wakes(a[1]) ||
	       fromlibstdcxx(caller) ||
	       (!sharedword((uintptr_t)a[0]) && !untilgone(a));
}

bool futexcall(long *a, void *caller, long *res)
{
	int e = errno;
	long r = -ENOSYS;

	if (schedstarted && !self.vforked && isours(a, caller))
		r = ourfutex(a);
	if (r != -ENOSYS) {
		errno = e;
		*res = r < 0 ? ret_errno((int)r) : r;
		return true;
	}
	if (!ong() || !waits(a[1]))
		return false;
	*res = kernelwait(a);
	return true;
}
