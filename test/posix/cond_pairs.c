/*
 * cond_pairs - pairs of threads that ask and answer each other by condition variables, each
 * with one of its own or both with the same, alone or with others, signalled with the mutex
 * held or free. Who asks is woken once an answer, and no signal is lost between it and those
 * that queue up; it is woken by a third one, by its time and by cancellation although the one
 * that was asked is busy; what it waits on is destroyed, and its memory gone, as soon as it
 * is answered. Who would run next is now and then not the one that the mutex is for.
 *
 * cond_pairs [exchanges]
 */
#include "check.h"
#include <semaphore.h>
#include <sys/mman.h>

static long exchanges = 3000;

struct pair {
	pthread_mutex_t lock;
	pthread_cond_t own[2];
	pthread_cond_t *cond[2]; /* who waits on it: 0 asks, 1 answers */
	long turn, n;
	int held, broadcast, last;
	long waits, wakeups; /* of both; by lock */
};

static void make(struct pair *p, int same, int held, int broadcast)
{
	memset(p, 0, sizeof(*p));
	OK(pthread_mutex_init(&p->lock, NULL));
	for (int i = 0; i < 2; i++) {
		OK(pthread_cond_init(&p->own[i], NULL));
		p->cond[i] = &p->own[same ? 0 : i];
	}
	p->n = exchanges;
	p->held = held;
	p->broadcast = broadcast;
}

static void give(struct pair *p, int to)
{
	OK(pthread_mutex_lock(&p->lock));
	p->turn++;
	if (!p->held)
		OK(pthread_mutex_unlock(&p->lock));
	if (p->broadcast)
		OK(pthread_cond_broadcast(p->cond[to]));
	else
		OK(pthread_cond_signal(p->cond[to]));
	if (p->held)
		OK(pthread_mutex_unlock(&p->lock));
}

static void await(struct pair *p, int me, long turn)
{
	OK(pthread_mutex_lock(&p->lock));
	p->waits += p->turn != turn;
	while (p->turn != turn) {
		OK(pthread_cond_wait(p->cond[me], &p->lock));
		p->wakeups++;
	}
	OK(pthread_mutex_unlock(&p->lock));
}

static void *answers(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < p->n; i++) {
		await(p, 1, 2 * i + 1);
		give(p, 0);
	}
	return NULL;
}

static void *asks(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < p->n; i++) {
		give(p, 1);
		await(p, 0, 2 * i + 2);
	}
	return NULL;
}

/* Several pairs; each of the ways to signal. */
static void exchange(void)
{
	enum { PAIRS = 4 };
	static struct pair p[PAIRS];
	pthread_t t[2 * PAIRS];

	for (int how = 0; how < 8; how++) {
		for (int i = 0; i < PAIRS; i++) {
			make(&p[i], how & 1, how & 2, how & 4);
			t[2 * i] = start(answers, &p[i]);
			t[2 * i + 1] = start(asks, &p[i]);
		}
		for (int i = 0; i < 2 * PAIRS; i++)
			join(t[i]);
		for (int i = 0; i < PAIRS; i++) {
			CHECK_EQ(p[i].turn, 2 * exchanges);
			/* libc may wake for nothing, and whom a signal without the
			 * mutex is late for has seen that it was its turn */
			if (getenv("GMP_SHIM_MAXPROCS") && p[i].held &&
			    !(how & 1))
				CHECK_EQ(p[i].wakeups, p[i].waits);
		}
	}
}

/*
 * Who asks wakes somebody else just before it waits, or waits with another mutex first;
 * who is asked wakes it for nothing, so that it waits again and nobody has been woken.
 */
enum { EVERY = 16 };
static struct pair odd;
static sem_t bell, help;
static int nudged;

static void elsewhere(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
	struct timespec end = in_ms(CLOCK_REALTIME, 0);
	int r;

	OK(pthread_mutex_lock(&lock));
	do
		r = pthread_cond_timedwait(&never, &lock, &end);
	while (r == 0);
	CHECK_EQ(r, ETIMEDOUT);
	OK(pthread_mutex_unlock(&lock));
}

static void nudge(struct pair *p)
{
	OK(pthread_mutex_lock(&p->lock));
	nudged = 1;
	CHECK(sem_post(&help) == 0);
	OK(pthread_cond_signal(p->cond[0]));
	while (nudged)
		OK(pthread_cond_wait(p->cond[1], &p->lock));
	OK(pthread_mutex_unlock(&p->lock));
}

