/* rw.c - read, write and kin, on any file.
 *
 * They are tried with RWF_NOWAIT, which leaves the file's flags alone; a stream's socket
 * with MSG_DONTWAIT, which is the same and a quarter faster. Files that know neither
 * (terminals, writes to an eventfd) are polled first. A call that finds less than poll
 * has promised, since another took it, blocks the kernel thread; sysmon takes the P then.
 */
#include "shim/io.h"
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

static bool nothing(const struct iovec *iov, int n)
{
	while (n > 0 && iov[n - 1].iov_len == 0)
		n--;
	return n <= 0;
}

/* The call that the program has made: some drivers tell read from readv. */
static ssize_t plain(const struct io *io, const struct iovec *iov, int n)
{
	bool reads = io->dir == NETPOLL_READ;

	if (io->vector)
		return POINTCALL(reads ? SYS_readv : SYS_writev, io->fd, iov,
				 n);
	return POINTCALL(reads ? SYS_read : SYS_write, io->fd, iov->iov_base,
			 iov->iov_len);
}

/* That without blocking. */
static ssize_t try(struct io *io, const struct iovec *iov, int n)
{
	bool reads = io->dir == NETPOLL_READ;
	uint32_t hint = reads ? FILE_POLLR : FILE_POLLW;
	ssize_t r;

	/* a read of nothing is none, a receive would wait */
	if ((io->hints & FILE_STREAMSOCKET) && n == 1 && iov->iov_len) {
		r = TRY(reads ? __NR_recvfrom : __NR_sendto, io->fd,
			iov->iov_base, iov->iov_len, MSG_DONTWAIT, 0, 0);
		if (r >= 0 || errno != ENOTSOCK) /* the number is another's */
			return r;
	}
	if (!(io->hints & hint)) {
		r = TRY(reads ? __NR_preadv2 : __NR_pwritev2, io->fd, iov, n,
			-1, 0, RWF_NOWAIT);
		if (r >= 0 || errno != EOPNOTSUPP)
			return r;
		io->hints |= hint;
		netpollhint(&io->ps, hint);
	}
	if (!ioready(io) && !nothing(iov, n))
		return -1;
	return plain(io, iov, n);
}

static ssize_t reads(int fd, const struct iovec *iov, int n, bool vector)
{
	struct io io;
	ssize_t r;

	iobegin(&io, fd, NETPOLL_READ);
	io.vector = vector;
	if (n == 1)
		r = READING(&io, iov->iov_len, try(&io, iov, 1),
			    plain(&io, iov, 1));
	else
		r = PARKING(&io, try(&io, iov, n), plain(&io, iov, n));
	return ioend(&io, r);
}

/* All of it, as a blocking write does: what is left after a partial one is written on
 * from there. */
static ssize_t writes(int fd, const struct iovec *iov, int n, bool vector)
{
	struct io io;
	ssize_t r, done = 0;
	size_t off = 0; /* of iov[0], done */
	int i = 0;

	iobegin(&io, fd, NETPOLL_WRITE);
	io.vector = vector;
	for (;;) {
		struct iovec rest;
		const struct iovec *v = iov + i;
		int k = n - i;

		if (off) {
			rest.iov_base = (char *)iov[i].iov_base + off;
			rest.iov_len = iov[i].iov_len - off;
			v = &rest;
			k = 1;
		}
		r = PARKING(&io, try(&io, v, k), plain(&io, v, k));
		if (r <= 0)
			break;
		done += r;
		io.partly = true;
		for (off += (size_t)r; i < n && off >= iov[i].iov_len; i++)
			off -= iov[i].iov_len;
		if (i == n || !iomore(&io))
			break;
	}
	return ioend(&io, done ? done : r);
}

/* A read is done with what there is: to a thread that keeps its kernel thread the call is
 * all of it. */
