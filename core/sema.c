/* sema.c - wait queues keyed by address: the one blocking primitive.
 *
 * Why: a futex in user space. Every POSIX object is a few atomic words in the
 *      application's own memory over this; there is no table of objects and no
 *      allocation, since a G waits for one thing at a time and carries the node.
 * Invariants: 1. a bucket chains the first waiter of each of its addresses by
 *      semnext; that one chains the others by waitlink and knows the last;
 *      2. gp->waitaddr is 0 exactly when gp is in no queue; but one that only sleeps has
 *      SLEEPS there, is in none, and whoever takes off its timer wakes it;
 *      3. whoever takes a G off a queue, under the bucket's lock, wakes it: there
 *      is one waker a wait;
 *      4. a waker never looks at the object, which may be gone once its releasing
 *      operation is done; pick functions run before that operation.
 *      5. the waiters of an address are sorted by real-time priority, then by age, as
 *      the kernel has it for futexes.
 *      6. there are as many buckets as Gs were ever made, 8192 at least: a hash table
 *      that grows by one bucket at a time (linear hashing), so that nobody waits for
 *      it. Bucket i is split into i and i + half; table.size, which tells where an
 *      address belongs, changes only under the lock of the bucket that is split, so
 *      who has locked a bucket looks at it again (lockbucket).
 * Locks: growlock, then the bucket's; two (semarequeue) in address order. Timers inside.
 * See: "Enqueued but not saved" in proc.c for what may run between unlock and
 *      park.
 */
#include "core/runtime.h"
#include <errno.h>

#define NBUCKET 8192 /* 512 KiB, touched as used */
#define NMORE 11     /* doublings: sixteen million, as Gs */
#define SIZE(mask, n) ((uint64_t)(mask) << 32 | (n))

static struct bucket {
	struct quicklock lock;
	struct g *first;
} cacheline buckets[NBUCKET];

/* The number of buckets, and above it the mask that a hash is cut by: the lowest 2^n - 1
 * that reaches the last. more[i] are those from NBUCKET << i on, kept for ever. */
static struct {
	uint64_t size;
	struct bucket *more[NMORE];
} cacheline table = { .size = SIZE(NBUCKET - 1, NBUCKET) };
static struct mutex growlock;

struct semaq {
	struct bucket *b;
	uintptr_t addr;
	struct g *taken, **tail; /* by schedlink */
};

static inline uint32_t hash(uintptr_t addr)
{
	return (uint32_t)((addr * 0x9e3779b97f4a7c15ul) >> 40);
}

static cold struct bucket *morebucket(uint32_t i)
{
	int n = __builtin_clz(NBUCKET) - __builtin_clz(i);

	return &table.more[n][i - ((uint32_t)NBUCKET << n)];
}

static inline struct bucket *bucketat(uint32_t i)
{
	return likely(i < NBUCKET) ? &buckets[i] : morebucket(i);
}

/* Where addr belongs in a table of that size, which is load_acquired: pairs with split. */
static inline struct bucket *bucketof(uintptr_t addr, uint64_t size)
{
	uint32_t mask = (uint32_t)(size >> 32), i = hash(addr) & mask;

	if (unlikely(i >= (uint32_t)size))
		i &= mask >> 1; /* is not split yet */
	return bucketat(i);
}

/* b, which was addr's in a table of that size, still is. It is locked. */
static inline bool staysin(struct bucket *b, uintptr_t addr, uint64_t size)
{
	return READ_ONCE(table.size) == size ||
	       bucketof(addr, load_acquire(&table.size)) == b;
}

/* b, which was addr's in a table of that size, is locked: the one that is now. */
static cold struct bucket *lockbucket_slow(struct bucket *b, uintptr_t addr,
					   uint64_t size)
{
	while (!staysin(b, addr, size)) {
		unlockquick(&b->lock);
		size = load_acquire(&table.size);
		b = bucketof(addr, size);
		lockquick(&b->lock);
	}
	return b;
}

static inline struct bucket *lockbucket(uintptr_t addr)
{
	uint64_t size = load_acquire(&table.size);
	struct bucket *b = bucketof(addr, size);

	lockquick(&b->lock);
	if (likely(READ_ONCE(table.size) == size))
		return b;
	return lockbucket_slow(b, addr, size);
}

