/* sema.c - the wait queues by address, with kernel threads. Each thread here is
 * one that core did not make: a G with no P, which parks on its M's note.
 */
#include "test/unit/unit.h"

/* ---- one waiter a thread ------------------------------------------------- */

struct waiter {
	struct semawait w;
	int prio;
	pthread_t t;
	struct g *gp;
	int res;
	bool entered; /* written by check, so under the bucket's lock */
};

static bool enters(void *arg)
{
	store_release(&((struct waiter *)arg)->entered, true);
	return true;
}

static void *waits(void *arg)
{
	struct waiter *x = arg;

	x->gp = getg();
	gpriority(x->prio);
	x->res = semawait(&x->w);
	return NULL;
}

static void nothing(struct semaq *q, void *arg)
{
	(void)q, (void)arg;
}

/* Start a thread that waits as x->w says; returns once it is in the queue. */
static void start(struct waiter *x)
{
	x->res = 1000;
	x->w.check = enters;
	x->w.arg = x;
	x->t = spawn(waits, x);
	while (!load_acquire(&x->entered))
		usleep_raw(50);
	/* the check ran with the lock held: the waiter is queued before us */
	semapick(x->w.addr, nothing, NULL);
}

static void startat(struct waiter *x, void *addr, uint32_t mask)
{
	*x = (struct waiter){ .w = { .addr = (uintptr_t)addr,
				     .mask = mask,
				     .deadline = NEVER } };
	start(x);
}

static int result(struct waiter *x)
{
	join(x->t);
	return x->res;
}

static int objects[8];
#define A ((uintptr_t)&objects[0])
#define OTHER ((uintptr_t)&objects[1])

Test(sema, first_threads, .timeout = 20)
{
	struct waiter x;

	cr_assert_eq(gid(getg()), 1u, "the process's first thread is G 1");
	cr_assert_eq(getg()->sched.m, &m0);
	startat(&x, &objects[0], 0);
	cr_assert_gt(gid(x.gp), 1u);
	cr_assert_neq(x.gp->sched.m, &m0);
	cr_assert(x.gp->foreign);
	cr_assert_eq(semawake(A, 1, 0), 1u);
	cr_assert_eq(result(&x), 0);
}

Test(sema, wake, .timeout = 20)
{
	struct waiter x;

	cr_assert_eq(semawake(A, 1, 0), 0u, "nobody waits");
	startat(&x, &objects[0], 0);
	cr_assert_eq(semawake(OTHER, 10, 0), 0u, "not at that address");
	cr_assert_eq(semawake(A, 0, 0), 0u);
	cr_assert_eq(semawake(A, 10, 0), 1u);
	cr_assert_eq(result(&x), 0);
	cr_assert_eq(semawake(A, 1, 0), 0u, "it has left the queue");
}

static int nchecks;

static bool refuses(void *arg)
{
	nchecks++;
	*(int *)arg = 7;
	return false;
}

Test(sema, check_says_no, .timeout = 20)
{
	int v = 0;
	struct semawait w = { .addr = A, .deadline = NEVER, .check = refuses,
			      .arg = &v };

	cr_assert_eq(semawait(&w), -EAGAIN);
	cr_assert_eq(v, 7, "check got its argument");
	cr_assert_eq(nchecks, 1);
	cr_assert_eq(semawake(A, 1, 0), 0u);
	w.deadline = 0;
	cr_assert_eq(semawait(&w), -EAGAIN, "check comes before the deadline");
}

static bool unlocked;

static void wakesitself(void *arg)
{
	unlocked = true;
	cr_assert_eq(semawake((uintptr_t)arg, 1, 0), 1u,
		     "unlock is called after the waiter is in the queue");
}

Test(sema, unlock_between_queue_and_park, .timeout = 20)
{
	struct semawait w = { .addr = A, .deadline = NEVER,
			      .unlock = wakesitself, .unlockarg = (void *)A };

	cr_assert_eq(semawait(&w), 0);
	cr_assert(unlocked);
	w.deadline = soon(60000000);
	cr_assert_eq(semawait(&w), 0);
}

