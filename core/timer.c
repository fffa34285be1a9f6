/* timer.c - deadlines of waiting Gs: a 4-ary heap per P.
 *
 * Why: a timer ends the wait of one G, nothing else, so it lives in struct g and
 *      costs no allocation. Any M may add to or run any heap; per P they are
 *      merely uncontended, and stolen with the work.
 *      Most waits for files end long before their wait's deadline, which only makes
 *      sure that nothing was missed. Those timers are coarse: 10 ms << step from now,
 *      at multiples of half of that, so one list for each step is in order, to add and
 *      to delete cost nothing, and thousands fire with one wake-up.
 * Fair: those that are due stay in the heap, in order, until their turn to run is near,
 *      and then go to the end of the queue, but for the first of them. Were all fired at
 *      once, a queue that is full would send half of them to the global one, which those
 *      that come later overtake.
 *      Where one is in the heap is not written to its G, which is in no cache: an
 *      order in a heap costs a dozen such writes.
 * Invariants: heap[i].when <= heap[4i+1..4i+4].when; timerref[heap[i].ref].place == i;
 *      refs below the most there ever were are in the heap or in the list of the free;
 *      when0 is the lesser of heap[0].when and coarse0, or NEVER.
 * Locks: pp->timerlock. A fired timer is out of its heap before semtimeout takes
 *      the bucket lock; waitseq tells whether the G still waits for the same thing.
 */
#include "core/runtime.h"

#define FANOUT 4
#define BATCH	(SCHEDTICKS - 1) /* as many as run until the next look */
#define FIREMIN 16
#define FIRST 126 /* in the heap's first page, with what is where */

/* A timer that was taken off for its time has come. */
struct due {
	struct g *gp;
	uint32_t seq;
};

static void place(struct p *pp, uint32_t i, struct timerslot s)
{
	pp->heap[i] = s;
	pp->timerref[s.ref].place = i;
}

static void siftup(struct p *pp, uint32_t i, struct timerslot s)
{
	while (i > 0) {
		uint32_t up = (i - 1) / FANOUT;

		if (pp->heap[up].when <= s.when)
			break;
		place(pp, i, pp->heap[up]);
		i = up;
	}
	place(pp, i, s);
}

static void siftdown(struct p *pp, uint32_t i, struct timerslot s)
{
	for (;;) {
		uint32_t c = i * FANOUT + 1, min = c;

		if (c >= pp->ntimers)
			break;
		for (uint32_t k = c + 1; k < c + FANOUT && k < pp->ntimers; k++)
			if (pp->heap[k].when < pp->heap[min].when)
				min = k;
		if (pp->heap[min].when >= s.when)
			break;
		place(pp, i, pp->heap[min]);
		i = min;
	}
	place(pp, i, s);
}

static void setwhen0(struct p *pp)
{
	int64_t when = pp->ntimers ? pp->heap[0].when : NEVER;

	if (pp->coarse0 && pp->coarse0 < when)
		when = pp->coarse0;
	/* seq_cst: pairs with the idle M that publishes polluntil and then
	 * reads when0 (findrunnable), as timeradd does the reverse */
	__atomic_store_n(&pp->when0, when, __ATOMIC_SEQ_CST);
}

static void removeat(struct p *pp, uint32_t i)
{
	uint32_t ref = pp->heap[i].ref;
	struct timerref *r = &pp->timerref[ref];
	struct timerslot last = pp->heap[--pp->ntimers];

	/* release: done with it; pairs with timerdel, whose G arms it anew */
	store_release(&r->t->idx, 0);
	r->place = pp->freeref;
	pp->freeref = ref + 1;
	if (ref == last.ref)
		return;
	if (i > 0 && last.when < pp->heap[(i - 1) / FANOUT].when)
		siftup(pp, i, last);
	else
		siftdown(pp, i, last);
}

/* The memory of both: the children of one in the heap are on one cache line. */
static size_t heapbytes(uint32_t cap)
{
	return (cap + FANOUT) * sizeof(struct timerslot) +
	       cap * sizeof(struct timerref);
}

