/* poll.c - waiting for several files: poll, select, epoll_wait and kin.
 *
 * A look without waiting first. A thread that is alone on its P, as an event loop is, then
 * waits in the kernel in place, which costs what it costs natively; others park, their
 * files (of epoll_wait: the epoll file) registered with the poller.
 */
#include "shim/io.h"
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>

#define NODES	 64 /* on the caller's stack; mapped memory for more */
#define SETWORDS (FD_SETSIZE / 64)

/* Wait until deadline: in the kernel with `call`, which may use `left` (NULL: no end),
 * if the caller cannot park or is alone on its P, else with `park`. */
#define WAITING(can, deadline, call, park)                                     \
	({                                                                     \
		uint32_t handled_ = gsighandled();                             \
		struct timespec ts_, *left = &ts_;                             \
		bool place_ = false;                                           \
		int r_ = -1, e_ = errno;                                       \
                                                                               \
		if (!(can) || (place_ = entersyscallwait(deadline)) ||                 \
		    ((r_ = park) < 0 && errno == ENOSYS)) {                    \
			bool outer_ = self.incall;                             \
                                                                               \
			self.incall = true;                                    \
			if (!place_)                                           \
				entersyscall();                                \
			do {                                                   \
				errno = e_; /* as it was, if it succeeds */    \
				if ((deadline) == NEVER)                       \
					left = NULL;                           \
				else                                           \
					leftof(deadline, left);                \
				r_ = ret_errno((int)(call));                   \
			} while (r_ < 0 && errno == EINTR &&                   \
				 gsighandled() == handled_ &&                  \
				 !cancelpending());                            \
			callend(&outer_);                                      \
			if (place_)                                            \
				leavesyscallwait();                            \
			if (r_ < 0 && errno == EINTR)                          \
				cancelpoint();                                 \
		}                                                              \
		r_;                                                            \
	})

/* Under the mask *set, if there is one, which a G has for as long. */
#define UNDER(set, call)                                                       \
	({                                                                     \
		uint32_t handled = gsighandled();                              \
		uint64_t mask_, was_;                                          \
		int r_, e_;                                                    \
                                                                               \
		if (set) {                                                     \
			mask_ = maskof(set);                                   \
			gsigmask(SIG_SETMASK, &mask_, &was_);                  \
		}                                                              \
		r_ = call;                                                     \
		if (set) {                                                     \
			e_ = errno;                                            \
			gsigmask(SIG_SETMASK, &was_, NULL);                    \
			errno = e_;                                            \
		}                                                              \
		r_;                                                            \
	})

/* The same where a G does not park: in the kernel, until cancellation ends it. */
static int inkernel(const sigset_t *set, long n, long a, long b, long c, long d,
		    long e, long f)
{
	int r;

	cancelpoint();
	if (!set)
		return (int)pointcall(n, a, b, c, d, e, f);
	r = MASKED(set, ret_errno((int)cancelcall(n, a, b, c, d, e, f)));
	if (r < 0 && errno == EINTR)
		cancelpoint();
	return r;
}
#define INKERNEL(set, n, a, b, c, d, e, f)                                     \
	inkernel(set, n, (long)(a), (long)(b), (long)(c), (long)(d),           \
		 (long)(e), (long)(f))

/* Of these system calls some change the timeout. */
#define COPY_OF(ts)                                                            \
	((ts) ? &(struct timespec){ (ts)->tv_sec, (ts)->tv_nsec } : NULL)

/* For epoll_wait: at least that long. */
static int msof(const struct timespec *ts)
{
	return ts->tv_sec > 1000000 ? 1000000000
				    : (int)(ts->tv_sec * 1000 +
					    (ts->tv_nsec + 999999) / 1000000);
}

static bool parks(void)
{
	return ong() && !gforeign();
}

/* For n files: `few`, which are NODES, or memory for more. NULL, errno ENOSYS: none. */
static struct pollnode *getnodes(struct pollnode *few, size_t n)
{
	void *p;

	if (n <= NODES)
		return few;
	p = mmap(NULL, n * sizeof(*few), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED)
		return p;
	errno = ENOSYS;
	return NULL;
}