static void unlocktwo(struct bucket *b, struct bucket *b2)
{
	if (b != b2)
		unlockquick(&b2->lock);
	unlockquick(&b->lock);
}

/* The buckets of two addresses, which may be one. */
static void locktwo(struct bucket **b, uintptr_t addr, struct bucket **b2,
		    uintptr_t addr2)
{
	for (;;) {
		uint64_t size = load_acquire(&table.size);
		struct bucket *x = bucketof(addr, size);
		struct bucket *y = bucketof(addr2, size);

		lockquick(x < y ? &x->lock : &y->lock);
		if (x != y)
			lockquick(x < y ? &y->lock : &x->lock);
		*b = x;
		*b2 = y;
		if (staysin(x, addr, size) && staysin(y, addr2, size))
			return;
		unlocktwo(x, y);
	}
}

/* Add a bucket. Holds growlock. False: there is no memory for it. */
static bool split(void)
{
	uint32_t n = (uint32_t)table.size, mask = (uint32_t)(table.size >> 32);
	struct bucket *from, *to;
	struct g **link, *gp;

	if (n > mask) { /* all are split: the next round */
		struct bucket **more;

		mask = 2 * mask + 1;
		more = &table.more[__builtin_clz(NBUCKET) - __builtin_clz(n)];
		if (!*more)
			*more = sysalloc(n * sizeof(struct bucket));
		if (!*more)
			return false;
	}
	from = bucketat(n & mask >> 1);
	to = bucketat(n);
	lockquick(&from->lock);
	*to = (struct bucket){ 0 }; /* a fork child's may be its parent's */
	for (link = &from->first; (gp = *link);) {
		if ((hash(gp->waitaddr) & mask) != n) {
			link = &gp->semnext;
			continue;
		}
		*link = gp->semnext;
		gp->semnext = to->first;
		to->first = gp;
	}
	/* release: pairs with whoever looks where an address belongs */
	store_release(&table.size, SIZE(mask, n + 1));
	unlockquick(&from->lock);
	return true;
}

/* There are n Gs now. The caller is acquired. */
void semagrow(uint32_t n)
{
	if (likely(n <= (uint32_t)READ_ONCE(table.size)))
		return;
	lock(&growlock);
	while ((uint32_t)table.size < n && n <= (uint32_t)NBUCKET << NMORE)
		if (!split())
			break; /* longer chains, then */
	unlock(&growlock);
}

/* In a fork child: nobody waits any more, and few will. */
void semainit(void)
{
	for (uint32_t i = 0; i < NBUCKET; i++)
		if (buckets[i].first || buckets[i].lock.key || buckets[i].lock.nwait)
			buckets[i] = (struct bucket){ 0 };
	table.size = SIZE(NBUCKET - 1, NBUCKET);
	growlock.key = 0;
}

/* The link that points to addr's first waiter; *link is NULL if none. */
static struct g **findaddr(struct bucket *b, uintptr_t addr)
{
	struct g **link = &b->first;

	while (*link && (*link)->waitaddr != addr)
		link = &(*link)->semnext;
	return link;
}

/* gp has a priority: before the first waiter of *link's address that has a lower one; with
 * front, or the same. */
static void enqueuebefore(struct g **link, struct g *gp, bool front)
{
	struct g *first = *link, *prev = NULL, *p = first;

	for (; p && p->prio >= gp->prio + front; p = p->waitlink)
		prev = p;
	gp->waitlink = p;
	if (prev) {
		prev->waitlink = gp;
		if (!p)
			first->waittail = gp;
		return;
	}
	gp->waittail = first->waittail;
	gp->semnext = first->semnext;
	first->semnext = NULL;
	*link = gp;
}

static void enqueue(struct bucket *b, struct g *gp, uintptr_t addr, bool front)
{
	struct g **link = findaddr(b, addr), *first = *link;

	WRITE_ONCE(gp->waitaddr, addr);
	gp->waitlink = NULL;
	if (first && unlikely(gp->prio || front)) {
		enqueuebefore(link, gp, front);
	} else if (first) {
		first->waittail->waitlink = gp;
		first->waittail = gp;
	} else {
		gp->waittail = gp;
		gp->semnext = b->first;
		b->first = gp;
	}
}