static void grow(struct p *pp)
{
	uint32_t cap = pp->heapcap ? pp->heapcap * 2 : FIRST;
	struct timerslot *heap = sysalloc(heapbytes(cap));
	struct timerref *refs;

	if (!heap)
		throw("timers: out of memory for %u timers", cap);
	refs = (struct timerref *)(heap + cap + FANOUT);
	heap += FANOUT - 1;
	for (uint32_t i = 0; i < pp->ntimers; i++) {
		heap[i] = pp->heap[i];
		refs[i] = pp->timerref[i]; /* all are in use */
	}
	if (pp->heap)
		sysfree(pp->heap - (FANOUT - 1), heapbytes(pp->heapcap));
	pp->heap = heap;
	pp->timerref = refs;
	pp->heapcap = cap;
}

static void insert(struct p *pp, struct timer *t, int64_t when, uint32_t seq)
{
	uint32_t ref = pp->ntimers;

	if (ref == pp->heapcap)
		grow(pp);
	if (pp->freeref) {
		ref = pp->freeref - 1;
		pp->freeref = pp->timerref[ref].place;
	}
	pp->timerref[ref].t = t;
	pp->timerref[ref].seq = seq;
	WRITE_ONCE(t->pp, pp);
	WRITE_ONCE(t->idx, ref + 1);
	siftup(pp, pp->ntimers++, (struct timerslot){ when, ref });
}

/* Arm t on pp. Any M; a bucket lock may be held. */
void timeradd(struct p *pp, struct timer *t, int64_t when, uint32_t seq)
{
	bool first;

	lock(&pp->timerlock);
	t->when = when;
	insert(pp, t, when, seq);
	first = pp->heap[0].ref == t->idx - 1;
	if (first)
		setwhen0(pp);
	unlock(&pp->timerlock);
	if (first)
		pollbreak(when);
}

/* When a coarse timer of that step is due. */
int64_t timercoarse(int64_t now, uint32_t step)
{
	int64_t half = 5000000l << step;

	return (now / half + 3) * half;
}

static void append(struct timerlist *l, struct timer *t)
{
	t->next = NULL;
	t->link = l->first ? l->last : &l->first;
	*t->link = t;
	l->last = &t->next;
}

static void unlink(struct p *pp, struct timer *t)
{
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	else
		pp->coarse[t->step].last = t->link;
	store_release(&t->idx, 0); /* see removeat */
}

/* As timeradd, for timercoarse's `when`. */
void timeraddcoarse(struct p *pp, struct timer *t, int64_t when, uint32_t step,
		    uint32_t seq)
{
	bool first;

	lock(&pp->timerlock);
	t->when = when;
	t->seq = seq;
	t->step = step;
	WRITE_ONCE(t->pp, pp);
	WRITE_ONCE(t->idx, COARSE);
	append(&pp->coarse[step], t);
	first = !pp->coarse0 || when < pp->coarse0;
	if (first) {
		pp->coarse0 = when;
		setwhen0(pp);
	}
	unlock(&pp->timerlock);
	if (first)
		pollbreak(when);
}

/* One that is due, off its list; NULL: there is none, and coarse0 is right. */
static struct timer *duecoarse(struct p *pp, int64_t now)
{
	int64_t least = 0;

	if (!pp->coarse0 || pp->coarse0 > now)
		return NULL;
	for (uint32_t i = 0; i < TIMERSTEPS; i++) {
		struct timer *t = pp->coarse[i].first;

		if (!t)
			continue;
		if (t->when <= now) {
			unlink(pp, t);
			return t;
		}
		if (!least || t->when < least)
			least = t->when;
	}
	pp->coarse0 = least;
	setwhen0(pp);
	return NULL;
}

/* The P of t, with its lock: timersmove may give t to another while we wait for one's. */
static struct p *lockof(struct timer *t)
{
	for (;;) {
		struct p *pp = READ_ONCE(t->pp);

		lock(&pp->timerlock);
		if (READ_ONCE(t->pp) == pp)
			return pp;
		unlock(&pp->timerlock);
	}
}

static void removefine(struct p *pp, struct timer *t)
{
	uint32_t i = pp->timerref[t->idx - 1].place;

	removeat(pp, i);
	if (i == 0)
		setwhen0(pp);
}

/* Disarm gp's timer if it is armed for a sleep (semasleep). True: it is the caller's to
 * end that. Any M. */
