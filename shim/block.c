/* block.c - calls that take long in the kernel and cannot park: the P goes on meanwhile,
 * and no signal of ours cuts them short. block.def is the table.
 */
#include "shim/shim.h"
#include <asm/ioctls.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/random.h>
#include <sys/syscall.h>

#define GETEVENTS 1l /* IORING_ENTER_GETEVENTS */
#define ARGS(...) __VA_ARGS__

/* The kinds differ in what is made again, and in what comes before. */
#define CALL_(type, name, params, args, before, call)                          \
	EXPORT type name params                                                \
	{                                                                      \
		NATIVELY(name, ARGS args);                                     \
		if (!ong())                                                    \
			return REAL(name) args;                                \
		before;                                                        \
		return call;                                                   \
	}
#define CALL(type, name, params, args, before, how)                            \
	CALL_(type, name, params, args, before, how(REAL(name) args))
#define REPEAT(type, name, params, args)                                       \
	CALL(type, name, params, args, , BLOCKING)
#define ENDS(type, name, params, args, syscall)                                \
	CALL_(type, name, params, args, cancelpoint(),                         \
	      (type)POINTCALL syscall)
#define ERROR(type, name, params, args)                                        \
	CALL(type, name, params, args, , BLOCKING_ERROR)
#define ONCE(type, name, params, args)                                         \
	CALL(type, name, params, args, , HANDOFF)
#define ALIAS(name, of) ALIAS_OF(name, of);
#include "shim/block.def"

/* ---- those with a timeout ---------------------------------------------------------- */

const struct timespec *countdown(struct countdown *c)
{
	const struct timespec *ts = c->asked;
	int64_t left;

	if (!ts || ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec > 999999999)
		return ts;
	if (!c->deadline) {
		c->deadline = deadlinein(ts);
		return ts;
	}
	left = c->deadline - corehooks.nanotime();
	if (left < 0)
		left = 0;
	c->left = (struct timespec){ left / 1000000000, left % 1000000000 };
	return &c->left;
}

EXPORT int semtimedop(int id, struct sembuf *ops, size_t n,
		      const struct timespec *timeout)
{
	NATIVELY(semtimedop, id, ops, n, timeout);
	struct countdown c = { .asked = timeout };

	if (!ong())
		return REAL(semtimedop)(id, ops, n, timeout);
	return BLOCKING(REAL(semtimedop)(id, ops, n, countdown(&c)));
}

EXPORT int aio_suspend(const struct aiocb *const list[], int n,
		       const struct timespec *restrict timeout)
{
	NATIVELY(aio_suspend, list, n, timeout);
	struct countdown c = { .asked = timeout };

	if (!ong())
		return REAL(aio_suspend)(list, n, timeout);
	cancelpoint();
	return BLOCKING(REAL(aio_suspend)(list, n, countdown(&c)));
}

EXPORT int aio_suspend64(const struct aiocb64 *const list[], int n,
			 const struct timespec *restrict timeout)
{
	NATIVELY(aio_suspend64, list, n, timeout);

	return aio_suspend((const struct aiocb *const *)list, n, timeout);
}

/* ---- one that a signal makes short -------------------------------------------------------- */

EXPORT ssize_t getrandom(void *buf, size_t size, unsigned flags)
{
	NATIVELY(getrandom, buf, size, flags);
	uint32_t handled = gsighandled();
	size_t done = 0;
	ssize_t r;

	if (!ong())
		return REAL(getrandom)(buf, size, flags);
	do {
		r = BLOCKING(REAL(getrandom)((char *)buf + done, size - done,
					     flags));
		if (r < 0)
			break;
		done += (size_t)r;
		/* without signals only /dev/random's may be */
	} while (done < size && !(flags & GRND_RANDOM) &&
		 gsighandled() == handled);
	return done ? (ssize_t)done : r;
}

/* ---- those with a variable argument ----------------------------------------------------- */

EXPORT void syslog(int pri, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsyslog(pri, fmt, ap);
	va_end(ap);
}

EXPORT void __syslog_chk(int pri, int flag, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	__vsyslog_chk(pri, flag, fmt, ap);
	va_end(ap);
}

/* ---- by number ----------------------------------------------------------------------- */

static long kernel(long n, long *a, int timeout, struct countdown *c)
{
	if (timeout >= 0)
		a[timeout] = (long)countdown(c);
	return REAL(syscall)(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Submit, then wait. In one call, a signal of ours that ends the wait would not show: what
 * it returns is what it has submitted. */
static long submitandwait(long *a)
{
	long submit[6] = { a[0], a[1], 0, a[3] & ~GETEVENTS, 0, 0 };
	long wait[6] = { a[0], 0, a[2], a[3], 0, a[5] };
	long r = BLOCKING(kernel(SYS_io_uring_enter, submit, -1, NULL));
	int e = errno;

	if (r != (long)(uint32_t)a[1])
		return r;
	(void)BLOCKING(kernel(SYS_io_uring_enter, wait, -1, NULL));
	errno = e;
	return r;
}

bool blockcall(long n, long *a, long *res)
{
	struct countdown c = { 0 };
	int timeout = -1, mask = -1; /* which argument is one */

	switch (n) {
	case SYS_flock:
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_syncfs:
	case SYS_sync:
	case SYS_msync:
	case SYS_sync_file_range:
	case SYS_fallocate:
	case SYS_ftruncate:
	case SYS_truncate:
	case SYS_copy_file_range:
	case SYS_wait4:
	case SYS_waitid:
	case SYS_msgrcv:
	case SYS_msgsnd:
	case SYS_semop:
	case SYS_mq_timedreceive:
	case SYS_mq_timedsend:
	case SYS_futex_waitv:
		break;
	case SYS_semtimedop:
		timeout = 3;
		break;
	case SYS_io_getevents:
		timeout = 4;
		break;
	case SYS_io_pgetevents:
		timeout = 4;
		mask = 5;
		break;
	case SYS_io_uring_enter:
		if ((uint32_t)a[1] && (a[3] & GETEVENTS) && !a[4]) {
			*res = submitandwait(a);
			return true;
		}
		mask = 4;
		break;
	case SYS_fcntl:
		if (a[1] == F_SETLKW || a[1] == F_OFD_SETLKW)
			break;
		return false;
	case SYS_getrandom:
		*res = getrandom((void *)a[0], (size_t)a[1], (unsigned)a[2]);
		return true;
	default:
		return false;
	}
	if (timeout >= 0)
		c.asked = (const struct timespec *)a[timeout];
	/* a signal that only this mask lets in is not ours to judge */
	*res = mask >= 0 && a[mask] ? HANDOFF(kernel(n, a, -1, NULL)) :
				      BLOCKING(kernel(n, a, timeout, &c));
	return true;
}