static void putnodes(struct pollnode *few, struct pollnode *nodes, size_t n)
{
	int e = errno;

	if (nodes != few)
		munmap(nodes, n * sizeof(*nodes));
	errno = e;
}

/* Park until look(arg), which says by *r what came of it, or deadline: r, or -1. */
static int group(struct pollnode *nodes, uint32_t n, bool (*look)(void *),
		 void *arg, const int *r, uint32_t handled, int64_t deadline)
{
	for (;;) {
		int e = netpollgroup(nodes, n, look, arg, handled, deadline);

		if (e == 0)
			return *r;
		if (e == -ETIMEDOUT)
			return 0;
		if (e != -ECANCELED)
			return ret_errno(e);
		cancelpoint();
	}
}

static int64_t msdeadline(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000l };

	return ms < 0 ? NEVER : deadlinein(&ts);
}

static bool badtime(const struct timespec *ts)
{
	return ts &&
	       (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec > 999999999);
}

/* ---- poll -------------------------------------------------------------------------- */

struct pollcall {
	struct pollfd *fds;
	nfds_t n;
	int r;
};

static bool pollnow(void *arg)
{
	struct pollcall *c = arg;

	c->r = GLANCE(SYS_poll, c->fds, c->n, 0);
	return c->r != 0;
}

static int polls(struct pollfd *fds, nfds_t n, int64_t deadline,
		 uint32_t handled)
{
	struct pollcall c = { fds, n, 0 };
	struct pollnode few[NODES], *nodes = getnodes(few, n);
	uint32_t k = 0;
	int got;

	if (!nodes)
		return -1;
	for (nfds_t i = 0; i < n; i++)
		if (fds[i].fd >= 0) {
			nodes[k].fd = fds[i].fd;
			nodes[k++].writes = (fds[i].events & POLLOUT) != 0;
		}
	got = group(nodes, k, pollnow, &c, &c.r, handled, deadline);
	putnodes(few, nodes, n);
	return got;
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int ms)
{
	NATIVELY(poll, fds, n, ms);
	uint32_t handled;
	int64_t deadline;
	int r;

	if (!ong())
		return REAL(poll)(fds, n, ms);
	cancelpoint();
	handled = gsighandled();
	r = GLANCE(SYS_poll, fds, n, 0);
	if (r || ms == 0)
		return r;
	deadline = msdeadline(ms);
	return WAITING(parks(), deadline,
		       CANCELCALL(SYS_ppoll, fds, n, left, 0, 8, 0),
		       polls(fds, n, deadline, handled));
}
ALIAS_OF(__poll, poll);

EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t size)
{
	NATIVELY(__poll_chk, fds, n, ms, size);
	if (size / sizeof(*fds) < n || !ong())
		return REAL(__poll_chk)(fds, n, ms, size);
	return poll(fds, n, ms);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		 const sigset_t *set)
{
	NATIVELY(ppoll, fds, n, timeout, set);
	int64_t deadline;

	if (!ong()) {
		if (!set || !ownsignals())
			return HANDOFF(REAL(ppoll)(fds, n, timeout, set));
		return MASKED(set, REAL(ppoll)(fds, n, timeout, set));
	}
	if (!parks() || badtime(timeout))
		return INKERNEL(set, SYS_ppoll, fds, n, COPY_OF(timeout), set,
				8, 0);
	cancelpoint();
	deadline = timeout ? deadlinein(timeout) : NEVER;
	return UNDER(set, polls(fds, n, deadline, handled));
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n,
		       const struct timespec *timeout, const sigset_t *set,
		       size_t size)
{
	NATIVELY(__ppoll_chk, fds, n, timeout, set, size);
	if (size / sizeof(*fds) < n || !ong())
		return REAL(__ppoll_chk)(fds, n, timeout, set, size);
	return ppoll(fds, n, timeout, set);
}

/* ---- select ------------------------------------------------------------------------ */

struct selectcall {
	int n, r;
	fd_set *set[3]; /* the caller's */
	uint64_t in[3][SETWORDS], out[3][SETWORDS];
};

static void setcopy(void *to, const void *from, int n)
{
	memcpy(to, from, ((size_t)n + 63) / 64 * 8);
}

