/* syscall.c - libc's syscall(): what this library does by a function's name it does by the
 * call's number, too; the rest is the kernel's.
 *
 * Each family has its numbers in a file of its own; here are those that wait for a file
 * or for a time, which are their namesakes but that syscall() is no cancellation point.
 * In the kernel they would hold their kernel thread, and a transfer that a signal of ours
 * meets would be short.
 */
#include "shim/shim.h"
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#define A(type, i) ((type)(uintptr_t)a[i])
#define FD(i)	   A(int, i)

static bool waitcall(long n, const long *a, long *res)
{
	switch (n) {
#define ROW(name, ...)                                                         \
	case SYS_##name:                                                       \
		*res = UNCANCELLED(name(__VA_ARGS__));                         \
		return true;
	ROW(read, FD(0), A(void *, 1), A(size_t, 2))
	ROW(write, FD(0), A(void *, 1), A(size_t, 2))
	ROW(readv, FD(0), A(struct iovec *, 1), A(int, 2))
	ROW(writev, FD(0), A(struct iovec *, 1), A(int, 2))
	ROW(preadv2, FD(0), A(struct iovec *, 1), A(int, 2), a[3], A(int, 5))
	ROW(pwritev2, FD(0), A(struct iovec *, 1), A(int, 2), a[3], A(int, 5))
	ROW(recvfrom, FD(0), A(void *, 1), A(size_t, 2), A(int, 3),
	    A(struct sockaddr *, 4), A(socklen_t *, 5))
	ROW(sendto, FD(0), A(void *, 1), A(size_t, 2), A(int, 3),
	    A(struct sockaddr *, 4), A(socklen_t, 5))
	ROW(recvmsg, FD(0), A(struct msghdr *, 1), A(int, 2))
	ROW(sendmsg, FD(0), A(struct msghdr *, 1), A(int, 2))
	ROW(recvmmsg, FD(0), A(struct mmsghdr *, 1), A(unsigned, 2), A(int, 3),
	    A(struct timespec *, 4))
	ROW(sendmmsg, FD(0), A(struct mmsghdr *, 1), A(unsigned, 2), A(int, 3))
	ROW(sendfile, FD(0), FD(1), A(off_t *, 2), A(size_t, 3))
	ROW(splice, FD(0), A(off64_t *, 1), FD(2), A(off64_t *, 3),
	    A(size_t, 4), A(unsigned, 5))
	ROW(tee, FD(0), FD(1), A(size_t, 2), A(unsigned, 3))
	ROW(connect, FD(0), A(struct sockaddr *, 1), A(socklen_t, 2))
	ROW(accept, FD(0), A(struct sockaddr *, 1), A(socklen_t *, 2))
	ROW(accept4, FD(0), A(struct sockaddr *, 1), A(socklen_t *, 2),
	    A(int, 3))
	ROW(close, FD(0))
	ROW(dup2, FD(0), FD(1))
	ROW(dup3, FD(0), FD(1), A(int, 2))
	ROW(poll, A(struct pollfd *, 0), A(nfds_t, 1), A(int, 2))
	ROW(epoll_wait, FD(0), A(struct epoll_event *, 1), A(int, 2), A(int, 3))
	ROW(nanosleep, A(struct timespec *, 0), A(struct timespec *, 1))
#undef ROW
	default:
		return false;
	}
}

EXPORT long syscall(long n, ...)
{
	long a[6], r = -ENOSYS;
	va_list ap;

	va_start(ap, n);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (n == SYS_pkey_alloc)
		return pkey_alloc((unsigned)a[0], (unsigned)a[1]);
	if (n == SYS_futex) {
		if (futexcall(a, __builtin_return_address(0), &r))
			return r;
	} else {
		if (schedstarted && self.gp && (r = tidcall(n, a)) != -ENOSYS)
			return r < 0 ? ret_errno((int)r) : r;
		if (ong() && (waitcall(n, a, &r) || blockcall(n, a, &r) ||
			      keepcall(n, a, &r)))
			return r;
	}
	if (forkcall(n, a, &r) || execcall(n, a, &r))
		return r;
	return REAL(syscall)(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}