/* Unlink gp, the waiter after prev (NULL: the first) of *link's address. */
static void unlinkg(struct g **link, struct g *prev, struct g *gp)
{
	struct g *first = *link;

	if (prev) {
		prev->waitlink = gp->waitlink;
		if (first->waittail == gp)
			first->waittail = prev;
	} else if (gp->waitlink) {
		struct g *next = gp->waitlink;

		next->semnext = gp->semnext;
		next->waittail = gp->waittail;
		*link = next;
	} else {
		*link = gp->semnext;
	}
	gp->waitlink = gp->semnext = NULL;
}

/* Take it off for good. */
static void dequeue(struct g **link, struct g *prev, struct g *gp)
{
	unlinkg(link, prev, gp);
	WRITE_ONCE(gp->waitaddr, 0);
}

/* End gp's sleep: by a deadline, whose seq it is, if it was this one's; else (0) if its
 * timer can still be taken off. */
static bool endsleep(struct g *gp, uint32_t seq, int res)
{
	if (seq ? gp->waitseq != seq : !timertake(gp))
		return false;
	gp->waitres = res;
	WRITE_ONCE(gp->waitaddr, 0);
	return true;
}

/* Take gp off the queue it is in, if it waits and is in wait number seq (0: any).
 * gp's bucket can change meanwhile (semarequeue), so look again under its lock. */
static bool takeoff(struct g *gp, uint32_t seq, int res, bool interrupt)
{
	for (;;) {
		uintptr_t addr = load_acquire(&gp->waitaddr); /* hint */
		struct bucket *b;
		struct g **link, *prev = NULL, *p;

		if (!addr)
			return false;
		if (addr == SLEEPS) {
			if (endsleep(gp, seq, res))
				return true;
			if (READ_ONCE(gp->waitaddr) == SLEEPS)
				return false; /* its timer is not armed, or fires */
			continue;
		}
		b = lockbucket(addr);
		if (READ_ONCE(gp->waitaddr) != addr) {
			unlockquick(&b->lock);
			continue;
		}
		if ((seq && gp->waitseq != seq) ||
		    (interrupt && !gp->interruptible)) {
			unlockquick(&b->lock);
			return false;
		}
		link = findaddr(b, addr);
		for (p = *link; p != gp; p = p->waitlink)
			prev = p;
		dequeue(link, prev, gp);
		gp->waitres = res;
		unlockquick(&b->lock);
		return true;
	}
}

/* A deadline has passed. Any M. True: the caller is to make gp ready. */
bool semtimeout(struct g *gp, uint32_t seq)
{
	return takeoff(gp, seq, -ETIMEDOUT, false);
}

/* End gp's wait with -EINTR or -ECANCELED, now or, if it is in none, the next one;
 * false if it is in none: all CPUs have passed a fence then. mp is acquired. */
bool ginterrupted(struct m *mp, struct g *gp, int why)
{
	int res = why == INT_SIGNAL ? -EINTR : -ECANCELED;

	__atomic_fetch_or(&gp->interrupted, why, __ATOMIC_SEQ_CST);
	if (!takeoff(gp, 0, res, true)) {
		/* pairs with semapark, which is in the queue first and reads that
		 * word then, with no fence between: one of the two sees the other */
		heavyfence();
		if (!takeoff(gp, 0, res, true))
			return false;
	}
	goready(mp, gp);
	return true;
}

void gpriority(int priority)
{
	getg()->prio = (uint8_t)priority;
}

void gcancelwait(struct g *gp)
{
	struct m *mp = acquirem();

	ginterrupted(mp, gp, INT_CANCEL);
	releasem(mp);
}

/* Wait on the M's note, which is a P-less G's timer, too. */
static void foreignsleep(struct m *mp, struct g *gp, int64_t deadline)
{
	bool woken;

	mp->parked = true;
	woken = notetsleep(&mp->park, deadline);
	mp->parked = false;
	if (!woken && !takeoff(gp, 0, -ETIMEDOUT, false))
		notesleep(&mp->park); /* somebody is waking it */
	goenter(mp, gp);
}

