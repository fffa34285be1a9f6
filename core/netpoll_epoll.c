/* netpoll_epoll.c - the epoll instance: one for all, made when a G first has to wait for a
 * file, with an event of its own that ends a sleep in it.
 *
 * Why apart: its descriptors are in the program's table of files. They lie beyond those
 *      that daemons close and others meet by chance, make way for a file that the program
 *      wants there, and are made anew if it closes them all the same.
 * Locks: netpolllock (making, moving) before a polldesc's.
 */
#include "core/netpoll.h"
#include <errno.h>

#define OWNFD		 512 /* our descriptors: beyond those that daemons close */
#define F_DUPFD_CLOEXEC_ 1030
#define EPOLL_CLOEXEC_	 02000000

static struct mutex netpolllock;
/* The instance: -1 not made yet; FAILED: it could not be, files block kernel threads
 * until RETRY later. */
#define FAILED (-2)
#define RETRY (100 * MS)
static int epfd = -1, breakfd = -1;
static int64_t failedat;
static bool complained; /* once is enough */
static uint32_t made; /* how often they changed; by netpolllock, read anywhere */
/* sysmon has a file table of its own: the last of them, as that has it. */
static struct {
	int epfd, breakfd;
	uint32_t made;
} sysmons = { -1, -1, 0 };

long netpollctl(int op, int fd, uint32_t events, uint32_t gen)
{
	struct epoll_event ev = { events | EPOLLET,
				  (uint64_t)gen << 32 | (uint32_t)fd };

	return RAW(__NR_epoll_ctl, READ_ONCE(epfd), op, fd, &ev);
}

/* fd at OWNFD or above, or -E. */
static int moveup(int fd)
{
	int up;

	if (fd < 0)
		return fd;
	up = (int)RAW(__NR_fcntl, fd, F_DUPFD_CLOEXEC_, OWNFD);
	RAW(__NR_close, fd);
	return up;
}

/* Holds netpolllock. */
static void makepoller(bool complain)
{
	struct epoll_event ev = { EPOLLIN | EPOLLET, POLLBREAK };
	int ep = moveup((int)RAW(__NR_epoll_create1, EPOLL_CLOEXEC_));
	int br = ep < 0 ? ep
			: moveup((int)RAW(__NR_eventfd2, 0, EPOLL_CLOEXEC_));

	if (br >= 0) {
		long r = RAW(__NR_epoll_ctl, ep, EPOLL_CTL_ADD, br, &ev);

		if (r == 0) {
			WRITE_ONCE(breakfd, br);
			store_release(&epfd, ep); /* pairs with netpollinited */
			store_release(&made, made + 1); /* last: see arm */
			return;
		}
		RAW(__NR_close, br);
		br = (int)r;
	}
	if (ep >= 0)
		RAW(__NR_close, ep);
	if (!complain)
		return;
	if (!complained)
		print("gmp_shim: no descriptors of our own for a poller (error "
		      "%d; they lie at %d and above, see RLIMIT_NOFILE): calls "
		      "that wait for files block kernel threads\n",
		      -br, OWNFD);
	complained = true;
	failedat = nanotime();
	store_release(&epfd, FAILED); /* pairs with netpollinit */
}

static bool netpollinited(void)
{
	return load_acquire(&epfd) >= 0;
}

/* There are descriptors again, perhaps. */
static bool retry(int64_t now)
{
	return now - READ_ONCE(failedat) > RETRY;
}

/* There is an instance, by now. */
bool netpollinit(void)
{
	int ep = load_acquire(&epfd);

	if (unlikely(ep == -1 || (ep == FAILED && retry(nanotime())))) {
		struct m *mp = acquirem();

		lock(&netpolllock);
		if (epfd == -1) {
			makepoller(true);
		} else if (epfd == FAILED && retry(nanotime())) {
			WRITE_ONCE(failedat, nanotime());
			makepoller(false);
		}
		unlock(&netpolllock);
		releasem(mp);
	}
	return netpollinited();
}

/* Before other threads can see the descriptors where they are for an instant. If there
 * are none to be had, whoever needs them tries again. */
void netpollstart(void)
{
	lock(&netpolllock);
	makepoller(false);
	unlock(&netpolllock);
}

/* On sysmon: have the instance's descriptors. */
void netpollshare(void)
{
	if (sysmons.made == load_acquire(&made))
		return;
	lock(&netpolllock);
	sysmonputfd(sysmons.epfd);
	sysmonputfd(sysmons.breakfd);
	sysmons.epfd = sysmongetfd(epfd);
	sysmons.breakfd = sysmongetfd(breakfd);
	sysmons.made = made;
	unlock(&netpolllock);
}

/* The instance and what breaks its waits are still ours. It must not be waited in: an
 * event that came would be lost. Holds netpolllock. */
static bool intact(void)
{
	struct epoll_event ev = { EPOLLIN | EPOLLET, POLLBREAK };

	return RAW(__NR_epoll_ctl, epfd, EPOLL_CTL_MOD, breakfd, &ev) == 0;
}

