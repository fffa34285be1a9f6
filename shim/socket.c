/* socket.c - calls that only sockets know, tried with MSG_DONTWAIT.
 *
 * accept4's flags are about the new socket: on a blocking listener it blocks, so the
 * listener is polled first. connect(2) is in connect.c.
 */
#include "shim/io.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* The socket keeps no boundaries: what is left of a transfer can be moved on. */
static bool stream(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_STREAM;
}

/* The plain call is right, and known to be: no iobegin, no ioend. */
static bool plainly(int fd, int flags, int dir)
{
	if (ioplain(fd))
		return true;
	if (!(flags & MSG_DONTWAIT))
		return false;
	if (dir == NETPOLL_READ)
		goreceive(fd);
	else
		gosent(fd);
	return true;
}

/* Where a transfer of an iovec goes on after `done` bytes of it. */
struct rest {
	struct iovec *iov;
	size_t n, off; /* off: of iov[0], done */
};

static void advance(struct rest *v, size_t done)
{
	v->off += done;
	while (v->n && v->off >= v->iov->iov_len) {
		v->off -= v->iov->iov_len;
		v->iov++;
		v->n--;
	}
}

/* What to pass next: all that is left or, in the middle of one, the rest of that. */
static void next(struct msghdr *m, const struct rest *v, struct iovec *one)
{
	m->msg_iov = v->iov;
	m->msg_iovlen = v->n;
	if (v->off) {
		one->iov_base = (char *)v->iov->iov_base + v->off;
		one->iov_len = v->iov->iov_len - v->off;
		m->msg_iov = one;
		m->msg_iovlen = 1;
	}
}

/* ---- receiving ------------------------------------------------------------------- */

static ssize_t receives(int fd, struct msghdr *msg, int flags)
{
	struct rest v = { msg->msg_iov, msg->msg_iovlen, 0 };
	struct msghdr m = *msg;
	struct iovec one;
	struct io io;
	ssize_t r, done = 0;

	iobegin(&io, fd, NETPOLL_READ);
	/* a peek does not move on: it would find the same bytes again */
	if ((flags & MSG_PEEK) && (flags & MSG_WAITALL))
		io.plain = true;
	for (;;) {
		r = PARKING(&io,
			    TRY(__NR_recvmsg, fd, &m, flags | MSG_DONTWAIT),
			    POINTCALL(SYS_recvmsg, fd, &m, flags));
		if (r >= 0 && !done) {
			msg->msg_namelen = m.msg_namelen;
			msg->msg_controllen = m.msg_controllen;
			msg->msg_flags = m.msg_flags;
		}
		if (r <= 0)
			break;
		done += r;
		io.partly = true;
		if (!(flags & MSG_WAITALL) || (flags & MSG_PEEK) ||
		    !iomore(&io) ||
		    (advance(&v, (size_t)r), !v.n) || !stream(fd))
			break;
		m.msg_name = m.msg_control = NULL;
		m.msg_namelen = 0;
		m.msg_controllen = 0;
		next(&m, &v, &one);
	}
	return ioend(&io, done ? done : r);
}

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	NATIVELY(recv, fd, buf, n, flags);
	struct io io;

	if (!ong())
		return REAL(recv)(fd, buf, n, flags);
	if (flags & ~MSG_NOSIGNAL)
		return recvfrom(fd, buf, n, flags, NULL, NULL);
	if (plainly(fd, flags, NETPOLL_READ))
		return POINTCALL(SYS_recvfrom, fd, buf, n, flags);
	iobegin(&io, fd, NETPOLL_READ);
	return ioend(&io,
		     READING(&io, n,
			     TRY(__NR_recvfrom, fd, buf, n,
				 flags | MSG_DONTWAIT, 0, 0),
			     POINTCALL(SYS_recvfrom, fd, buf, n, flags)));
}

EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t n, int flags,
			struct sockaddr *restrict from, socklen_t *restrict len)
{
	NATIVELY(recvfrom, fd, buf, n, flags, from, len);
	struct iovec iov = { buf, n };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_name = len ? from : NULL,
			    .msg_namelen = from && len ? *len : 0 };
	ssize_t r;

	if (!ong())
		return REAL(recvfrom)(fd, buf, n, flags, from, len);
	if (plainly(fd, flags, NETPOLL_READ))
		return POINTCALL(SYS_recvfrom, fd, buf, n, flags, from, len);
	if (!from && !(flags & ~MSG_NOSIGNAL))
		return recv(fd, buf, n, flags);
	r = receives(fd, &m, flags);
	if (r >= 0 && from && len)
		*len = m.msg_namelen;
	return r;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	NATIVELY(recvmsg, fd, msg, flags);
	if (!ong())
		return REAL(recvmsg)(fd, msg, flags);
	if (plainly(fd, flags, NETPOLL_READ))
		return POINTCALL(SYS_recvmsg, fd, msg, flags);
	return receives(fd, msg, flags);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags)
{
	NATIVELY(__recv_chk, fd, buf, n, size, flags);
	if (n > size || !ong())
		return REAL(__recv_chk)(fd, buf, n, size, flags);
	return recv(fd, buf, n, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t n, size_t size,
			      int flags, struct sockaddr *restrict from,
			      socklen_t *restrict len)
{
	NATIVELY(__recvfrom_chk, fd, buf, n, size, flags, from, len);
	if (n > size || !ong())
		return REAL(__recvfrom_chk)(fd, buf, n, size, flags, from, len);
	return recvfrom(fd, buf, n, flags, from, len);
}

/* As Linux has it, the timeout is looked at after each datagram only. */
EXPORT int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags,
		    struct timespec *timeout)
{
	NATIVELY(recvmmsg, fd, v, n, flags, timeout);
	int64_t deadline = NEVER;
	struct io io;
	unsigned got = 0;
	int r;

	if (!ong())
		return REAL(recvmmsg)(fd, v, n, flags, timeout);
	if (plainly(fd, flags, NETPOLL_READ))
		return (int)POINTCALL(SYS_recvmmsg, fd, v, n, flags, timeout);
	iobegin(&io, fd, NETPOLL_READ);
	if (io.plain)
		return (int)ioend(&io, POINTCALL(SYS_recvmmsg, fd, v, n,
						 flags, timeout));
	if (timeout) {
		if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
		    timeout->tv_nsec > 999999999)
			return ret_errno(-EINVAL);
		deadline = deadlinein(timeout);
	}
	do {
		r = (int)PARKING(
			&io,
			TRY(SYS_recvmmsg, fd, v + got, n - got,
			    flags | MSG_DONTWAIT),
			POINTCALL(SYS_recvmmsg, fd, v + got, n - got,
				  flags | MSG_WAITFORONE));
		if (r <= 0)
			break;
		got += (unsigned)r;
		io.partly = true;
	} while (got < n && !(flags & MSG_WAITFORONE) &&
		 (!timeout || leftof(deadline, timeout)));
	if (timeout && r > 0)
		leftof(deadline, timeout);
	return (int)ioend(&io, got ? (int)got : r);
}

/* ---- sending ------------------------------------------------------------------------ */