Test(sema, deadline, .timeout = 20)
{
	struct semawait w = { .addr = A };
	int64_t until = soon(2000);

	w.deadline = until;
	cr_assert_eq(semawait(&w), -ETIMEDOUT);
	cr_assert_geq(sysnanotime(), until);
	cr_assert_eq(semawake(A, 1, 0), 0u, "it has left the queue");
	w.deadline = 0;
	cr_assert_eq(semawait(&w), -ETIMEDOUT);
	w.deadline = -5;
	cr_assert_eq(semawait(&w), -ETIMEDOUT);
}

Test(sema, woken_before_the_deadline, .timeout = 20)
{
	struct waiter x = { .w = { .addr = A, .deadline = soon(60000000) } };

	start(&x);
	cr_assert_eq(semawake(A, 1, 0), 1u);
	cr_assert_eq(result(&x), 0);
}

/* One in the middle gives up: the others keep their order. */
Test(sema, deadline_of_the_second_of_three, .timeout = 20)
{
	struct waiter x[3];

	startat(&x[0], &objects[0], 0);
	x[1] = (struct waiter){ .w = { .addr = A, .deadline = soon(20000) } };
	start(&x[1]);
	startat(&x[2], &objects[0], 0);
	cr_assert_eq(result(&x[1]), -ETIMEDOUT);
	cr_assert_eq(semawake(A, 1, 0), 1u);
	cr_assert_eq(result(&x[0]), 0);
	cr_assert_eq(semawake(A, 5, 0), 1u);
	cr_assert_eq(result(&x[2]), 0);
}

/* The first and the last give up: the others keep their place and tail. */
Test(sema, deadlines_at_both_ends, .timeout = 20)
{
	struct waiter x[4], late;

	for (int i = 0; i < 4; i++) {
		x[i] = (struct waiter){
			.w = { .addr = A,
			       .deadline = i % 3 ? NEVER : soon(30000) },
		};
		start(&x[i]);
	}
	cr_assert_eq(result(&x[0]), -ETIMEDOUT);
	cr_assert_eq(result(&x[3]), -ETIMEDOUT);
	startat(&late, &objects[0], 0);
	cr_assert_eq(semawake(A, 1, 0), 1u);
	cr_assert_eq(result(&x[1]), 0);
	cr_assert_eq(semawake(A, 1, 0), 1u);
	cr_assert_eq(result(&x[2]), 0);
	cr_assert_eq(semawake(A, 9, 0), 1u);
	cr_assert_eq(result(&late), 0);
}

Test(sema, mask, .timeout = 20)
{
	struct waiter one, two, any;

	startat(&one, &objects[0], 1);
	startat(&two, &objects[0], 2);
	startat(&any, &objects[0], 0);
	cr_assert_eq(semawake(A, 1, 4), 1u, "no mask meets every mask");
	cr_assert_eq(result(&any), 0);
	cr_assert_eq(semawake(A, 10, 4), 0u);
	cr_assert_eq(semawake(A, 10, 2 | 4), 1u);
	cr_assert_eq(result(&two), 0);
	cr_assert_eq(semawake(A, 10, 0), 1u, "0 wakes any");
	cr_assert_eq(result(&one), 0);
}

Test(sema, counts, .timeout = 20)
{
	struct waiter x[5];

	for (int i = 0; i < 5; i++)
		startat(&x[i], &objects[0], 0);
	cr_assert_eq(semawake(A, 3, 0), 3u);
	cr_assert_eq(semawake(A, 100, 0), 2u);
	cr_assert_eq(semawake(A, 100, 0), 0u);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(result(&x[i]), 0);
}

Test(sema, first_come_first_served, .timeout = 20)
{
	struct waiter x[6];

	for (int i = 0; i < 6; i++)
		startat(&x[i], &objects[0], 0);
	for (int i = 0; i < 6; i++) {
		cr_assert_eq(semawake(A, 1, 0), 1u);
		/* waits for ever if it was another that woke */
		cr_assert_eq(result(&x[i]), 0);
	}
}