static inline bool readplain(int fd)
{
	return ioplain(fd) || gforeign();
}

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	NATIVELY(read, fd, buf, n);
	struct iovec iov = { buf, n };

	if (!ong())
		return REAL(read)(fd, buf, n);
	if (readplain(fd))
		return POINTCALL(SYS_read, fd, buf, n);
	return reads(fd, &iov, 1, false);
}
ALIAS_OF(__read, read);

EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t size)
{
	NATIVELY(__read_chk, fd, buf, n, size);
	if (n > size || !ong())
		return REAL(__read_chk)(fd, buf, n, size);
	return read(fd, buf, n);
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
	NATIVELY(readv, fd, iov, n);
	if (!ong())
		return REAL(readv)(fd, iov, n);
	if (readplain(fd))
		return POINTCALL(SYS_readv, fd, iov, n);
	return reads(fd, iov, n, true);
}

EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
	NATIVELY(write, fd, buf, n);
	struct iovec iov = { (void *)buf, n };

	if (!ong())
		return REAL(write)(fd, buf, n);
	if (ioplain(fd))
		return POINTCALL(SYS_write, fd, buf, n);
	return writes(fd, &iov, 1, false);
}
ALIAS_OF(__write, write);

EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	NATIVELY(writev, fd, iov, n);
	if (!ong())
		return REAL(writev)(fd, iov, n);
	if (ioplain(fd))
		return POINTCALL(SYS_writev, fd, iov, n);
	return writes(fd, iov, n, true);
}

/* ---- at an offset: files that can seek are not polled -------------------------------- */

#define AT(ret, name, params, args, ...)                                       \
	EXPORT ret name params                                                 \
	{                                                                      \
		NATIVELY(name, ARGS args);                                     \
		if (!ong())                                                    \
			return REAL(name) args;                                \
		cancelpoint();                                                 \
		return POINTCALL(__VA_ARGS__);                                 \
	}
#define ARGS(...) __VA_ARGS__
/* The fifth argument of the system calls is the high half of a 32-bit machine's offset. */
#define VECTOR(name, offtype, nr)                                              \
	AT(ssize_t, name,                                                      \
	   (int fd, const struct iovec *iov, int n, offtype off),              \
	   (fd, iov, n, off), nr, fd, iov, n, off, 0)

AT(ssize_t, pread, (int fd, void *buf, size_t n, off_t off), (fd, buf, n, off),
   SYS_pread64, fd, buf, n, off)
AT(ssize_t, pread64, (int fd, void *buf, size_t n, off64_t off),
   (fd, buf, n, off), SYS_pread64, fd, buf, n, off)
AT(ssize_t, pwrite, (int fd, const void *buf, size_t n, off_t off),
   (fd, buf, n, off), SYS_pwrite64, fd, buf, n, off)
AT(ssize_t, pwrite64, (int fd, const void *buf, size_t n, off64_t off),
   (fd, buf, n, off), SYS_pwrite64, fd, buf, n, off)
VECTOR(preadv, off_t, SYS_preadv)
VECTOR(preadv64, off64_t, SYS_preadv)
VECTOR(pwritev, off_t, SYS_pwritev)
VECTOR(pwritev64, off64_t, SYS_pwritev)
ALIAS_OF(__pread64, pread64);
ALIAS_OF(__pwrite64, pwrite64);

EXPORT ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t size)
{
	NATIVELY(__pread_chk, fd, buf, n, off, size);
	if (n > size)
		return REAL(__pread_chk)(fd, buf, n, off, size);
	return pread(fd, buf, n, off);
}
ALIAS_OF(__pread64_chk, __pread_chk);

/* These may be at no offset, too. */
#define AT2(name, vector, nr)                                                  \
	EXPORT ssize_t name(int fd, const struct iovec *iov, int n, off_t off, \
			    int flags)                                         \
	{                                                                      \
		NATIVELY(name, fd, iov, n, off, flags);                        \
		if (!ong())                                                    \
			return REAL(name)(fd, iov, n, off, flags);             \
		if (off == -1 && flags == 0)                                   \
			return vector(fd, iov, n, true);                       \
		cancelpoint();                                                 \
		return POINTCALL(nr, fd, iov, n, off, 0, flags);               \
	}