bool timertake(struct g *gp)
{
	struct timer *t = &gp->timer;
	struct p *pp;
	bool armed;

	/* it looks for what ended its wait after it was armed */
	if (load_acquire(&t->idx) == 0)
		return false;
	pp = lockof(t);
	/* waitaddr is set before it is armed, under this lock */
	armed = t->idx && READ_ONCE(gp->waitaddr) == SLEEPS;
	if (armed)
		removefine(pp, t);
	unlock(&pp->timerlock);
	return armed;
}

/* Disarm t if it is still armed. Any M. */
void timerdel(struct timer *t)
{
	struct p *pp;

	if (load_acquire(&t->idx) == 0) /* pairs with removeat */
		return;
	pp = lockof(t);
	if (t->idx == COARSE) {
		unlink(pp, t);
	} else if (t->idx) {
		removefine(pp, t);
	}
	unlock(&pp->timerlock);
}

/* How many to fire before the next look, see "Fair"; some in any case. */
static uint32_t firemax(struct p *pp)
{
	uint32_t len;

	if (!pp)
		return UINT32_MAX;
	len = pp->runqtail - READ_ONCE(pp->runqhead);
	if (len > RUNQ / 2 - FIREMIN)
		return FIREMIN;
	return len > RUNQ / 2 - BATCH ? RUNQ / 2 - len : BATCH;
}

/* Disarm up to n that are due, the earliest first; how many. Holds timerlock. */
static uint32_t takedue(struct p *pp, int64_t now, struct due *due, uint32_t n)
{
	uint32_t i = 0;

	while (i < n) {
		struct timer *t;

		if (pp->ntimers && pp->heap[0].when <= now) {
			struct timerref *r = &pp->timerref[pp->heap[0].ref];

			t = r->t;
			due[i].seq = r->seq;
			removeat(pp, 0);
		} else if ((t = duecoarse(pp, now))) {
			due[i].seq = t->seq;
		} else {
			break;
		}
		due[i++].gp = container_of(t, struct g, timer);
	}
	setwhen0(pp);
	return i;
}

/* End the waits of pp's Gs whose deadline has passed, of many only the earliest. Any M,
 * on g0. Returns the next deadline, NEVER if there is none. */
int64_t runtimers(struct m *mp, struct p *pp, int64_t now)
{
	int64_t when = load_acquire(&pp->when0); /* hint */
	uint32_t max;

	if (likely(when > now))
		return when;
	max = firemax(mp->p);
	do {
		struct due due[BATCH];
		struct g *list, **tail = &list;
		uint32_t n;

		lock(&pp->timerlock);
		n = takedue(pp, now, due, max < BATCH ? max : BATCH);
		when = pp->when0;
		unlock(&pp->timerlock);
		for (uint32_t i = 0; i < n; i++) {
			if (!semtimeout(due[i].gp, due[i].seq))
				continue;
			*tail = due[i].gp;
			tail = &due[i].gp->schedlink;
		}
		*tail = NULL;
		goreadydue(mp, list);
		max -= n;
	} while (max && when <= now);
	return when;
}

/* The earliest deadline of all heaps. Any M. */
idlepath int64_t timersearliest(void)
{
	int64_t when = NEVER;

	for (uint32_t i = 0; i < MAXP && allp[i]; i++) {
		int64_t w = __atomic_load_n(&allp[i]->when0, __ATOMIC_SEQ_CST);

		if (w < when)
			when = w;
	}
	return when;
}

/* All of from's timers to another P. The world is stopped, but Gs that compute without
 * a P may still disarm theirs. */
void timersmove(struct p *from, struct p *to)
{
	lock(&to->timerlock);
	lock(&from->timerlock);
	for (uint32_t i = 0; i < from->ntimers; i++) {
		struct timerslot s = from->heap[i];
		struct timerref r = from->timerref[s.ref];

		insert(to, r.t, s.when, r.seq);
	}
	from->ntimers = from->freeref = 0;
	for (uint32_t i = 0; i < TIMERSTEPS; i++) {
		/* not in order now: some fire a step late */
		for (struct timer *t = from->coarse[i].first, *next; t;
		     t = next) {
			next = t->next;
			WRITE_ONCE(t->pp, to);
			append(&to->coarse[i], t);
		}
		from->coarse[i].first = NULL;
	}
	if (from->coarse0 && (!to->coarse0 || from->coarse0 < to->coarse0))
		to->coarse0 = from->coarse0;
	from->coarse0 = 0;
	setwhen0(from);
	setwhen0(to);
	unlock(&from->timerlock);
	unlock(&to->timerlock);
}