/* Who has waited before and asks for it comes before the first, the last of them first. */
Test(sema, front, .timeout = 20)
{
	static const int order[] = { 4, 2, 0, 1, 3 };
	struct waiter x[5];

	for (int i = 0; i < 5; i++) {
		x[i] = (struct waiter){ .w = { .addr = A,
					       .deadline = NEVER,
					       .front = i && i % 2 == 0 } };
		start(&x[i]);
	}
	for (int i = 0; i < 5; i++) {
		cr_assert_eq(semawake(A, 1, 0), 1u);
		cr_assert_eq(result(&x[order[i]]), 0);
	}
}

/* ---- pick ---------------------------------------------------------------- */

static void picks(struct semaq *q, void *arg)
{
	(void)arg;
	cr_assert(semahas(q, 4));
	cr_assert(semahas(q, 8 | 1));
	cr_assert(!semahas(q, 32));
	cr_assert_eq(sematake(q, 1, 32, 50), 0u);
	cr_assert_eq(sematake(q, 9, 2, 20), 1u);   /* the second */
	cr_assert_eq(sematake(q, 1, 2, 21), 0u);   /* was the only one */
	cr_assert_eq(sematake(q, 1, ~0u, 10), 1u); /* the first */
	cr_assert(!semahas(q, 1 | 2));
	cr_assert_eq(sematake(q, 1, 4, 30), 1u); /* the oldest of three */
	cr_assert_eq(sematake(q, 9, 8 | 16, 40),
		     2u); /* the first and the last */
	cr_assert(semahas(q, 4));
}

static void picksnothing(struct semaq *q, void *arg)
{
	cr_assert(!semahas(q, ~0u));
	cr_assert_eq(sematake(q, 9, ~0u, 1), 0u);
	(*(int *)arg)++;
}

Test(sema, pick, .timeout = 20)
{
	static const uint32_t masks[] = { 1, 2, 4, 8, 4, 4, 16 };
	struct waiter x[7];
	int called = 0;

	semapick(A, picksnothing, &called);
	for (int i = 0; i < 7; i++)
		startat(&x[i], &objects[0], masks[i]);
	semapick(OTHER, picksnothing, &called);
	cr_assert_eq(called, 2);
	semapick(A, picks, NULL);
	cr_assert_eq(result(&x[0]), 10);
	cr_assert_eq(result(&x[1]), 20);
	cr_assert_eq(result(&x[2]), 30);
	cr_assert_eq(result(&x[3]), 40);
	cr_assert_eq(result(&x[6]), 40);
	cr_assert_eq(semawake(A, 9, 0), 2u);
	cr_assert_eq(result(&x[4]), 0);
	cr_assert_eq(result(&x[5]), 0);
}

static void takesfront(struct semaq *q, void *arg)
{
	*(uint32_t *)arg = sematakefront(q, 1, 60);
}

/* All who wait at the front, those with a priority and those without. */
Test(sema, pick_front, .timeout = 20)
{
	static const struct {
		uint32_t mask;
		int prio;
	} as[] = { { 2, 0 }, { 2, 7 }, { 1, 0 }, { 1, 7 }, { 2, 3 }, { 1, 0 } };
	struct waiter x[6];
	uint32_t n = 9;

	for (int i = 0; i < 6; i++) {
		x[i] = (struct waiter){ .prio = as[i].prio,
					.w = { .addr = A,
					       .mask = as[i].mask,
					       .deadline = NEVER,
					       .front = as[i].mask == 1 } };
		start(&x[i]);
	}
	semapick(A, takesfront, &n);
	cr_assert_eq(n, 3u);
	semapick(A, takesfront, &n);
	cr_assert_eq(n, 0u);
	cr_assert_eq(semawake(A, 9, 0), 3u);
	for (int i = 0; i < 6; i++)
		cr_assert_eq(result(&x[i]), as[i].mask == 1 ? 60 : 0);
}

static void takesall(struct semaq *q, void *arg)
{
	for (int *n = arg; semahas(q, ~0u);)
		sematake(q, 1, ~0u, ++*n);
}

/* The order in a queue, told by the results. */
Test(sema, pick_in_order, .timeout = 20)
{
	struct waiter x[5];
	int n = 0;

	for (int i = 0; i < 5; i++)
		startat(&x[i], &objects[0], 0);
	semapick(A, takesall, &n);
	cr_assert_eq(n, 5);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(result(&x[i]), i + 1);
}

