/* netpoll_know.c - what is learned of files, by their numbers: what the layer above has
 * found out, how long that can be relied on, who writes to whom, that a stream is empty.
 *
 * Why: nothing of it is needed. Each saves a call that would say what is known already.
 * Invariants: 1. it is forgotten when the number is closed or found to be another file's;
 *      2. where it is wrong all the same, somebody looks once too often, or parks until
 *      the wait makes sure of its registration (see netpoll.c), and it is unlearned.
 * Locks: none. Plain words that anybody writes; what two write at once one of them has
 *      to learn again.
 */
#include "core/netpoll.h"

/* pd's number has, or is about to have, another file. */
void netpollunknown(struct polldesc *pd)
{
	WRITE_ONCE(pd->hints, 0);
	WRITE_ONCE(pd->seen, 0);
	WRITE_ONCE(pd->vain, 0);
	WRITE_ONCE(pd->drained, 0);
}

/* ---- hints --------------------------------------------------------------------------- */

static uint32_t hintsof(const struct polldesc *pd)
{
	return pd ? READ_ONCE(pd->hints) & ~ENDS : 0;
}

uint32_t netpollhints(const struct pollstate *ps)
{
	return hintsof(ps->pd);
}

uint32_t netpollhintsof(int fd)
{
	return hintsof(polldesc(fd, false));
}

bool netpollsame(const struct pollstate *ps)
{
	return ps->pd && READ_ONCE(ps->pd->gen) == ps->gen;
}

void netpollhint(const struct pollstate *ps, uint32_t hint)
{
	if (netpollsame(ps))
		__atomic_fetch_or(&ps->pd->hints, hint, __ATOMIC_RELAXED);
}

void netpollunhint(int fd)
{
	struct polldesc *pd = polldesc(fd, false);

	if (pd)
		__atomic_fetch_and(&pd->hints, ENDS, __ATOMIC_RELAXED);
}

static int64_t changedat; /* whoever has looked before that is not trusted */

bool netpolltrusted(struct pollstate *ps)
{
	int64_t looked = ps->pd ? READ_ONCE(ps->pd->looked) : 0;

	ps->now = nanotime();
	/* others that wait would be woken for nothing when it ends */
	ps->trusting = ps->pd && ps->now - looked < RECHECK &&
		       looked > READ_ONCE(changedat) &&
		       READ_ONCE(ps->pd->nwait) == 0;
	return ps->trusting;
}

void netpolllooked(const struct pollstate *ps)
{
	if (ps->pd && READ_ONCE(ps->pd->gen) == ps->gen)
		WRITE_ONCE(ps->pd->looked, ps->now);
}

void netpollchanged(void)
{
	WRITE_ONCE(changedat, nanotime());
}

/* ---- peers --------------------------------------------------------------------------- */

/* "Peers". By a write to one end of a pipe, a socket pair, a connection within the
 * process the other end gets ready, of which the kernel tells those who ask. So it is
 * learned which: if it was the only one that got ready after a write, PEERSURE times in
 * a row, its reader is woken with the write, with no look at the poller. It tries; if
 * that was for nothing, the pair is forgotten.
 */
#define PEERSURE 4

/* ev is all that came after pd was written to. */
void netpolllearn(struct polldesc *pd, const struct epoll_event *ev)
{
	uint32_t peer = (uint32_t)ev->data + 1;

	if (ev->data == POLLBREAK || !(ev->events & EPOLLIN))
		return;
	if (READ_ONCE(pd->peer) != peer) {
		WRITE_ONCE(pd->seen, 0);
		WRITE_ONCE(pd->peer, peer);
	}
	if (READ_ONCE(pd->seen) < PEERSURE)
		WRITE_ONCE(pd->seen, READ_ONCE(pd->seen) + 1);
}

/* pd's reader was woken, and found nothing. */
void netpollforget(struct polldesc *pd)
{
	struct polldesc *w = polldesc((int)READ_ONCE(pd->from) - 1, false);

	WRITE_ONCE(pd->from, 0);
	if (w)
		WRITE_ONCE(w->seen, 0);
}

void netpollwrote(int fd, const struct pollstate *ps)
{
	struct polldesc *pd = ps->pd, *to;

	if (!pd || !curg())
		return;
	if (READ_ONCE(pd->seen) < PEERSURE) {
		/* that M may run another G by now: it is a hint */
		WRITE_ONCE(((struct m *)curg()->sched.m)->wrote, pd);
		return;
	}
	to = polldesc((int)READ_ONCE(pd->peer) - 1, false);
	if (!to || (!READ_ONCE(to->nwait) && !READ_ONCE(to->vain)))
		return;
	WRITE_ONCE(to->from, (uint32_t)fd + 1);
	xadd(&to->seq[NETPOLL_READ], 1); /* before nwait: as in ready */
	if (READ_ONCE(to->nwait))
		semawake((uintptr_t)&to->seq[NETPOLL_READ], 1, 0);
}

/* ---- drained ------------------------------------------------------------------------- */

/* "Drained". A stream that gave less than was asked for is empty, and whatever comes is an
 * event. So to try the next read before one is for nothing: after DRAINSURE times in
 * a row that it was, the reader parks at once. Not once there may be something that is
 * told only once and not taken away by a read: an end, an error, urgent data (ENDS).
 */
#define DRAINSURE 4

/* What a read that leaves nothing makes of the sequence; 0: never mind. */
static uint16_t drainedat(const struct pollstate *ps)
{
	return (uint16_t)(ps->seq + 1);
}

static bool drained(const struct pollstate *ps)
{
	uint16_t at = READ_ONCE(ps->pd->drained);

	return at && at == drainedat(ps);
}

bool netpolldrained(const struct pollstate *ps)
{
	struct polldesc *pd = ps->pd;

	return pd && READ_ONCE(pd->vain) >= DRAINSURE && drained(ps) &&
	       !(READ_ONCE(pd->hints) & ENDS) &&
	       (READ_ONCE(pd->armed) & READS) == READS;
}

/* A read that was not woken is about to wait. */
void netpollvain(struct polldesc *pd, const struct pollstate *ps)
{
	if (drained(ps) && READ_ONCE(pd->vain) < DRAINSURE)
		WRITE_ONCE(pd->vain, READ_ONCE(pd->vain) + 1);
}

void netpolltook(const struct pollstate *ps, bool all)
{
	struct polldesc *pd = ps->pd;

	if (!pd)
		return;
	if (!ps->woken && drained(ps))
		WRITE_ONCE(pd->vain, 0);
	WRITE_ONCE(pd->drained,
		   all && READ_ONCE(pd->gen) == ps->gen ? drainedat(ps) : 0);
}
