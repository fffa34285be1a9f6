/* io.c - what all calls that wait for a file have in common; see io.h.
 *
 * What is known of a file is kept with its number until that is closed. It is only a
 * hint: FILE_PLAIN is right for any file; FILE_STREAM for a regular file, whose number
 * was closed and used again where we do not see it, could make a read short.
 */
#include "shim/io.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

static bool nonblocking(int fd)
{
	int fl = REAL(fcntl)(fd, F_GETFL);

	return fl < 0 || (fl & O_NONBLOCK);
}

/* The first call on a file: which kind is it? A bad number gets its error from the
 * plain call. */
static uint32_t look(int fd, const struct pollstate *ps)
{
	struct stat st;
	uint32_t hint = FILE_STREAM;
	int type;
	socklen_t len = sizeof(type);

	if (nonblocking(fd))
		hint = FILE_PLAIN;
	else if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0)
		hint |= type == SOCK_STREAM ? FILE_STREAMSOCKET : 0;
	else if (fstat(fd, &st) || S_ISREG(st.st_mode) ||
		 S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode))
		hint = FILE_PLAIN;
	else if (S_ISCHR(st.st_mode))
		hint |= FILE_POLLR | FILE_POLLW; /* /dev/zero would be short */
	netpollhint(ps, hint);
	return hint;
}

void iobegin(struct io *io, int fd, int dir)
{
	io->fd = fd;
	io->dir = dir;
	io->waited = io->timed = io->partly = io->late = false;
	io->saved = errno;
	io->handled = gsighandled();
	cancelpoint();
	if (dir == NETPOLL_READ) {
		goreceive(fd);
		io->late = goturns();
	}
	netpollbegin(fd, dir, &io->ps);
	io->hints = netpollhints(&io->ps);
	if (unlikely(!io->hints))
		io->hints = look(fd, &io->ps);
	io->plain = (io->hints & FILE_PLAIN) || gforeign();
}

int64_t iodeadline(const struct io *io)
{
	struct timeval tv;
	struct timespec ts;
	socklen_t len = sizeof(tv);
	bool reads = io->dir == NETPOLL_READ;

	if (io->hints & FILE_NOSOCKET)
		return NEVER;
	if (getsockopt(io->fd, SOL_SOCKET,
		       reads ? SO_RCVTIMEO : SO_SNDTIMEO, &tv, &len)) {
		netpollhint(&io->ps, FILE_NOSOCKET);
		return NEVER;
	}
	if (tv.tv_sec == 0 && tv.tv_usec == 0) {
		netpollhint(&io->ps, reads ? FILE_UNTIMEDR : FILE_UNTIMEDW);
		return NEVER;
	}
	ts.tv_sec = tv.tv_sec;
	ts.tv_nsec = tv.tv_usec * 1000;
	return deadlinein(&ts);
}

/* Does the call block at all, and until when? Looked at once; what is taken on trust at
 * first, at the latest when the wait has lasted long enough for trust to end. */
static bool blocks(struct io *io)
{
	uint32_t untimed = FILE_NOSOCKET |
			   (io->dir == NETPOLL_READ ? FILE_UNTIMEDR :
						      FILE_UNTIMEDW);

	io->deadline = NEVER;
	if (netpolltrusted(&io->ps) && (io->hints & untimed))
		return true;
	io->timed = true;
	if (nonblocking(io->fd)) { /* since a short while */
		netpollhint(&io->ps, FILE_PLAIN);
		return false;
	}
	io->deadline = iodeadline(io);
	netpolllooked(&io->ps);
	return true;
}

bool iowait(struct io *io)
{
	uint32_t handled = gsighandled();
	int r;

	do {
		if (!io->timed && !blocks(io)) {
			errno = EAGAIN;
			return false;
		}
		r = netpollwait(io->fd, io->dir, &io->ps, io->deadline);
	} while (r == -EAGAIN);
	switch (r) {
	case 0:
		io->waited = true;
		break;
	case -ECANCELED:
		cancelpoint();
		break;
	case -EINTR:
		/* with a timeout of the socket's Linux never restarts, nor after a
		 * part of the transfer; but none is to be seen without a handler */
		if (gsighandled() != handled &&
		    (io->partly || io->deadline != NEVER || !gsigrestarts())) {
			errno = EINTR;
			return false;
		}
		cancelpoint();
		break;
	case -ETIMEDOUT:
		errno = EAGAIN;
		return false;
	case -EBADF:
		errno = EBADF;
		return false;
	default: /* no poller, or not for such a file */
		io->plain = true;
		return true;
	}
	return true;
}

/* A stream that keeps no boundaries, at which a read would end: no records, no packets, no
 * credentials or descriptors of different writers. */
static bool flows(int fd)
{
	struct stat st;
	int v = 0, domain = 0;
	socklen_t len = sizeof(v);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len))
		return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) &&
		       !(REAL(fcntl)(fd, F_GETFL) & O_DIRECT);
	if (v != SOCK_STREAM ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len))
		return false;
	if (domain == AF_UNIX)
		return getsockopt(fd, SOL_SOCKET, SO_PASSCRED, &v, &len) == 0 &&
		       !v;
	if (domain != AF_INET && domain != AF_INET6)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &v, &len) ||
	    v != IPPROTO_TCP)
		return false;
	v = 0;
	/* the name of what lies above it, as TLS: none */
	return getsockopt(fd, IPPROTO_TCP, TCP_ULP, &v, &len) == 0 && !v;
}

bool iodrained(struct io *io)
{
	if (io->plain || !netpolldrained(&io->ps))
		return false;
	if (unlikely(!(io->hints & (FILE_FLOWS | FILE_BOUNDS)))) {
		uint32_t hint = flows(io->fd) ? FILE_FLOWS : FILE_BOUNDS;

		io->hints |= hint;
		netpollhint(&io->ps, hint);
		errno = io->saved;
	}
	return io->hints & FILE_FLOWS;
}

bool iomore(const struct io *io)
{
	return !(io->hints & FILE_PLAIN) &&
	       (!io->plain || (gsighandled() == io->handled &&
			       iodeadline(io) == NEVER));
}

ssize_t ioend(struct io *io, ssize_t r)
{
	int e = errno;

	if (unlikely(io->waited) && (r >= 0 || e != EAGAIN))
		netpollpass(io->dir, &io->ps);
	if (io->dir == NETPOLL_READ)
		goturned(r >= 0 && !(io->late && io->waited));
	if (r > 0 && io->dir == NETPOLL_WRITE) {
		gosent(io->fd);
		if (!io->plain)
			netpollwrote(io->fd, &io->ps);
	}
	errno = r >= 0 ? io->saved : e;
	return r;
}

bool ioready(const struct io *io)
{
	struct pollfd p = { io->fd, io->dir == NETPOLL_READ ? POLLIN : POLLOUT,
			    0 };

	if (GLANCE(SYS_poll, &p, 1, 0) != 0)
		return true;
	errno = EAGAIN;
	return false;
}
