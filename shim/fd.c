/* fd.c - the life of file numbers: the poller must know when one is another file.
 *
 * Who waits for a file that is closed gets EBADF, at once: natively it would go on
 * waiting for the old file, of which we have nothing but the number.
 */
#include "shim/io.h"
#include <fcntl.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static int made(int fd)
{
	if (fd >= 0)
		netpollopen(fd);
	return fd;
}

/* ---- closing ------------------------------------------------------------------------ */

EXPORT int close(int fd)
{
	NATIVELY(close, fd);
	if (!ong())
		return REAL(close)(fd);
	if (unlikely(netpollown(fd)))
		return ret_errno(-EBADF);
	netpollclose(fd);
	return HANDOFF(REAL(close)(fd));
}
ALIAS_OF(__close, close);

/* All but the poller's own, which the program does not know. */
EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	NATIVELY(close_range, first, last, flags);
	if (!ong() || first > last || (flags & CLOSE_RANGE_CLOEXEC))
		return REAL(close_range)(first, last, flags);
	for (;;) {
		unsigned own = netpollcloserange(first, last);
		int r = 0;

		if (own > first || own > last)
			r = REAL(close_range)(
				first, own > last ? last : own - 1, flags);
		if (r || own >= last)
			return r;
		first = own + 1;
	}
}

EXPORT void closefrom(int low)
{
	if (unlikely(shimnative) && (shimnative > 0 || shiminit())) {
		REAL(closefrom)(low);
		return;
	}
	close_range(low < 0 ? 0 : (unsigned)low, ~0u, 0);
}

/* ---- making another of one ------------------------------------------------------------ */

EXPORT int dup(int fd)
{
	NATIVELY(dup, fd);
	return made(REAL(dup)(fd));
}

/* The number is closed in the same step. */
EXPORT int dup2(int fd, int to)
{
	NATIVELY(dup2, fd, to);
	if (!ong() || fd == to)
		return REAL(dup2)(fd, to);
	if (unlikely(netpollown(to)))
		netpollmove(to);
	netpollclose(to);
	return HANDOFF(REAL(dup2)(fd, to));
}
ALIAS_OF(__dup2, dup2);

EXPORT int dup3(int fd, int to, int flags)
{
	NATIVELY(dup3, fd, to, flags);
	if (!ong() || fd == to)
		return REAL(dup3)(fd, to, flags);
	if (unlikely(netpollown(to)))
		netpollmove(to);
	netpollclose(to);
	return HANDOFF(REAL(dup3)(fd, to, flags));
}

/* Who gets a file's signals may be a thread. */
static int fcntlowner(int fd, int cmd, struct f_owner_ex *owner)
{
	struct f_owner_ex o;
	int r;

	if (cmd == F_SETOWN_EX && owner->type == F_OWNER_TID) {
		o = *owner;
		o.pid = kerneltid(o.pid);
		return REAL(fcntl)(fd, cmd, &o);
	}
	r = REAL(fcntl)(fd, cmd, owner);
	if (r == 0 && cmd == F_GETOWN_EX && owner->type == F_OWNER_TID)
		owner->pid = ourtid(owner->pid);
	return r;
}

static int fcntls(int fd, int cmd, void *arg)
{
	int r;

	switch (cmd) {
	case F_SETLKW:
	case F_OFD_SETLKW:
		if (!ong())
			break;
		cancelpoint();
		return (int)POINTCALL(SYS_fcntl, fd, cmd, arg);
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return made(REAL(fcntl)(fd, cmd, arg));
	case F_SETFL:
		r = REAL(fcntl)(fd, cmd, arg);
		netpollunhint(fd); /* it may block now, or not any more */
		netpollchanged();
		return r;
	case F_SETOWN_EX:
	case F_GETOWN_EX:
		return fcntlowner(fd, cmd, arg);
	}
	return REAL(fcntl)(fd, cmd, arg);
}

EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *); /* garbage if there is none, as libc's */
	va_end(ap);
	NATIVELY(fcntl, fd, cmd, arg);
	return fcntls(fd, cmd, arg);
}
ALIAS_OF(fcntl64, fcntl);
ALIAS_OF(__fcntl, fcntl);

/* libc's is its own fcntl. */
EXPORT int lockf(int fd, int op, off_t len)
{
	NATIVELY(lockf, fd, op, len);
	struct flock l = { .l_type = F_WRLCK,
			   .l_whence = SEEK_CUR,
			   .l_len = len };

	if (!ong() || op != F_LOCK)
		return REAL(lockf)(fd, op, len);
	return fcntls(fd, F_SETLKW, &l);
}
ALIAS_OF(lockf64, lockf);

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	int r;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	NATIVELY(ioctl, fd, request, arg);
	if (!ong())
		return REAL(ioctl)(fd, request, arg);
	r = HANDOFF(REAL(ioctl)(fd, request, arg));
	if (request == FIONBIO) {
		netpollunhint(fd);
		netpollchanged();
	}
	return r;
}