/* ---- requeue ------------------------------------------------------------- */

/* Addresses that share a bucket. The function is sema.c's: were it to change,
 * the tests would hold as well but look at different buckets only. */
static uint32_t hash(uintptr_t addr)
{
	return (uint32_t)((addr * 0x9e3779b97f4a7c15ul) >> 40);
}

enum { NBUCKET = 8192 };

static uint32_t bucket(uintptr_t addr)
{
	return hash(addr) % NBUCKET;
}

static char pool[1 << 20];

static void samebucket(uintptr_t *addr, int n)
{
	int found = 0;

	for (size_t i = 0; i < sizeof(pool) && found < n; i += 4) {
		uintptr_t a = (uintptr_t)&pool[i];

		if (found == 0 || bucket(a) == bucket(addr[0]))
			addr[found++] = a;
	}
	cr_assert_eq(found, n);
}

static void requeues(uintptr_t from, uintptr_t to)
{
	struct waiter x[6];
	int n = 10;

	for (int i = 0; i < 5; i++)
		startat(&x[i], (void *)from, 0);
	startat(&x[5], (void *)to, 0);
	/* wakes 0, moves 1 and 2 behind 5, leaves 3 and 4 */
	cr_assert_eq(semarequeue(from, 1, to, 2, NULL, NULL), 3);
	cr_assert_eq(result(&x[0]), 0);
	semapick(to, takesall, &n);
	cr_assert_eq(n, 13);
	cr_assert_eq(result(&x[5]), 11);
	cr_assert_eq(result(&x[1]), 12);
	cr_assert_eq(result(&x[2]), 13);
	/* all the rest, more than there are */
	cr_assert_eq(semarequeue(from, 0, to, UINT32_MAX, NULL, NULL), 2);
	cr_assert_eq(semawake(from, 9, 0), 0u);
	n = 20;
	semapick(to, takesall, &n);
	cr_assert_eq(result(&x[3]), 21);
	cr_assert_eq(result(&x[4]), 22);
	cr_assert_eq(semarequeue(from, 3, to, 3, NULL, NULL), 0);
}

Test(sema, requeue, .timeout = 20)
{
	/* both orders of the two locks */
	requeues(A, OTHER);
	requeues(OTHER, A);
}

Test(sema, requeue_in_one_bucket, .timeout = 20)
{
	uintptr_t addr[2];

	samebucket(addr, 2);
	requeues(addr[0], addr[1]);
	requeues(addr[1], addr[0]);
}

Test(sema, requeue_checks, .timeout = 20)
{
	struct waiter x;
	int v = 0;

	startat(&x, &objects[0], 0);
	cr_assert_eq(semarequeue(A, 1, OTHER, 1, refuses, &v), -EAGAIN);
	cr_assert_eq(v, 7);
	cr_assert_eq(semawake(OTHER, 1, 0), 0u);
	cr_assert_eq(semawake(A, 1, 0), 1u, "it was left where it was");
	cr_assert_eq(result(&x), 0);
}

Test(sema, requeue_to_itself, .timeout = 20)
{
	struct waiter x[2];

	startat(&x[0], &objects[0], 0);
	startat(&x[1], &objects[0], 0);
	cr_assert_eq(semarequeue(A, 0, A, 5, NULL, NULL), 0);
	cr_assert_eq(semarequeue(A, 1, A, 5, NULL, NULL), 1);
	cr_assert_eq(result(&x[0]), 0);
	cr_assert_eq(semawake(A, 5, 0), 1u);
	cr_assert_eq(result(&x[1]), 0);
}

Test(sema, deadline_goes_along, .timeout = 20)
{
	struct waiter x = { .w = { .addr = A, .deadline = soon(100000) } };

	start(&x);
	cr_assert_eq(semarequeue(A, 0, OTHER, 1, NULL, NULL), 1);
	cr_assert_eq(result(&x), -ETIMEDOUT);
	cr_assert_eq(semawake(OTHER, 1, 0), 0u);
}

/* A deadline that passes just while its waiter is being moved still ends the
 * wait: nobody else would. */
static bool stop;