/* gp is about to wait. Before it can be found: the waker makes it Grunnable. */
static inline void beginwait(struct g *gp, enum waitreason reason,
			     bool interruptible)
{
	gp->waitseq++;
	if (gp->waitseq == 0)
		gp->waitseq = 1; /* 0 is "any" in takeoff */
	gp->waitres = 0;
	gp->waitreason = (uint8_t)reason;
	gp->interruptible = interruptible;
	gp->norestart = false;
	WRITE_ONCE(gp->status, Gwaiting);
}

/* It can be found from now on: what was sent before that ends its wait, too. */
static inline void lookinterrupted(struct m *mp, struct g *gp)
{
	/* after it can be found: pairs with the fence of ginterrupted */
	int why = READ_ONCE(gp->interrupted);

	/* the sender may have found it running, and come for it only now */
	if (READ_ONCE(gp->sigpend) & ~gp->sigmask)
		why |= INT_SIGNAL;
	if (why && takeoff(gp, 0, why & INT_CANCEL ? -ECANCELED : -EINTR, true))
		goready(mp, gp);
}

/* A cancellation that did not end this wait is for the next: who waits on need not have
 * looked in between. */
static inline void clearinterrupted(struct g *gp)
{
	if (unlikely(READ_ONCE(gp->interrupted)))
		__atomic_fetch_and(&gp->interrupted,
				   gp->waitres == -ECANCELED ? 0 : INT_CANCEL,
				   __ATOMIC_SEQ_CST);
}

/* semawait from acquirem to releasem, which are the caller's: no handler runs before it
 * says so. *res is what semawait returns. */
struct m *semapark(struct m *mp, const struct semawait *w, int *res)
{
	struct g *gp = curg();
	struct bucket *b = lockbucket(w->addr);
	bool timed = w->deadline != NEVER;

	if (w->check && !w->check(w->arg)) {
		unlockquick(&b->lock);
		*res = -EAGAIN;
		return mp;
	}
	beginwait(gp, w->reason, w->interruptible);
	gp->waitmask = w->mask ? w->mask : ~0u;
	enqueue(b, gp, w->addr, w->front);
	unlockquick(&b->lock);
	if (timed && !gp->foreign) {
		struct p *pp = mp->p ? mp->p : allp[0];

		if (w->coarse)
			timeraddcoarse(pp, &gp->timer, w->deadline,
				       w->coarse - 1, gp->waitseq);
		else
			timeradd(pp, &gp->timer, w->deadline, gp->waitseq);
	}
	if (w->interruptible)
		lookinterrupted(mp, gp);
	if (w->unlock)
		w->unlock(w->unlockarg);
	if (gp->foreign && timed)
		foreignsleep(mp, gp, w->deadline);
	else
		mp = gopark(mp);
	if (timed)
		timerdel(&gp->timer);
	if (w->interruptible)
		clearinterrupted(gp);
	*res = gp->waitres;
	return mp;
}

int semawait(const struct semawait *w)
{
	int res;
	struct m *mp = semapark(acquirem(), w, &res);

	if (res == 0 && w->woken && !w->woken(w->arg))
		res = -EAGAIN;
	releasem(mp);
	return res;
}

/* "A turn instead of a place in the queue": test/model/turn.pml.
 * gp->turnat is the place that it has, or this, if it was woken there. Whoever changes it from
 * the place by CAS decides; if that is who wakes, the object may be gone then. */
#define TURNED ((struct sematurn *)1)
/* Or the place with this bit: it is queueing up, under the queue's lock. */
#define LEAVING		2ul
#define WITHOUT(turnat) ((struct sematurn *)((uintptr_t)(turnat) & ~LEAVING))
#define WITH(turn)	((struct sematurn *)((uintptr_t)(turn) | LEAVING))

/* gp has the place from now on. Those that would take it at the same time are kept off by what
 * w->unlock gives back. */
static inline bool taketurn(struct g *gp, struct sematurn *turn)
{
	struct g *last = READ_ONCE(turn->last);

	/* acquire: that one is counted, if it has left */
	if (last && last != gp && WITHOUT(load_acquire(&last->turnat)) == turn)
		return false;
	WRITE_ONCE(gp->turnat, turn);
	/* both pair with sematurned */
	store_release(&turn->last, gp);
	store_release(&turn->taken, 1);
	return true;
}