static bool selectnow(void *arg)
{
	struct selectcall *c = arg;
	struct timeval zero = { 0, 0 };
	fd_set *set[3];

	for (int i = 0; i < 3; i++) {
		set[i] = c->set[i] ? (fd_set *)c->out[i] : NULL;
		if (set[i])
			setcopy(c->out[i], c->in[i], c->n);
	}
	c->r = GLANCE(SYS_select, c->n, set[0], set[1], set[2], &zero);
	for (int i = 0; i < 3; i++)
		if (set[i] && c->r > 0)
			setcopy(c->set[i], c->out[i], c->n);
	return c->r != 0;
}

static bool isset(const struct selectcall *c, int which, int fd)
{
	return c->set[which] && (c->in[which][fd / 64] >> (fd % 64) & 1);
}

/* The sets as nodes, if there are any to put them; how many. */
static uint32_t selectnodes(struct selectcall *c, struct pollnode *nodes)
{
	uint32_t k = 0;

	for (int fd = 0; fd < c->n; fd++) {
		bool w = isset(c, 1, fd);

		if (!w && !isset(c, 0, fd) && !isset(c, 2, fd))
			continue;
		if (nodes) {
			nodes[k].fd = fd;
			nodes[k].writes = w;
		}
		k++;
	}
	return k;
}

static int selects(int n, fd_set *r, fd_set *w, fd_set *x, int64_t deadline,
		   uint32_t handled)
{
	struct selectcall c = { .n = n, .set = { r, w, x } };
	struct pollnode few[NODES], *nodes;
	uint32_t k;
	int got;

	for (int i = 0; i < 3; i++)
		if (c.set[i])
			setcopy(c.in[i], c.set[i], n);
	k = selectnodes(&c, NULL);
	nodes = getnodes(few, k);
	if (!nodes)
		return -1;
	selectnodes(&c, nodes);
	got = group(nodes, k, selectnow, &c, &c.r, handled, deadline);
	putnodes(few, nodes, k);
	for (int i = 0; i < 3 && got == 0; i++)
		if (c.set[i])
			memset(c.set[i], 0, ((size_t)n + 63) / 64 * 8);
	return got;
}

/* As Linux has it, what is left of the time is told. */
EXPORT int select(int n, fd_set *restrict r, fd_set *restrict w,
		  fd_set *restrict x, struct timeval *restrict timeout)
{
	NATIVELY(select, n, r, w, x, timeout);
	int64_t deadline = NEVER;
	struct timespec ts;
	uint32_t handled;
	int got;

	if (!ong() || n < 0 || n > FD_SETSIZE ||
	    (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0)))
		return HANDOFF(REAL(select)(n, r, w, x, timeout));
	cancelpoint();
	handled = gsighandled();
	if (timeout) {
		ts.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000;
		ts.tv_nsec = timeout->tv_usec % 1000000 * 1000;
		deadline = deadlinein(&ts);
	}
	got = WAITING(parks(), deadline,
		      CANCELCALL(SYS_pselect6, n, r, w, x, left, 0),
		      selects(n, r, w, x, deadline, handled));
	if (timeout) {
		leftof(deadline, &ts);
		timeout->tv_sec = ts.tv_sec;
		timeout->tv_usec = ts.tv_nsec / 1000;
	}
	return got;
}
ALIAS_OF(__select, select);

EXPORT int pselect(int n, fd_set *restrict r, fd_set *restrict w,
		   fd_set *restrict x, const struct timespec *restrict timeout,
		   const sigset_t *restrict set)
{
	NATIVELY(pselect, n, r, w, x, timeout, set);
	int64_t deadline;
	int got;

	if (parks() && n >= 0 && n <= FD_SETSIZE && !badtime(timeout)) {
		cancelpoint();
		deadline = timeout ? deadlinein(timeout) : NEVER;
		got = UNDER(set, selects(n, r, w, x, deadline, handled));
		if (got >= 0 || errno != ENOSYS)
			return got;
	}
	if (ong()) {
		struct {
			const sigset_t *set;
			size_t size;
		} mask = { set, 8 };

		return INKERNEL(set, SYS_pselect6, n, r, w, x,
				COPY_OF(timeout), &mask);
	}
	if (!set || !ownsignals())
		return HANDOFF(REAL(pselect)(n, r, w, x, timeout, set));
	return MASKED(set, REAL(pselect)(n, r, w, x, timeout, set));
}