AT2(preadv2, reads, SYS_preadv2)
AT2(preadv64v2, reads, SYS_preadv2)
AT2(pwritev2, writes, SYS_pwritev2)
AT2(pwritev64v2, writes, SYS_pwritev2)

/* ---- from file to file ----------------------------------------------------------------- */

/* So much can be sent to a socket that poll calls ready without waiting: it does if a
 * third of the buffer is free. SIZE_MAX: it is none. */
static size_t room(int fd)
{
	int size;
	socklen_t len = sizeof(size);

	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len))
		return SIZE_MAX;
	return (size_t)size / 4 + 1;
}

/* All of it, as a blocking one does: to a socket as it gets room. */
static ssize_t sends(int out, int in, off_t *off, size_t n)
{
	struct io from, to;
	ssize_t r, done = 0;

	iobegin(&from, in, NETPOLL_READ);
	iobegin(&to, out, NETPOLL_WRITE);
	if (!(from.hints & FILE_PLAIN) || (to.hints & FILE_PLAIN) || n == 0)
		return ioend(&to, BLOCKING(REAL(sendfile)(out, in, off, n)));
	/* what it reads from is always ready, or an error */
	do {
		size_t most = n - (size_t)done;

		r = PARKING(&to, ioready(&to) - 1, 0);
		if (r == 0 && !to.plain && most > room(out))
			most = room(out);
		if (r == 0)
			r = BLOCKING(REAL(sendfile)(out, in, off, most));
		if (r <= 0)
			break;
		done += r;
		to.partly = true;
	} while ((size_t)done < n && iomore(&to));
	return ioend(&to, done ? done : r);
}

/* libc's is no cancellation point. */
EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
	NATIVELY(sendfile, out, in, off, n);
	if (!ong())
		return REAL(sendfile)(out, in, off, n);
	return UNCANCELLED(sends(out, in, off, n));
}
ALIAS_OF(sendfile64, sendfile);

/* splice and tee: SPLICE_F_NONBLOCK goes for pipes, and one of the two is one. Which
 * file it was that said EAGAIN is not told, so wait for both. */
#define MOVING(in, out, flags, call)                                           \
	({                                                                     \
		struct io from_, to_;                                          \
		int given_ = (int)(flags);                                     \
		ssize_t r_;                                                    \
                                                                               \
		iobegin(&from_, in, NETPOLL_READ);                             \
		iobegin(&to_, out, NETPOLL_WRITE);                             \
		flags |= SPLICE_F_NONBLOCK;                                    \
		r_ = call;                                                     \
		if (r_ < 0 && errno == EAGAIN &&                               \
		    !(given_ & SPLICE_F_NONBLOCK) &&                           \
		    (from_.plain ||                                            \
		     PARKING(&from_, ioready(&from_) - 1, 0) == 0) &&          \
		    (to_.plain || PARKING(&to_, ioready(&to_) - 1, 0) == 0)) { \
			flags = (unsigned)given_;                              \
			r_ = call;                                             \
		}                                                              \
		ioend(&to_, r_);                                               \
		ioend(&from_, r_);                                             \
	})

EXPORT ssize_t splice(int in, off64_t *inoff, int out, off64_t *outoff,
		      size_t n, unsigned flags)
{
	NATIVELY(splice, in, inoff, out, outoff, n, flags);
	if (!ong())
		return REAL(splice)(in, inoff, out, outoff, n, flags);
	return MOVING(in, out, flags,
		      POINTCALL(SYS_splice, in, inoff, out, outoff, n, flags));
}

EXPORT ssize_t tee(int in, int out, size_t n, unsigned flags)
{
	NATIVELY(tee, in, out, n, flags);
	if (!ong())
		return REAL(tee)(in, out, n, flags);
	return MOVING(in, out, flags, POINTCALL(SYS_tee, in, out, n, flags));
}