struct leaving {
	const struct semawait *w;
	struct sematurn *turn;
};

/* As w->check, for who has a place and was not woken there. */
static bool leaveturn(void *arg)
{
	struct leaving *l = arg;
	struct g *gp = curg();

	/* pairs with sematurned's */
	if (!cas(&gp->turnat, l->turn, WITH(l->turn)))
		return false;
	if (l->w->check)
		l->w->check(l->w->arg);
	/* release: who finds nobody there finds it counted */
	store_release(&l->turn->taken, 0);
	store_release(&gp->turnat, NULL);
	return true;
}

static cold struct m *turnedout(struct m *mp, const struct semawait *w,
				struct sematurn *turn, int *res)
{
	struct leaving l = { w, turn };
	struct semawait queued = *w;

	queued.unlock = NULL;
	queued.check = leaveturn;
	queued.arg = &l;
	mp = semapark(mp, &queued, res);
	if (*res == -EAGAIN)
		*res = 0;
	return mp;
}

/* Who would run instead of the caller, which holds lock, has been woken and only wants that:
 * giving it back and locking it again can be left out. gp->turnlock is what a G that others
 * may run wants, from before they may until it does; NULL: it has that. The CAS on runnext
 * orders it: who takes a G from there sees it, and who reads it before has to win that. */
static inline bool handsover(const struct p *pp, const uint32_t *lock)
{
	const struct g *next;

	return lock && READ_ONCE(*lock) == 1 && pp &&
	       (next = READ_ONCE(pp->runnext)) &&
	       READ_ONCE(next->turnlock) == lock &&
	       READ_ONCE(next->turnat) == TURNED;
}

int semawaitturn(const struct semawait *w, struct sematurn *turn,
		 const uint32_t *lock)
{
	struct m *mp = acquirem();
	struct g *gp = curg();
	bool asexpected = true;
	int res = 0;

	gp->turntick = ticknow(gp);
	if (gp->turns < TURNSURE || !mp->p || !READ_ONCE(mp->p->runnext) ||
	    !taketurn(gp, turn)) {
		mp = semapark(mp, w, &res);
	} else {
		bool hand = handsover(mp->p, lock);
		struct m *turned;

		if (!hand)
			w->unlock(w->unlockarg);
		WRITE_ONCE(gp->turnlock, lock);
		turned = turnwoken(mp, hand);
		res = turned && lock && !gp->turnlock;
		WRITE_ONCE(gp->turnlock, NULL);
		if (turned)
			mp = turned;
		else if (hand)
			w->unlock(w->unlockarg);
		/* acquire: what the waker did before it */
		if (unlikely(load_acquire(&gp->turnat) != TURNED)) {
			mp = turnedout(mp, w, turn, &res);
			asexpected = false;
		}
	}
	turnlearn(gp, ticknow(gp) - gp->turntick, asexpected && res >= 0);
	releasem(mp);
	return res;
}

static bool tellturned(struct sematurn *turn, uintptr_t addr)
{
	for (;;) {
		struct sematurn *at;
		/* acquire: pairs with taketurn */
		struct g *gp = load_acquire(&turn->last);

		if (!gp)
			return false;
		/* acquire: pairs with leaveturn */
		at = load_acquire(&gp->turnat);
		if (at != turn) {
			if (addr && at == WITH(turn))
				unlockquick(&lockbucket(addr)->lock);
			return false;
		}
		/* before it can take the place again. Who wakes another one meanwhile
		 * finds nobody; but there is one only, and it will be woken. */
		WRITE_ONCE(turn->taken, 0);
		/* pairs with semawaitturn's load, or leaveturn's CAS was first */
		if (cas(&gp->turnat, turn, TURNED))
			return true;
		/* it was woken or has left, and another may have the place */
	}
}

bool sematurned(struct sematurn *turn, uintptr_t addr)
{
	/* no handler runs, and nobody is preempted, while others find nobody there */
	struct m *mp = acquirem();
	bool told = tellturned(turn, addr);

	releasem(mp);
	return told;
}