/* All of it, as a blocking send does; only the first part carries name and control. */
static ssize_t sends(int fd, const struct msghdr *msg, int flags)
{
	struct rest v = { msg->msg_iov, msg->msg_iovlen, 0 };
	struct msghdr m = *msg;
	struct iovec one;
	struct io io;
	ssize_t r, done = 0;

	iobegin(&io, fd, NETPOLL_WRITE);
	for (;;) {
		r = PARKING(&io,
			    TRY(__NR_sendmsg, fd, &m, flags | MSG_DONTWAIT),
			    POINTCALL(SYS_sendmsg, fd, &m, flags));
		if (r <= 0)
			break;
		done += r;
		io.partly = true;
		advance(&v, (size_t)r);
		if (!v.n || !iomore(&io))
			break;
		m.msg_name = m.msg_control = NULL;
		m.msg_namelen = 0;
		m.msg_controllen = 0;
		next(&m, &v, &one);
	}
	return ioend(&io, done ? done : r);
}

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	NATIVELY(send, fd, buf, n, flags);
	return sendto(fd, buf, n, flags, NULL, 0);
}
ALIAS_OF(__send, send);

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags,
		      const struct sockaddr *to, socklen_t len)
{
	NATIVELY(sendto, fd, buf, n, flags, to, len);
	struct io io;
	ssize_t r, done = 0;

	if (!ong())
		return REAL(sendto)(fd, buf, n, flags, to, len);
	if (plainly(fd, flags, NETPOLL_WRITE))
		return POINTCALL(SYS_sendto, fd, buf, n, flags, to, len);
	iobegin(&io, fd, NETPOLL_WRITE);
	do {
		const char *p = (const char *)buf + done;
		size_t left = n - (size_t)done;

		r = PARKING(&io,
			    TRY(__NR_sendto, fd, p, left,
				flags | MSG_DONTWAIT, to, len),
			    POINTCALL(SYS_sendto, fd, p, left, flags, to, len));
		if (r <= 0)
			break;
		done += r;
		io.partly = true;
	} while ((size_t)done < n && iomore(&io));
	return ioend(&io, done ? done : r);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	NATIVELY(sendmsg, fd, msg, flags);
	if (!ong())
		return REAL(sendmsg)(fd, msg, flags);
	if (plainly(fd, flags, NETPOLL_WRITE))
		return POINTCALL(SYS_sendmsg, fd, msg, flags);
	return sends(fd, msg, flags);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	NATIVELY(sendmmsg, fd, v, n, flags);
	unsigned i;

	if (!ong())
		return REAL(sendmmsg)(fd, v, n, flags);
	if (plainly(fd, flags, NETPOLL_WRITE))
		return (int)POINTCALL(SYS_sendmmsg, fd, v, n, flags);
	for (i = 0; i < n; i++) {
		ssize_t r = sends(fd, &v[i].msg_hdr, flags);

		if (r < 0)
			return i ? (int)i : -1;
		v[i].msg_len = (unsigned)r;
	}
	return (int)i;
}

/* ---- connections ---------------------------------------------------------------------- */

static bool listens(struct io *io)
{
	int on = 0;
	socklen_t len = sizeof(on);

	if (getsockopt(io->fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) || !on)
		return false;
	netpollhint(&io->ps, FILE_LISTENS);
	return true;
}

EXPORT int accept4(int fd, struct sockaddr *restrict addr,
		   socklen_t *restrict len, int flags)
{
	NATIVELY(accept4, fd, addr, len, flags);
	struct io io;
	int r;

	if (!ong())
		return REAL(accept4)(fd, addr, len, flags);
	iobegin(&io, fd, NETPOLL_READ);
	if (!io.plain && !(io.hints & FILE_LISTENS) && !listens(&io))
		io.plain = true; /* an error, at once */
#define ACCEPT POINTCALL(SYS_accept4, fd, addr, len, flags)
	r = (int)PARKING(&io, ioready(&io) ? ACCEPT : -1, ACCEPT);
	if (r >= 0)
		netpollopen(r);
	return (int)ioend(&io, r);
}

EXPORT int accept(int fd, struct sockaddr *restrict addr,
		  socklen_t *restrict len)
{
	NATIVELY(accept, fd, addr, len);
	return accept4(fd, addr, len, 0);
}

/* Who waits to send is told by no event. */
EXPORT int shutdown(int fd, int how)
{
	NATIVELY(shutdown, fd, how);
	int r = REAL(shutdown)(fd, how);

	if (r == 0 && ong())
		netpollkick(fd);
	return r;
}

/* A timeout that calls on this socket have is known from before. */
EXPORT int setsockopt(int fd, int level, int name, const void *val,
		      socklen_t len)
{
	NATIVELY(setsockopt, fd, level, name, val, len);
	int r = REAL(setsockopt)(fd, level, name, val, len);

	if (level == SOL_SOCKET && ong() &&
	    (name == SO_RCVTIMEO || name == SO_SNDTIMEO ||
	     name == SO_RCVTIMEO_NEW || name == SO_SNDTIMEO_NEW)) {
		netpollunhint(fd);
		netpollchanged();
	}
	if (((level == SOL_SOCKET && name == SO_PASSCRED) ||
	     (level == IPPROTO_TCP && name == TCP_ULP)) &&
	    ong())
		netpollunhint(fd); /* whether it flows */
	return r;
}
