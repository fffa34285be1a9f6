/* connect.c - connect(2): a few wait in the kernel, all others are parked.
 *
 * Why: nothing is cheaper than the plain call as long as few wait in it. From the FREE + 1st
 *      that waits at the same time on, a tcp socket's connection is begun without waiting
 *      (uringconnect), and the G waits for the file. A full listener of AF_UNIX can
 *      only be waited for in the kernel: no event tells of room. There TURNS do for
 *      each listener; whoever else wants to connect to it waits for a turn, but for those
 *      whose wait has an end (SO_SNDTIMEO). All else is the plain call.
 * Invariants: 1. l->in counts those that have l's turn; who has one or waits says so in
 *      its thread record, since a handler may jump away from here;
 *      2. whoever leaves l, with a turn or without, wakes one that waits if there is
 *      a turn: it may have been woken for one that it did not take;
 *      3. l is that listener's while l->users is not 0.
 * Locks: l's queue for l->in; that of the table for l->users and l->id.
 */
#include "shim/io.h"
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#define FREE	  4u
#define TURNS	  2u
#define LISTENERS 32

/* What a name means now: the file that has it, or an abstract name. */
struct id {
	uint64_t dev, ino;
	size_t len;
	char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int type;
};

struct listener {
	uint32_t in, users;
	struct id id;
};
static struct listener listeners[LISTENERS];
static struct listener anywhere; /* FREE turns, for which nobody waits */

/* ---- turns ------------------------------------------------------------------------- */

static bool takefree(void)
{
	/* relaxed: a count, which tells of nothing else */
	if (__atomic_add_fetch(&anywhere.in, 1, __ATOMIC_RELAXED) > FREE) {
		__atomic_sub_fetch(&anywhere.in, 1, __ATOMIC_RELAXED);
		return false;
	}
	self.turn = &anywhere;
	return true;
}

/* Have the listener of that id as self.turn; none if all are in use. */
static void find(struct semaq *q, void *arg)
{
	struct listener *l = NULL;

	(void)q;
	for (int i = 0; i < LISTENERS; i++) {
		if (listeners[i].users == 0) {
			l = &listeners[i];
		} else if (!memcmp(&listeners[i].id, arg, sizeof(l->id))) {
			l = &listeners[i];
			break;
		}
	}
	if (!l)
		return;
	if (l->users++ == 0)
		*l = (struct listener){ .users = 1, .id = *(struct id *)arg };
	self.turn = l;
}

static void drop(struct semaq *q, void *arg)
{
	struct listener *l = arg;

	(void)q;
	l->users--;
	self.turn = NULL;
}

/* semacheck: is there no turn? Else it is the caller's. */
static bool allin(void *arg)
{
	struct listener *l = arg;

	if (l->in == TURNS)
		return true;
	l->in++;
	self.hasturn = true;
	return false;
}

static void next(struct semaq *q, void *arg)
{
	struct listener *l = arg;

	if (self.hasturn)
		l->in--;
	self.hasturn = false;
	if (l->in < TURNS)
		sematake(q, 1, ~0u, 0);
}

void connectleave(void)
{
	struct listener *l = self.turn;

	if (l == &anywhere) {
		self.turn = NULL;
		/* relaxed: see takefree */
		__atomic_sub_fetch(&anywhere.in, 1, __ATOMIC_RELAXED);
	} else if (l) {
		semapick((uintptr_t)l, next, l);
		semapick((uintptr_t)listeners, drop, l);
	}
}

void connectfork(void)
{
	memset(listeners, 0, sizeof(listeners));
	anywhere.in = 0;
	self.turn = NULL;
	self.hasturn = false;
}

static void leave(int *unused)
{
	(void)unused;
	if (self.turn)
		connectleave();
}

/* From here to the end of the block, however it is left. */
#define LEAVING int leaving_ __attribute__((cleanup(leave), unused)) = 0

/* ---- the call ------------------------------------------------------------------------ */

/* In the kernel. Interrupted by us, the connection goes on, and the next call waits for
 * that. */
static int plain(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)POINTCALL(SYS_connect, fd, addr, len);
}

static int option(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, SOL_SOCKET, name, &v, &len) ? -1 : v;
}

/* The error was taken from a connection that had begun, and whose end the socket has not
 * been told: shut down in both directions, as none is that has not been connected. */