static void *movesaround(void *arg)
{
	uintptr_t from = (uintptr_t)arg, to = from == A ? OTHER : A;

	while (!load_acquire(&stop))
		semarequeue(from, 0, to, UINT32_MAX, NULL, NULL);
	return NULL;
}

Test(sema, deadline_while_moved, .timeout = 20)
{
	pthread_t t[2] = { spawn(movesaround, (void *)A),
			   spawn(movesaround, (void *)OTHER) };
	uint32_t seed = 11;

	for (int i = 0; i < 20000; i++) {
		struct semawait w = { .addr = i % 2 ? A : OTHER };

		w.deadline = soon(rnd(&seed) % 8);
		cr_assert_eq(semawait(&w), -ETIMEDOUT);
	}
	store_release(&stop, true);
	join(t[0]);
	join(t[1]);
}

/* ---- interrupts ---------------------------------------------------------- */

/* From another G: why is what its wait, now or next, returns. */
static void interrupt(struct g *gp, int why)
{
	struct m *mp = acquirem();

	ginterrupted(mp, gp, why == -EINTR ? INT_SIGNAL : INT_CANCEL);
	releasem(mp);
}

static void interrupts(int64_t deadline, int why)
{
	struct waiter x = { .w = { .addr = A, .deadline = deadline,
				   .interruptible = true } };

	start(&x);
	interrupt(x.gp, why);
	cr_assert_eq(result(&x), why);
	cr_assert_eq(semawake(A, 1, 0), 0u, "it has left the queue");
}

Test(sema, interrupt, .timeout = 20)
{
	interrupts(NEVER, -EINTR);
	interrupts(NEVER, -ECANCELED);
	interrupts(soon(60000000), -EINTR);
	interrupts(soon(60000000), -ECANCELED);
}

Test(sema, interrupt_spares_others, .timeout = 20)
{
	struct waiter x;

	startat(&x, &objects[0], 0);
	interrupt(x.gp, -EINTR);
	interrupt(x.gp, -ECANCELED);
	cr_assert_eq(semawake(A, 1, 0), 1u);
	cr_assert_eq(result(&x), 0);
}

static bool interrupted;

/* As if a signal came between the check and the wait. */
static void interruptsitself(void *arg)
{
	interrupted = true;
	(void)arg;
	interrupt(getg(), -EINTR);
}

Test(sema, interrupt_before_it_parks, .timeout = 20)
{
	struct semawait w = { .addr = A, .deadline = NEVER,
			      .interruptible = true,
			      .unlock = interruptsitself };

	cr_assert_eq(semawait(&w), -EINTR);
	cr_assert(interrupted);
	cr_assert_eq(semawake(A, 1, 0), 0u);
}

Test(sema, interrupt_before_the_wait, .timeout = 20)
{
	struct semawait w = { .addr = A, .deadline = 0,
			      .interruptible = true };

	/* it is for the next, once */
	w.deadline = NEVER;
	interrupt(getg(), -ECANCELED);
	cr_assert_eq(semawait(&w), -ECANCELED);
	w.deadline = 0;
	cr_assert_eq(semawait(&w), -ETIMEDOUT);
	/* and one that cannot be interrupted leaves it for one that can */
	interrupt(getg(), -ECANCELED);
	w.interruptible = false;
	cr_assert_eq(semawait(&w), -ETIMEDOUT);
	w.interruptible = true;
	w.deadline = NEVER;
	cr_assert_eq(semawait(&w), -ECANCELED);
}

/* ---- everything at once -------------------------------------------------- */

enum { THREADS = 8, STEPS = 20000, NADDR = 8 };

static struct {
	uint64_t waits, woken, late, interrupted, refused, wakes, strange;
	pthread_t t;
	struct g *gp;
	bool done;
} stress[THREADS];
static uintptr_t where[NADDR];

static bool maybe(void *arg)
{
	return rnd(arg) % 16 != 0;
}