/* ---- opening: a FIFO waits for its other end ------------------------------------------- */

static int opened(int r)
{
	if (r >= 0 && ong())
		netpollopen(r);
	return r;
}

#define NEEDSMODE(flags)                                                       \
	(((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE)
#define MODE(flags)                                                            \
	({                                                                     \
		mode_t m_ = 0;                                                 \
		va_list ap_;                                                   \
                                                                               \
		va_start(ap_, flags);                                          \
		if (NEEDSMODE(flags))                                          \
			m_ = va_arg(ap_, mode_t);                              \
		va_end(ap_);                                                   \
		m_;                                                            \
	})

/* A system call, which cancellation ends before there is a number: libc's could lose it. */
#define OPENING(call, ...)                                                     \
	(ong() ? (cancelpoint(), opened((int)POINTCALL(__VA_ARGS__))) : (call))

EXPORT int open(const char *path, int flags, ...)
{
	mode_t mode = MODE(flags);

	NATIVELY(open, path, flags, mode);
	return OPENING(REAL(open)(path, flags, mode), SYS_openat, AT_FDCWD,
		       path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
	mode_t mode = MODE(flags);

	NATIVELY(open64, path, flags, mode);
	return OPENING(REAL(open64)(path, flags, mode), SYS_openat, AT_FDCWD,
		       path, flags, mode);
}
ALIAS_OF(__open, open64);
ALIAS_OF(__open64, open64);

EXPORT int openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = MODE(flags);

	NATIVELY(openat, dir, path, flags, mode);
	return OPENING(REAL(openat)(dir, path, flags, mode), SYS_openat, dir,
		       path, flags, mode);
}
ALIAS_OF(openat64, openat);

EXPORT int creat(const char *path, mode_t mode)
{
	NATIVELY(creat, path, mode);
	return OPENING(REAL(creat)(path, mode), SYS_creat, path, mode);
}
ALIAS_OF(creat64, creat);

EXPORT int __open_2(const char *path, int flags)
{
	NATIVELY(__open_2, path, flags);
	if (NEEDSMODE(flags))
		return REAL(__open_2)(path, flags); /* which ends the process */
	return open(path, flags);
}
ALIAS_OF(__open64_2, __open_2);

EXPORT int __openat_2(int dir, const char *path, int flags)
{
	NATIVELY(__openat_2, dir, path, flags);
	if (NEEDSMODE(flags))
		return REAL(__openat_2)(dir, path, flags);
	return openat(dir, path, flags);
}
ALIAS_OF(__openat64_2, __openat_2);

/* ---- files without a name ------------------------------------------------------------- */

EXPORT int socket(int domain, int type, int protocol)
{
	NATIVELY(socket, domain, type, protocol);
	return made(REAL(socket)(domain, type, protocol));
}

static int madetwo(int r, const int fd[2])
{
	if (r == 0) {
		made(fd[0]);
		made(fd[1]);
	}
	return r;
}

EXPORT int socketpair(int domain, int type, int protocol, int fd[2])
{
	NATIVELY(socketpair, domain, type, protocol, fd);
	return madetwo(REAL(socketpair)(domain, type, protocol, fd), fd);
}

EXPORT int pipe(int fd[2])
{
	NATIVELY(pipe, fd);
	return madetwo(REAL(pipe)(fd), fd);
}
ALIAS_OF(__pipe, pipe);

EXPORT int pipe2(int fd[2], int flags)
{
	NATIVELY(pipe2, fd, flags);
	return madetwo(REAL(pipe2)(fd, flags), fd);
}

EXPORT int eventfd(unsigned n, int flags)
{
	NATIVELY(eventfd, n, flags);
	return made(REAL(eventfd)(n, flags));
}

EXPORT int timerfd_create(clockid_t clock, int flags)
{
	NATIVELY(timerfd_create, clock, flags);
	return made(REAL(timerfd_create)(clock, flags));
}

EXPORT int epoll_create1(int flags)
{
	NATIVELY(epoll_create1, flags);
	return made(REAL(epoll_create1)(flags));
}

EXPORT int epoll_create(int size)
{
	NATIVELY(epoll_create, size);
	return made(REAL(epoll_create)(size));
}

EXPORT int inotify_init1(int flags)
{
	NATIVELY(inotify_init1, flags);
	return made(REAL(inotify_init1)(flags));
}