/* ---- epoll ------------------------------------------------------------------------- */

struct epollcall {
	int fd, n, r;
	struct epoll_event *ev;
};

static bool epollnow(void *arg)
{
	struct epollcall *c = arg;

	c->r = GLANCE(SYS_epoll_wait, c->fd, c->ev, c->n, 0);
	return c->r != 0;
}

/* Several may wait for one epoll file: its events are shared out, not told to all, so
 * one is woken at a time. */
static int epolls(int fd, struct epoll_event *ev, int n, int64_t deadline)
{
	struct pollstate ps;
	bool waited = false;
	int r;

	netpollbegin(fd, NETPOLL_READ, &ps);
	for (;;) {
		r = GLANCE(SYS_epoll_wait, fd, ev, n, 0);
		if (r != 0)
			break;
		r = netpollwait(fd, NETPOLL_READ, &ps, deadline);
		if (r == -ETIMEDOUT)
			return 0;
		if (r == -EPERM)
			r = -ENOSYS;
		if (r == -ECANCELED)
			cancelpoint();
		else if (r < 0)
			return ret_errno(r);
		waited = true;
	}
	if (waited)
		netpollpass(NETPOLL_READ, &ps);
	return r;
}

static int epollsmasked(int fd, struct epoll_event *ev, int n, int64_t deadline,
			uint32_t handled)
{
	struct epollcall c = { fd, n, 0, ev };
	struct pollnode node = { .fd = fd };

	return group(&node, 1, epollnow, &c, &c.r, handled, deadline);
}

EXPORT int epoll_wait(int fd, struct epoll_event *ev, int n, int ms)
{
	NATIVELY(epoll_wait, fd, ev, n, ms);
	int64_t deadline;
	int r;

	if (!ong())
		return REAL(epoll_wait)(fd, ev, n, ms);
	cancelpoint();
	gloops();
	r = GLANCE(SYS_epoll_wait, fd, ev, n, 0);
	if (r || ms == 0)
		return r;
	deadline = msdeadline(ms);
	return WAITING(parks(), deadline,
		       CANCELCALL(SYS_epoll_wait, fd, ev, n,
				  left ? msof(left) : -1, 0, 0),
		       epolls(fd, ev, n, deadline));
}

EXPORT int epoll_pwait(int fd, struct epoll_event *ev, int n, int ms,
		       const sigset_t *set)
{
	NATIVELY(epoll_pwait, fd, ev, n, ms, set);
	int64_t deadline;

	if (!set)
		return epoll_wait(fd, ev, n, ms);
	if (!ong()) {
		if (!ownsignals())
			return HANDOFF(REAL(epoll_pwait)(fd, ev, n, ms, set));
		return MASKED(set, REAL(epoll_pwait)(fd, ev, n, ms, set));
	}
	if (!parks())
		return INKERNEL(set, SYS_epoll_pwait, fd, ev, n, ms, set, 8);
	cancelpoint();
	gloops();
	deadline = msdeadline(ms);
	return UNDER(set, epollsmasked(fd, ev, n, deadline, handled));
}

EXPORT int epoll_pwait2(int fd, struct epoll_event *ev, int n,
			const struct timespec *timeout, const sigset_t *set)
{
	NATIVELY(epoll_pwait2, fd, ev, n, timeout, set);
	int64_t deadline;

	if (!ong()) {
		if (!set || !ownsignals())
			return HANDOFF(
				REAL(epoll_pwait2)(fd, ev, n, timeout, set));
		return MASKED(set, REAL(epoll_pwait2)(fd, ev, n, timeout, set));
	}
	if (!parks() || badtime(timeout))
		return INKERNEL(set, SYS_epoll_pwait2, fd, ev, n, timeout, set,
				8);
	cancelpoint();
	gloops();
	deadline = timeout ? deadlinein(timeout) : NEVER;
	return UNDER(set, epollsmasked(fd, ev, n, deadline, handled));
}
