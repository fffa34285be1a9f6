/* uring.c - a connect(2) that does not wait, though the file's flags say that it would.
 *
 * Why: to change the flags for as long is no way, they belong to everybody who has the
 *      file open. io_uring's CONNECT tries as if O_NONBLOCK were set and, if that does
 *      not do, waits for the file; the request is cancelled then, at once. The connection
 *      goes on, as after a connect that was interrupted, and the G can wait for it as
 *      for any file (netpoll.c). So no request is there when uringconnect returns: none
 *      ends later and interrupts what its M does by then, none is left behind by a G
 *      that is cancelled, or whose handler jumps away.
 * Invariants: 1. a ring is its M's, which touches it between acquirem and releasem only;
 *      the kernel ends what a thread has submitted when that exits, and Ms do not;
 *      2. it is empty but in uringconnect;
 *      3. it has no descriptor, but is registered with the kernel thread. Before Linux
 *      6.5 it has one for an instant; before 5.18 there is none at all.
 * Locks: none.
 */
#include "core/runtime.h"
#include <errno.h>
#include <linux/io_uring.h>

#define ENTRIES		     2u
#define MADV_DONTFORK_	     10
#define MAP_SHARED_POPULATE_ 0x8001
#define PROT_READ_WRITE_     3
/* newer than the headers may be */
#define SINGLE_ISSUER	(1u << 12)
#define DEFER_TASKRUN	(1u << 13)
#define NO_MMAP		(1u << 14)
#define REGISTERED_ONLY (1u << 15)

enum { CONNECT = 1, CANCEL }; /* user_data */

/* There is none, or it is forbidden: not asked again. */
static bool none;

/* ---- making one ------------------------------------------------------------------- */

static void layout(struct uring *u, const struct io_uring_params *p, char *ring,
		   void *sqes)
{
	uint32_t *array = (uint32_t *)(void *)(ring + p->sq_off.array);

	u->sqtail = (uint32_t *)(void *)(ring + p->sq_off.tail);
	u->cqhead = (uint32_t *)(void *)(ring + p->cq_off.head);
	u->cqtail = (uint32_t *)(void *)(ring + p->cq_off.tail);
	u->cqes = (struct io_uring_cqe *)(void *)(ring + p->cq_off.cqes);
	u->sqes = sqes;
	u->sqmask = p->sq_entries - 1;
	u->cqmask = p->cq_entries - 1;
	for (uint32_t i = 0; i < p->sq_entries; i++)
		array[i] = i;
}

/* In our own memory and without a descriptor. 0 or -E. */
static long makering(struct uring *u)
{
	struct io_uring_params p = { .flags = NO_MMAP | REGISTERED_ONLY |
					      SINGLE_ISSUER | DEFER_TASKRUN };
	char *mem = sysalloc(2 * PAGE);

	if (!mem)
		return -ENOMEM;
	/* a child has no use for it, and the kernel's pages are not copied */
	RAW(__NR_madvise, mem, 2 * PAGE, MADV_DONTFORK_);
	p.cq_off.resv2 = (uintptr_t)mem; /* user_addr in newer headers */
	p.sq_off.resv2 = (uintptr_t)mem + PAGE;
	u->index = RAW(__NR_io_uring_setup, ENTRIES, &p);
	if (u->index < 0) {
		sysfree(mem, 2 * PAGE);
		return u->index;
	}
	layout(u, &p, mem, mem + PAGE);
	u->mem = mem;
	return 0;
}

/* mp's kernel thread, whose ring it is, ends. */
void uringexit(struct m *mp)
{
	if (mp->uring.mem)
		sysfree(mp->uring.mem, 2 * PAGE);
	mp->uring = (struct uring){ 0 };
}

static void *mapring(int fd, size_t size, uint64_t off)
{
	long p = RAW(__NR_mmap, 0, size, PROT_READ_WRITE_, MAP_SHARED_POPULATE_,
		     fd, off);

	if (p < 0 && p > -4096)
		return NULL;
	RAW(__NR_madvise, p, size, MADV_DONTFORK_);
	return (void *)p;
}

/* The same where that is not known: with a descriptor, which is closed when the ring is
 * registered. */