static void stresswait(uint64_t me, uint32_t *seed)
{
	struct semawait w = {
		.addr = where[rnd(seed) % NADDR],
		.mask = rnd(seed) % 4,
		.interruptible = rnd(seed) % 2,
		.check = maybe,
		.arg = seed,
	};

	w.deadline = rnd(seed) % 8 ? soon(rnd(seed) % 50) : NEVER;
	switch (semawait(&w)) {
	case 0:
		stress[me].woken++;
		break;
	case -ETIMEDOUT:
		stress[me].late++;
		break;
	case -EINTR:
	case -ECANCELED:
		stress[me].interrupted++;
		break;
	case -EAGAIN:
		stress[me].refused++;
		break;
	default:
		stress[me].strange++;
	}
	stress[me].waits++;
}

static void *stresses(void *arg)
{
	uint64_t me = (uintptr_t)arg;
	uint32_t seed = (uint32_t)me * 7919 + 17;

	store_release(&stress[me].gp, getg());
	for (int i = 0; i < STEPS; i++) {
		uintptr_t a = where[rnd(&seed) % NADDR];
		uint32_t n = rnd(&seed) % 3;
		int64_t moved;
		struct g *gp;

		switch (rnd(&seed) % 8) {
		default:
			stresswait(me, &seed);
			break;
		case 0:
		case 1:
		case 2:
			stress[me].wakes += semawake(a, n, rnd(&seed) % 4);
			break;
		case 3:
			moved = semarequeue(a, n, where[rnd(&seed) % NADDR],
					    rnd(&seed) % 4, maybe, &seed);
			if (moved > 0)
				stress[me].wakes +=
					(uint64_t)(moved < n ? moved : n);
			break;
		case 4:
			gp = load_acquire(&stress[rnd(&seed) % THREADS].gp);
			if (gp && n == 0)
				interrupt(gp, -ECANCELED);
			else if (gp)
				interrupt(gp, -EINTR);
			break;
		}
	}
	store_release(&stress[me].done, true);
	return NULL;
}

/* Every wait that began ended once, and for a reason somebody knows of. */
static void stressall(void (*meanwhile)(void))
{
	uint64_t woken = 0, wakes = 0;

	for (uintptr_t i = 0; i < THREADS; i++)
		stress[i].t = spawn(stresses, (void *)i);
	for (int i = 0; i < THREADS;) {
		/* those who wait without a deadline when all others are done */
		for (int k = 0; k < NADDR; k++)
			wakes += semawake(where[k], 1, 0);
		if (meanwhile)
			meanwhile();
		else
			usleep_raw(1000);
		while (i < THREADS && load_acquire(&stress[i].done))
			join(stress[i++].t);
	}
	for (int i = 0; i < THREADS; i++) {
		cr_assert_eq(stress[i].strange, 0u);
		cr_assert_eq(stress[i].waits,
			     stress[i].woken + stress[i].late +
				     stress[i].interrupted +
				     stress[i].refused);
		woken += stress[i].woken;
		wakes += stress[i].wakes;
		cr_assert_gt(stress[i].late, 0u);
		cr_assert_gt(stress[i].refused, 0u);
	}
	cr_assert_eq(woken, wakes);
	for (int k = 0; k < NADDR; k++)
		cr_assert_eq(semawake(where[k], 100, 0), 0u, "left behind");
}

Test(sema, stress, .timeout = 180)
{
	samebucket(where, 4);
	for (int i = 4; i < NADDR; i++)
		where[i] = (uintptr_t)&objects[i];
	stressall(NULL);
}

/* ---- the table grows ------------------------------------------------------ */

static void growto(uint32_t n)
{
	struct m *mp = acquirem();

	semagrow(n);
	releasem(mp);
}

/* The waiters of one bucket, of which some go to others at each doubling, keep their
 * addresses, order and ways out. */
enum { SPLITS = 12 };