static void *helps(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < p->n; i += EVERY) {
		while (sem_wait(&help))
			;
		OK(pthread_mutex_lock(&p->lock));
		nudged = 0;
		OK(pthread_cond_signal(p->cond[1]));
		OK(pthread_mutex_unlock(&p->lock));
	}
	return NULL;
}

static void *hears(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < p->n; i += EVERY)
		while (sem_wait(&bell))
			;
	return NULL;
}

static void *answers_oddly(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < p->n; i++) {
		await(p, 1, 2 * i + 1);
		if (i % EVERY == 0)
			nudge(p);
		give(p, 0);
	}
	return NULL;
}

static void *asks_oddly(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < p->n; i++) {
		give(p, 1);
		if (i % EVERY == 5)
			elsewhere();
		if (i % EVERY == 10)
			CHECK(sem_post(&bell) == 0);
		await(p, 0, 2 * i + 2);
	}
	return NULL;
}

static void oddly(void)
{
	thread_fn *const all[] = { answers_oddly, asks_oddly, helps, hears };
	pthread_t t[4];

	CHECK(sem_init(&bell, 0, 0) == 0 && sem_init(&help, 0, 0) == 0);
	for (int held = 0; held < 2; held++) {
		make(&odd, 0, held, 0);
		odd.n -= odd.n % EVERY;
		for (int i = 0; i < 4; i++)
			t[i] = start(all[i], &odd);
		for (int i = 0; i < 4; i++)
			join(t[i]);
		CHECK_EQ(odd.turn, 2 * odd.n);
	}
}

/* Pairs that share the lock and the condition: each change wakes all. */
static struct pair shared;
static long turns[3];

static void shift(long me, long from, long to)
{
	OK(pthread_mutex_lock(&shared.lock));
	while (turns[me] != from)
		OK(pthread_cond_wait(shared.cond[0], &shared.lock));
	turns[me] = to;
	OK(pthread_cond_broadcast(shared.cond[0]));
	OK(pthread_mutex_unlock(&shared.lock));
}

static void *shares(void *arg)
{
	long me = (long)arg / 2, side = (long)arg % 2;

	for (long i = 0; i < exchanges / 10; i++)
		shift(me, 2 * i + side, 2 * i + side + 1);
	return NULL;
}

static void together(void)
{
	pthread_t t[6];

	make(&shared, 1, 1, 1);
	memset(turns, 0, sizeof(turns));
	for (long i = 0; i < 6; i++)
		t[i] = start(shares, (void *)i);
	for (int i = 0; i < 6; i++)
		join(t[i]);
}

/* Tickets, each signalled once: none is lost between who asks and those that queue up. */
static long tickets, used;
static int over;

static void *uses(void *arg)
{
	struct pair *p = arg;

	OK(pthread_mutex_lock(&p->lock));
	for (;;) {
		while (!tickets && !over)
			OK(pthread_cond_wait(p->cond[0], &p->lock));
		if (!tickets)
			break;
		tickets--;
		if (++used % 16 == 0)
			OK(pthread_cond_signal(p->cond[1]));
	}
	OK(pthread_mutex_unlock(&p->lock));
	return NULL;
}

static void *gives(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < p->n; i++) {
		OK(pthread_mutex_lock(&p->lock));
		tickets++;
		OK(pthread_mutex_unlock(&p->lock));
		OK(pthread_cond_signal(p->cond[0]));
		OK(pthread_mutex_lock(&p->lock));
		while (tickets > 8 && used % 16)
			OK(pthread_cond_wait(p->cond[1], &p->lock));
		OK(pthread_mutex_unlock(&p->lock));
	}
	return NULL;
}

static void none_lost(void)
{
	struct pair p;
	pthread_t t[6];

	make(&p, 0, 0, 0);
	tickets = used = over = 0;
	for (int i = 0; i < 6; i++)
		t[i] = start(i % 2 ? gives : uses, &p);
	/* who gives waits for this at the latest: nobody signals it at the end */
	for (;;) {
		OK(pthread_mutex_lock(&p.lock));
		if (used == 3 * exchanges)
			over = 1;
		OK(pthread_cond_broadcast(p.cond[1]));
		if (over)
			OK(pthread_cond_broadcast(p.cond[0]));
		OK(pthread_mutex_unlock(&p.lock));
		if (over)
			break;
		sched_yield();
	}
	for (int i = 0; i < 6; i++)
		join(t[i]);
	CHECK_EQ(used, 3 * exchanges);
}

/* Whom to ask is busy after the last exchange, until told. */
static int busy;

static void *then_computes(void *arg)
{
	struct pair *p = arg;

	answers(p);
	await(p, 1, 2 * p->n + 1);
	while (LOAD(busy))
		;
	return NULL;
}