static bool halfway(int fd)
{
	struct pollfd p = { fd, POLLRDHUP, 0 };

	return GLANCE(SYS_poll, &p, 1, 0) > 0 && (p.revents & POLLRDHUP);
}

static int tcp(struct io *io, const struct sockaddr *addr, socklen_t len)
{
	int r = uringconnect(io->fd, addr, len);

	if (r == -ENOSYS)
		return plain(io->fd, addr, len);
	if (r != -EINPROGRESS) {
		if (r < 0 && halfway(io->fd) && plain(io->fd, addr, len) == 0)
			r = 0;
		return ret_errno(r);
	}
	do {
		if (io->plain || ioready(io)) {
			/* who waits for the same connection was first */
			r = plain(io->fd, addr, len);
			return r < 0 && errno == EISCONN ? 0 : r;
		}
	} while (iowait(io));
	if (errno == EAGAIN)
		errno = EINPROGRESS; /* SO_SNDTIMEO */
	return -1;
}

/* What is to be connected to; addr may be anything. */
static bool identify(int fd, const struct sockaddr *addr, socklen_t len,
		     struct id *id)
{
	char path[sizeof(id->name) + 1] = "";
	struct sockaddr_un un;
	struct iovec to = { &un, len }, from = { (void *)addr, len };
	struct stat st;

	if (len <= offsetof(struct sockaddr_un, sun_path) || len > sizeof(un) ||
	    process_vm_readv(getpid(), &to, 1, &from, 1, 0) != (ssize_t)len ||
	    un.sun_family != AF_UNIX)
		return false;
	memset(id, 0, sizeof(*id));
	id->type = option(fd, SO_TYPE);
	len -= (socklen_t)offsetof(struct sockaddr_un, sun_path);
	if (un.sun_path[0] == 0) {
		id->len = len;
		memcpy(id->name, un.sun_path, len);
		return true;
	}
	memcpy(path, un.sun_path, len);
	if (HANDOFF(stat(path, &st)) || !S_ISSOCK(st.st_mode))
		return false;
	id->dev = st.st_dev;
	id->ino = st.st_ino;
	return true;
}

static int local(struct io *io, const struct sockaddr *addr, socklen_t len)
{
	struct semawait w = { .reason = WAIT_IO,
			      .interruptible = true,
			      .deadline = NEVER,
			      .check = allin };
	LEAVING;
	struct id id;
	int r;

	if (iodeadline(io) == NEVER && identify(io->fd, addr, len, &id))
		semapick((uintptr_t)listeners, find, &id);
	if (!self.turn)
		return plain(io->fd, addr, len);
	w.addr = (uintptr_t)self.turn;
	w.arg = self.turn;
	while ((r = semawait(&w)) != -EAGAIN) {
		if (r == -EINTR && !gsigrestarts())
			return ret_errno(-EINTR);
		if (r < 0)
			cancelpoint();
	}
	if (!netpollsame(&io->ps))
		return ret_errno(-EBADF);
	return plain(io->fd, addr, len);
}

/* Others wait in the kernel, enough of them. A filter of system calls may kill who makes
 * one that it has not heard of: there it is the plain call. */
static int crowded(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct io io;
	int domain, r;

	iobegin(&io, fd, NETPOLL_WRITE);
	if (io.plain || REAL(prctl)(PR_GET_SECCOMP))
		return plain(fd, addr, len);
	domain = option(fd, SO_DOMAIN);
	if (domain == AF_UNIX)
		r = local(&io, addr, len);
	else if ((domain == AF_INET || domain == AF_INET6) &&
		 option(fd, SO_PROTOCOL) == IPPROTO_TCP)
		r = tcp(&io, addr, len);
	else
		r = plain(fd, addr, len);
	return (int)ioend(&io, r);
}

EXPORT int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	NATIVELY(connect, fd, addr, len);
	if (!ong())
		return REAL(connect)(fd, addr, len);
	cancelpoint();
	/* in a handler that has interrupted one it has that one's turn */
	if (gforeign() || self.turn)
		return plain(fd, addr, len);
	if (takefree()) {
		LEAVING;

		return plain(fd, addr, len);
	}
	return crowded(fd, addr, len);
}
ALIAS_OF(__connect, connect);