/* The program has closed our instance, though hidden from it: make another, where all
 * that wait register anew. */
static cold void rebuild(int old)
{
	lock(&netpolllock);
	/* not where somebody has tried in vain */
	if (epfd == old && old >= 0 && !intact()) {
		/* First nobody takes a file for registered: whoever does so now, with
		 * its lock, meets neither instance, and not the next one by the same
		 * number. */
		WRITE_ONCE(epfd, -1);
		netpollunarm();
		makepoller(true);
		/* whoever sleeps in the old one sees nothing any more */
		__atomic_store_n(&sched.poller, 0, __ATOMIC_SEQ_CST);
	}
	unlock(&netpolllock);
}

/* What epoll_ctl said of a file since netpollmade was `was` may be the fault of the
 * instance: 1 if there is another one now, by us or by somebody else, maybe under the same
 * number; -ENOSYS if there is none; 0: it is not. */
int netpollrenewed(uint32_t was)
{
	rebuild(READ_ONCE(epfd));
	if (!netpollinited())
		return -ENOSYS;
	return load_acquire(&made) != was;
}

/* Before an epoll_ctl: see netpollrenewed. */
uint32_t netpollmade(void)
{
	return load_acquire(&made); /* pairs with makepoller */
}

/* ---- its events ---------------------------------------------------------------------- */

/* Gather events; wait for some until `until`, 0: do not wait. Any M, which must give
 * them to netpollinject: edges come once. */
void netpollfetch(struct pollevents *e, int64_t until)
{
	struct {
		int64_t sec, nsec;
	} ts = { 0, 0 };
	int fd = load_acquire(&epfd);

	e->n = 0;
	if (fd < 0)
		return;
	if (until && until != NEVER) {
		int64_t left = until - nanotime();

		ts.sec = left > 0 ? left / 1000000000 : 0;
		ts.nsec = left > 0 ? left % 1000000000 : 0;
	}
	e->n = RAW(__NR_epoll_pwait2, fd, e->ev, NPOLLEVENTS,
		   until == NEVER ? NULL : &ts, NULL, 8);
	/* Linux before 5.11: whole milliseconds, rounded up */
	if (e->n == -ENOSYS)
		e->n = RAW(__NR_epoll_pwait, fd, e->ev, NPOLLEVENTS,
			   until == NEVER ? -1
			   : ts.sec > 1000000l
				   ? 1000000000l
				   : ts.sec * 1000 + (ts.nsec + MS - 1) / MS,
			   NULL, 8);
	WRITE_ONCE(sched.lastpoll, nanotime());
	if (unlikely(e->n == -EBADF || e->n == -EINVAL))
		rebuild(fd);
}

/* There are events to fetch. On sysmon. */
bool netpollready(void)
{
	struct {
		int fd;
		short events, revents;
	} p = { -1, 1, 0 };

	if (!netpollwaiting())
		return false;
	netpollshare();
	p.fd = sysmons.epfd;
	return RAW(__NR_poll, &p, 1, 0) > 0;
}

/* End the M's wait in netpoll. Any thread. */
void netpollbreak(void)
{
	uint64_t one = 1;
	int fd = READ_ONCE(breakfd);

	if (onsysmon()) {
		netpollshare();
		fd = sysmons.breakfd;
	}
	RAW(__NR_write, fd, &one, 8);
}

/* ---- its numbers ------------------------------------------------------------------------ */

bool netpollown(int fd)
{
	return fd >= OWNFD &&
	       (fd == READ_ONCE(epfd) || fd == READ_ONCE(breakfd));
}

/* The lowest of ours in [first, last], UINT32_MAX if there is none. */
uint32_t netpollownin(uint32_t first, uint32_t last)
{
	uint32_t own = UINT32_MAX,
		 fd[2] = { (uint32_t)READ_ONCE(epfd), (uint32_t)READ_ONCE(breakfd) };

	for (int i = 0; i < 2 && (int)fd[0] >= 0; i++)
		if (fd[i] >= first && fd[i] <= last && fd[i] < own)
			own = fd[i];
	return own;
}

/* Give up the number, if it is one of ours, for a file of the program's. The file stays
 * open under another, and registered. */
void netpollmove(int fd)
{
	struct m *mp = acquirem();
	int up;

	lock(&netpolllock);
	up = netpollown(fd) ? (int)RAW(__NR_fcntl, fd, F_DUPFD_CLOEXEC_, fd + 1)
			    : -1;
	if (up >= 0) {
		if (fd == epfd)
			WRITE_ONCE(epfd, up);
		else
			WRITE_ONCE(breakfd, up);
		store_release(&made, made + 1);
		RAW(__NR_close, fd);
	}
	unlock(&netpolllock);
	releasem(mp);
}

/* In a fork child the instance is the parent's: leave it alone. */
void netpollepollfork(void)
{
	if (epfd >= 0) {
		RAW(__NR_close, epfd);
		RAW(__NR_close, breakfd);
	}
	epfd = breakfd = sysmons.epfd = sysmons.breakfd = -1;
	made = sysmons.made = 0;
	netpolllock.key = 0;
}