/* As semawait at an address that nobody wakes: without a queue, the timer is all there is
 * to take off. */
int semasleep(int64_t deadline)
{
	struct m *mp = acquirem();
	struct g *gp = curg();
	int res;

	if (unlikely(gp->foreign)) {
		struct semawait w = { .addr = (uintptr_t)&res,
				      .reason = WAIT_SLEEP,
				      .interruptible = true,
				      .deadline = deadline };

		mp = semapark(mp, &w, &res);
	} else {
		beginwait(gp, WAIT_SLEEP, true);
		/* release: whoever sees it sees the wait's number */
		store_release(&gp->waitaddr, SLEEPS);
		timeradd(mp->p ? mp->p : allp[0], &gp->timer, deadline,
			 gp->waitseq);
		lookinterrupted(mp, gp);
		mp = gopark(mp);
		clearinterrupted(gp);
		res = gp->waitres;
	}
	releasem(mp);
	return res;
}

static inline uint32_t take(struct semaq *q, uint32_t n, uint32_t mask, int res,
			    bool front)
{
	struct g **link = findaddr(q->b, q->addr), *prev = NULL, *gp, *next;
	uint32_t taken = 0;

	for (gp = *link; gp && taken < n; gp = next) {
		next = gp->waitlink;
		if (!(gp->waitmask & mask)) {
			if (front && !gp->prio)
				break; /* the others have none, either */
			prev = gp;
			continue;
		}
		dequeue(link, prev, gp);
		gp->waitres = res;
		gp->schedlink = NULL;
		*q->tail = gp;
		q->tail = &gp->schedlink;
		taken++;
	}
	return taken;
}

uint32_t sematake(struct semaq *q, uint32_t n, uint32_t mask, int res)
{
	return take(q, n, mask, res, false);
}

uint32_t sematakefront(struct semaq *q, uint32_t mask, int res)
{
	return take(q, UINT32_MAX, mask, res, true);
}

bool semahas(struct semaq *q, uint32_t mask)
{
	struct g *gp = *findaddr(q->b, q->addr);

	while (gp && !(gp->waitmask & mask))
		gp = gp->waitlink;
	return gp;
}

/* Mostly one, or none. */
static inline void readytaken(struct m *mp, struct g *list)
{
	if (!list)
		return;
	if (likely(!list->schedlink))
		goready(mp, list);
	else
		goreadylist(mp, list);
}

void semapick(uintptr_t addr, void (*pick)(struct semaq *q, void *arg),
	      void *arg)
{
	struct m *mp = acquirem();
	struct semaq q = { .b = lockbucket(addr), .addr = addr };

	q.tail = &q.taken;
	pick(&q, arg);
	unlockquick(&q.b->lock);
	readytaken(mp, q.taken);
	releasem(mp);
}

uint32_t semawake(uintptr_t addr, uint32_t n, uint32_t mask)
{
	struct m *mp = acquirem();
	struct semaq q = { .b = lockbucket(addr), .addr = addr };
	uint32_t woken;

	q.tail = &q.taken;
	woken = sematake(&q, n, mask ? mask : ~0u, 0);
	unlockquick(&q.b->lock);
	readytaken(mp, q.taken);
	releasem(mp);
	return woken;
}

int64_t semarequeue(uintptr_t addr, uint32_t nwake, uintptr_t addr2,
		    uint32_t nmove, semacheck check, void *arg)
{
	struct m *mp = acquirem();
	struct semaq q = { .addr = addr };
	struct bucket *b2;
	int64_t n = 0;

	q.tail = &q.taken;
	locktwo(&q.b, addr, &b2, addr2);
	if (check && !check(arg)) {
		n = -EAGAIN;
	} else {
		n = sematake(&q, nwake, ~0u, 0);
		while (addr != addr2 && nmove-- > 0) {
			struct g **link = findaddr(q.b, addr), *gp = *link;

			if (!gp)
				break;
			/* never without an address: takeoff would think
			 * that somebody wakes it */
			unlinkg(link, NULL, gp);
			enqueue(b2, gp, addr2, false);
			n++;
		}
	}
	unlocktwo(q.b, b2);
	goreadylist(mp, q.taken);
	releasem(mp);
	return n;
}