static void *asks_once_more(void *arg)
{
	struct pair *p = arg;
	struct timespec t;

	asks(p);
	give(p, 1);
	t = in_ms(CLOCK_REALTIME, 20);
	OK(pthread_mutex_lock(&p->lock));
	while (p->last == 0)
		if (pthread_cond_timedwait(p->cond[0], &p->lock, &t) ==
		    ETIMEDOUT)
			p->last = 1;
	while (p->last == 1)
		OK(pthread_cond_wait(p->cond[0], &p->lock));
	OK(pthread_mutex_unlock(&p->lock));
	STORE(busy, 0);
	return NULL;
}

/* Until it says that it waits once more; what it sees then. */
static void until_last(struct pair *p, int then)
{
	int last;

	do {
		OK(pthread_mutex_lock(&p->lock));
		last = p->last;
		if (last)
			p->last = then;
		OK(pthread_mutex_unlock(&p->lock));
		sched_yield();
	} while (!last);
}

static void by_time_and_a_third(void)
{
	struct pair p;
	pthread_t t[2];

	make(&p, 0, 1, 0);
	busy = 1;
	t[0] = start(then_computes, &p);
	t[1] = start(asks_once_more, &p);
	until_last(&p, 2);
	OK(pthread_cond_signal(p.cond[0]));
	join(t[0]);
	join(t[1]);
}

static void unlocks(void *arg)
{
	struct pair *p = arg;

	p->last = 2;
	OK(pthread_mutex_unlock(&p->lock));
	STORE(busy, 0);
}

static void *asks_for_ever(void *arg)
{
	struct pair *p = arg;

	asks(p);
	give(p, 1);
	OK(pthread_mutex_lock(&p->lock));
	p->last = 1;
	pthread_cleanup_push(unlocks, p);
	for (;;)
		OK(pthread_cond_wait(p->cond[0], &p->lock));
	pthread_cleanup_pop(0);
	return NULL;
}

/* It ends with the mutex held, and leaves nothing behind. */
static void by_cancellation(void)
{
	struct pair p;
	pthread_t t[2];
	void *ret;

	make(&p, 0, 1, 0);
	busy = 1;
	t[0] = start(then_computes, &p);
	t[1] = start(asks_for_ever, &p);
	until_last(&p, 1);
	OK(pthread_cancel(t[1]));
	OK(pthread_join(t[1], &ret));
	CHECK(ret == PTHREAD_CANCELED);
	CHECK_EQ(p.last, 2);
	join(t[0]);
	OK(pthread_mutex_lock(&p.lock));
	OK(pthread_mutex_unlock(&p.lock));
	OK(pthread_cond_destroy(p.cond[0]));
}

/* One question, on a page of its own. */
struct question {
	pthread_cond_t answered;
};

static struct question *asked;

static void *destroys(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < exchanges; i++) {
		struct question *q;

		OK(pthread_mutex_lock(&p->lock));
		while (!asked)
			OK(pthread_cond_wait(p->cond[1], &p->lock));
		q = asked;
		asked = NULL;
		p->turn++;
		OK(pthread_cond_broadcast(&q->answered));
		OK(pthread_cond_destroy(&q->answered));
		CHECK(munmap(q, 4096) == 0);
		OK(pthread_mutex_unlock(&p->lock));
	}
	return NULL;
}

static void *asks_anew(void *arg)
{
	struct pair *p = arg;

	for (long i = 0; i < exchanges; i++) {
		struct question *q = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(q != MAP_FAILED);
		OK(pthread_cond_init(&q->answered, NULL));
		OK(pthread_mutex_lock(&p->lock));
		asked = q;
		OK(pthread_cond_signal(p->cond[1]));
		while (p->turn == i)
			OK(pthread_cond_wait(&q->answered, &p->lock));
		OK(pthread_mutex_unlock(&p->lock));
	}
	return NULL;
}

static void destroyed(void)
{
	struct pair p;
	pthread_t t[2];

	make(&p, 0, 1, 0);
	t[0] = start(destroys, &p);
	t[1] = start(asks_anew, &p);
	join(t[0]);
	join(t[1]);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		exchanges = atol(argv[1]);
	section("pairs");
	exchange();
	section("another one is next");
	oddly();
	section("pairs with one condition");
	together();
	section("tickets");
	none_lost();
	section("woken by a third one, or by its time");
	by_time_and_a_third();
	section("cancelled");
	by_cancellation();
	section("destroyed when answered");
	destroyed();
	return 0;
}