static long makeoldring(struct uring *u)
{
	struct io_uring_params p = { 0 };
	struct io_uring_rsrc_update reg = { .offset = ~0u };
	size_t size, nsqes;
	void *ring, *sqes;
	long r, fd = RAW(__NR_io_uring_setup, ENTRIES, &p);

	if (fd < 0)
		return fd;
	size = p.cq_off.cqes + p.cq_entries * sizeof(*u->cqes);
	if (size < p.sq_off.array + p.sq_entries * sizeof(uint32_t))
		size = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
	nsqes = p.sq_entries * sizeof(*u->sqes);
	ring = mapring((int)fd, size, IORING_OFF_SQ_RING);
	sqes = mapring((int)fd, nsqes, IORING_OFF_SQES);
	reg.data = (uint64_t)fd;
	r = -ENOMEM;
	/* without FAST_POLL a kernel thread would wait for each */
	if (ring && sqes)
		r = p.features & IORING_FEAT_FAST_POLL
			    ? RAW(__NR_io_uring_register, fd,
				  IORING_REGISTER_RING_FDS, &reg, 1)
			    : -ENOSYS;
	RAW(__NR_close, fd);
	if (r != 1) {
		if (ring)
			sysfree(ring, size);
		if (sqes)
			sysfree(sqes, nsqes);
		return r < 0 ? r : -ENOSYS;
	}
	u->index = reg.offset;
	layout(u, &p, ring, sqes);
	return 0;
}

/* False: there is none, or not now. */
static cold bool makeuring(struct uring *u)
{
	long r;

	if (READ_ONCE(none))
		return false;
	r = makering(u);
	if (r == -EINVAL)
		r = makeoldring(u);
	if (r == -ENOSYS || r == -EPERM || r == -EACCES || r == -EINVAL)
		WRITE_ONCE(none, true);
	return r == 0;
}

/* ---- using it ---------------------------------------------------------------------- */

/* Submit *e, if it is not NULL, and wait until so many completions are there, which a
 * signal may cut short. 0 or -E: it was not submitted. */
static long enter(struct uring *u, const struct io_uring_sqe *e, uint32_t wait)
{
	uint32_t t = *u->sqtail;
	long r;

	if (e) {
		u->sqes[t & u->sqmask] = *e;
		/* release: pairs with the kernel, which reads the entry then */
		store_release(u->sqtail, t + 1);
	}
	r = RAW(__NR_io_uring_enter, u->index, e != NULL, wait,
		IORING_ENTER_REGISTERED_RING |
			(wait ? IORING_ENTER_GETEVENTS : 0),
		NULL, 0);
	if (r == (e != NULL))
		return 0;
	*u->sqtail = t; /* as it is if e is NULL */
	return r < 0 ? r : -EAGAIN;
}

/* Take what completions there are; *res is CONNECT's. How many. */
static uint32_t reap(struct uring *u, int *res)
{
	uint32_t head = *u->cqhead, n;

	/* acquire: pairs with the kernel, which writes the entry first */
	for (n = 0; head != load_acquire(u->cqtail); head++, n++) {
		struct io_uring_cqe *e = &u->cqes[head & u->cqmask];

		if (e->user_data == CONNECT)
			*res = e->res;
	}
	store_release(u->cqhead, head); /* done with the entries */
	return n;
}

/* The same where there is no way back: no memory, or a signal, are no excuse. False:
 * the ring is not to be used any more. */
static bool insist(struct uring *u, const struct io_uring_sqe *e, uint32_t wait)
{
	long r;

	while ((r = enter(u, e, wait)) < 0) {
		if (r == -EINTR)
			continue;
		if (r != -EAGAIN && r != -EBUSY && r != -ENOMEM) {
			u->sqes = NULL;
			return false;
		}
		usleep_raw(100);
	}
	return true;
}

static int begin(struct uring *u, int fd, const void *addr, uint32_t len)
{
	struct io_uring_sqe connect = { .opcode = IORING_OP_CONNECT,
					.fd = fd,
					.addr = (uintptr_t)addr,
					.off = len,
					.user_data = CONNECT };
	struct io_uring_sqe cancel = { .opcode = IORING_OP_ASYNC_CANCEL,
				       .fd = -1,
				       .addr = CONNECT,
				       .user_data = CANCEL };
	uint32_t left = 2;
	int res = 0;

	if (enter(u, &connect, 0) < 0)
		return -ENOSYS;
	if (reap(u, &res) == 0) {
		if (!insist(u, &cancel, left))
			return -EINPROGRESS;
		while ((left -= reap(u, &res)) != 0)
			if (!insist(u, NULL, left))
				return -EINPROGRESS;
	}
	/* ECANCELED and EINTR are of our making, EALREADY of who began it before */
	return res == -ECANCELED || res == -EINTR || res == -EALREADY
		       ? -EINPROGRESS
		       : res;
}

int uringconnect(int fd, const void *addr, uint32_t len)
{
	struct m *mp = acquirem();
	struct uring *u = &mp->uring;
	int r = -ENOSYS;

	if (u->sqes || makeuring(u))
		r = begin(u, fd, addr, len);
	releasem(mp);
	return r;
}