static void endsafter(uint32_t buckets)
{
	struct waiter x[SPLITS], late[SPLITS], timed[2];
	uintptr_t addr[SPLITS];
	int n = 0;

	samebucket(addr, SPLITS);
	for (int i = 0; i < SPLITS; i++)
		startat(&x[i], (void *)addr[i], 0);
	for (int i = 0; i < SPLITS; i++)
		startat(&late[i], (void *)addr[i], 0);
	for (int i = 0; i < 2; i++) {
		timed[i] = (struct waiter){ .w = { .addr = addr[i],
						   .interruptible = true,
						   .deadline = i ? soon(300000) :
								   NEVER } };
		start(&timed[i]);
	}
	growto(buckets);
	for (int i = 0; i < SPLITS; i++) {
		semapick(addr[i], nothing, NULL);
		cr_assert_eq(semawake(addr[i], 1, 0), 1u, "%d of %u", i,
			     buckets);
		cr_assert_eq(result(&x[i]), 0);
	}
	interrupt(timed[0].gp, -EINTR);
	cr_assert_eq(result(&timed[0]), -EINTR);
	cr_assert_eq(result(&timed[1]), -ETIMEDOUT);
	for (int i = 1; i < SPLITS; i++)
		cr_assert_eq(semarequeue(addr[i], 0, addr[0], 1, NULL, NULL), 1);
	semapick(addr[0], takesall, &n);
	cr_assert_eq(n, SPLITS);
	for (int i = 0; i < SPLITS; i++)
		cr_assert_eq(result(&late[i]), i + 1);
}

Test(sema, grows_under_waiters, .timeout = 60)
{
	endsafter(NBUCKET + 1);
	endsafter(NBUCKET + NBUCKET / 2);
	endsafter(2 * NBUCKET);
	endsafter(2 * NBUCKET + 1);
	endsafter(16 * NBUCKET - 7);
}

/* Who waits for the lock of a bucket while it is split goes where its address went. */
struct inthemiddle {
	struct waiter x;
	pthread_t grower;
	uint32_t buckets;
};

static void *grows(void *arg)
{
	growto(*(uint32_t *)arg);
	return NULL;
}

static void keepsboth(struct semaq *q, void *arg)
{
	struct inthemiddle *m = arg;

	(void)q;
	m->grower = spawn(grows, &m->buckets);
	usleep_raw(300); /* until it sleeps: it is the first to get the lock, then */
	m->x.t = spawn(waits, &m->x);
	usleep_raw(300);
}

Test(sema, splits_before_the_lock_is_had, .timeout = 60)
{
	for (uint32_t n = NBUCKET; n < NBUCKET + 100; n++) {
		struct inthemiddle m = { .buckets = n + 1 };
		size_t i = 0;

		while (hash((uintptr_t)&pool[i]) % (2 * NBUCKET) != n)
			i += 4;
		m.x.w = (struct semawait){ .addr = (uintptr_t)&pool[i],
					   .deadline = NEVER,
					   .check = enters,
					   .arg = &m.x };
		semapick(m.x.w.addr, keepsboth, &m);
		join(m.grower);
		while (!load_acquire(&m.x.entered))
			usleep_raw(50);
		semapick(m.x.w.addr, nothing, NULL);
		cr_assert_eq(semawake(m.x.w.addr, 1, 0), 1u, "bucket %u", n);
		cr_assert_eq(result(&m.x), 0);
	}
}

/* A fork child starts anew, with what its parent's buckets held in memory. */
static int growsagain(void *arg)
{
	struct waiter *x = arg;

	semainit();
	for (int i = 0; i < SPLITS; i++)
		if (semawake(x[i].w.addr, 1, 0))
			return 1;
	growto(8 * NBUCKET);
	for (int i = 0; i < SPLITS; i++)
		if (semawake(x[i].w.addr, 1, 0))
			return 2;
	return 0;
}

Test(sema, grows_again_in_a_child, .timeout = 60)
{
	struct waiter x[SPLITS];
	uintptr_t addr[SPLITS];

	samebucket(addr, SPLITS);
	growto(8 * NBUCKET);
	for (int i = 0; i < SPLITS; i++)
		startat(&x[i], (void *)addr[i], 0);
	cr_assert_eq(inchild(growsagain, x), 1000);
	for (int i = 0; i < SPLITS; i++) {
		cr_assert_eq(semawake(addr[i], 1, 0), 1u);
		cr_assert_eq(result(&x[i]), 0);
	}
}

/* Splits the buckets that the stress is in, and all others, one after the other and
 * then eight rounds of them. */
static void growing(void)
{
	static uint32_t n = NBUCKET;

	for (int i = 0; i < 2000 && n < NBUCKET << 8; i++)
		growto(++n);
}

Test(sema, stress_while_it_grows, .timeout = 180)
{
	samebucket(where, NADDR);
	stressall(growing);
}
