/* io.h - calls that wait for a file: tried without blocking, then the G parks.
 *
 * The file's own flags are never changed: they belong to everybody who has it open. What
 * never waits, or cannot be polled (regular files, descriptors with O_NONBLOCK), is the
 * plain call, with the P free to go meanwhile.
 */
#ifndef SHIM_IO_H
#define SHIM_IO_H

#include "shim/shim.h"
#include <sys/syscall.h>
#include <sys/types.h>

/* What is known of a file (netpollhints). 0: not looked at yet. */
#define FILE_PLAIN 1u  /* make the plain call: right for any file */
#define FILE_STREAM 2u /* no regular file: may be tried, may be short */
#define FILE_POLLR 4u  /* reads cannot be tried: poll first */
#define FILE_POLLW 8u  /* nor writes */
#define FILE_LISTENS 16u
#define FILE_NOSOCKET 32u
#define FILE_UNTIMEDR 64u /* no SO_RCVTIMEO when last looked at */
#define FILE_UNTIMEDW 128u
#define FILE_FLOWS 256u	   /* a stream: a short read leaves nothing */
#define FILE_BOUNDS 512u   /* not so */
#define FILE_STREAMSOCKET 1024u

struct io {
	int fd, dir;
	bool plain;	/* make the plain call, bracketed */
	bool waited;	/* netpollwait has returned 0 */
	bool timed;	/* deadline is set */
	bool partly;	/* something has been transferred */
	bool late;	/* goturns has returned true */
	bool vector;	/* readv or writev; set by read, write and kin alone */
	int saved;	/* errno before */
	uint32_t hints;
	uint32_t handled; /* gsighandled before */
	int64_t deadline;
	struct pollstate ps;
};

/* Begin a call on fd; NETPOLL_READ or NETPOLL_WRITE. A cancellation point. */
void iobegin(struct io *io, int fd, int dir);
/* SO_RCVTIMEO or SO_SNDTIMEO, for a wait that begins now. */
int64_t iodeadline(const struct io *io);
/* The try said EAGAIN. True: try again, or make the plain call if io->plain is set
 * now; false: errno says why not. */
bool iowait(struct io *io);
/* A transfer that has to be whole has come to a part: go on with the rest. The plain call
 * of a blocking file ends there for a signal, which may be one of ours, or at its timeout. */
bool iomore(const struct io *io);
/* The call is done. Returns r, with errno as the real call would leave it. */
ssize_t ioend(struct io *io, ssize_t r);
/* A read would find nothing. */
bool iodrained(struct io *io);
/* The plain call is known to be right for fd, and that needs nothing of all this: no
 * iobegin, no ioend. */
static inline bool ioplain(int fd)
{
	return netpollhintsof(fd) & FILE_PLAIN;
}
/* poll(2) says that a call of io's direction would not block; else errno is EAGAIN. */
bool ioready(const struct io *io);

/* A system call that does not wait. Not libc's: that may be a cancellation point, and
 * some are made where signals are put off. */
#define TRY_(n, a, b, c, d, e, f, ...)                                         \
	({                                                                     \
		ssize_t t_ = gsyscallnow(n, (long)(a), (long)(b), (long)(c),   \
					 (long)(d), (long)(e), (long)(f));     \
                                                                               \
		t_ >= 0 ? t_ : ret_errno((int)t_);                             \
	})
#define TRY(...) TRY_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* The same for one that is interrupted even so, where it has nothing to tell. */
#define GLANCE(...)                                                            \
	({                                                                     \
		uint32_t handled_ = gsighandled();                             \
		int r_, e_ = errno;                                            \
                                                                               \
		while (r_ = (int)TRY(__VA_ARGS__), r_ < 0 && errno == EINTR && \
						gsighandled() == handled_)     \
			errno = e_;                                            \
		r_;                                                            \
	})

/* Make `try` until it does not say EAGAIN, parking in between; `plain_`, which blocks in
 * the kernel, where that is not possible. */
#define PARKING(io, try, plain_)                                                \
	({                                                                     \
		ssize_t r_;                                                    \
                                                                               \
		do                                                             \
			r_ = (io)->plain ? (plain_) : (try);                   \
		while (r_ < 0 && errno == EAGAIN && !(io)->plain &&            \
		       iowait(io));                                            \
		r_;                                                            \
	})

/* The same for a read of up to `len` bytes that takes what there is. */
#define READING(io, len, try, plain_)                                          \
	({                                                                     \
		ssize_t got_ = -1;                                             \
                                                                               \
		if (!(len) || !iodrained(io) || iowait(io))                    \
			got_ = PARKING(io, try, plain_);                       \
		else if (errno == EAGAIN)                                      \
			got_ = try;                                            \
		if (got_ > 0 && !(io)->plain)                                  \
			netpolltook(&(io)->ps, (size_t)got_ < (len));          \
		got_;                                                          \
	})

#endif
