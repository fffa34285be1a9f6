/*
 * spinner - threads that wait in an empty loop on a variable, with no call in
 * it, for what another thread does that needs a processor to do it: there are
 * more of them than processors, so they have to be interrupted.  Where nothing
 * does that, the first scene does not end.
 *
 * spinner [rounds]
 */
#include "check.h"

enum {
	ROUNDS = 10,
	N = 10, /* more than there are processors in any test */
	LAPS = 4,
	PAIRS = 2,
	HANDOVERS = 3
};

/* Not YIELD_UNTIL: this is what it is about. */
#define SPIN_UNTIL(cond)                                                       \
	do {                                                                   \
	} while (!(cond))

static volatile int flag[N + 1];
static volatile int ready;
static pthread_t spinning[N];

/* ---- A chain: each one's release is the next one's ----------------------- */

static void *link_of(void *arg)
{
	long me = (long)arg;

	ADD(ready, 1);
	SPIN_UNTIL(flag[me]);
	flag[me + 1] = 1;
	return NULL;
}

/* Started from the end that is released first, or from the other. */
static void chain(int last_first, int from_outside)
{
	long i;

	memset((void *)flag, 0, sizeof(flag));
	ready = 0;
	for (i = 0; i < N; i++)
		spinning[i] =
			start(link_of, (void *)(last_first ? N - 1 - i : i));
	/* Either all have begun, or none needs to have. */
	if (from_outside)
		SPIN_UNTIL(ready == N);
	flag[0] = 1;
	SPIN_UNTIL(flag[N]);
	for (i = 0; i < N; i++)
		join(spinning[i]);
}

/* ---- Many that spin until one is done that does not ---------------------- */

static void *spins(void *arg)
{
	ADD(ready, 1);
	SPIN_UNTIL(flag[0]);
	return arg;
}

static void *deaf(void *arg)
{
	sigset_t all, now;

	sigfillset(&all);
	OK(pthread_sigmask(SIG_SETMASK, &all, NULL));
	spins(NULL);
	OK(pthread_sigmask(SIG_SETMASK, NULL, &now));
	CHECK(sigismember(&now, SIGTERM) && sigismember(&now, SIGRTMAX) &&
	      sigismember(&now, SIGURG) && sigismember(&now, SIGPROF));
	return arg;
}

static void *sleeper(void *arg)
{
	struct timespec t = { 0, 1000000 };

	CHECK(nanosleep(&t, NULL) == 0);
	flag[0] = 1;
	return arg;
}

static int pipes[2];
static void *reader(void *arg)
{
	char c;

	CHECK_EQ(read(pipes[0], &c, 1), 1);
	flag[0] = 1;
	return arg;
}

static void *writer(void *arg)
{
	CHECK_EQ(write(pipes[1], "x", 1), 1);
	return arg;
}

static void *reads(void *arg)
{
	pthread_t t = start(reader, NULL);

	writer(NULL);
	join(t);
	return arg;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int ball;
static void *plays(void *arg)
{
	int me = (int)(long)arg, i;

	OK(pthread_mutex_lock(&lock));
	for (i = 0; i < 2; i++) {
		while (ball % 2 != me)
			OK(pthread_cond_wait(&cond, &lock));
		ball++;
		OK(pthread_cond_broadcast(&cond));
	}
	OK(pthread_mutex_unlock(&lock));
	return NULL;
}

static void *conditions(void *arg)
{
	pthread_t a, b;

	ball = 0;
	a = start(plays, (void *)0);
	b = start(plays, (void *)1);
	join(a);
	join(b);
	flag[0] = 1;
	return arg;
}

static void *yields(void *arg)
{
	int i;

	for (i = 0; i < 3; i++)
		sched_yield();
	flag[0] = 1;
	return arg;
}

static volatile unsigned long work;
static void *computes(void *arg)
{
	unsigned long i;

	for (i = 0; i < 30000000; i++)
		work += i;
	flag[0] = 1;
	return arg;
}

static void until(thread_fn *waiter, thread_fn *fn)
{
	pthread_t t;
	int i;

	flag[0] = 0;
	ready = 0;
	for (i = 0; i < N; i++)
		spinning[i] = start(waiter, NULL);
	/* One that is new has to be begun as well, beside all the others. */
	SPIN_UNTIL(ready == N);
	t = start(fn, NULL);
	SPIN_UNTIL(flag[0]);
	for (i = 0; i < N; i++)
		join(spinning[i]);
	join(t);
}

/* ---- Two that spin for each other, and so do others ---------------------- */

static volatile int turn[PAIRS];
static void *answers(void *arg)
{
	int me = (int)(long)arg, i;

	for (i = 0; i < LAPS; i++) {
		SPIN_UNTIL(turn[me / 2] % 2 == me % 2);
		turn[me / 2]++;
	}
	return NULL;
}

static void pairs(void)
{
	pthread_t t[2 * PAIRS];
	long i;

	memset((void *)turn, 0, sizeof(turn));
	for (i = 0; i < 2 * PAIRS; i++)
		t[i] = start(answers, (void *)i);
	for (i = 0; i < 2 * PAIRS; i++)
		join(t[i]);
	for (i = 0; i < PAIRS; i++)
		CHECK_EQ(turn[i], 2 * LAPS);
}

/* ---- A lock of one's own making, first come first served ----------------- */

static volatile int serving;
static int tickets, inside;
static volatile long sections;
static void *draws(void *arg)
{
	int i, mine;

	for (i = 0; i < HANDOVERS; i++) {
		mine = __atomic_fetch_add(&tickets, 1, __ATOMIC_SEQ_CST);
		SPIN_UNTIL(serving == mine);
		CHECK_EQ(ADD(inside, 1), 1);
		sections++;
		CHECK_EQ(ADD(inside, -1), 0);
		STORE(serving, mine + 1);
	}
	return arg;
}

static void ticket_lock(void)
{
	enum { DRAWERS = 4 };
	pthread_t t[DRAWERS];
	int i;

	sections = serving = tickets = 0;
	for (i = 0; i < DRAWERS; i++)
		t[i] = start(draws, NULL);
	for (i = 0; i < DRAWERS; i++)
		join(t[i]);
	CHECK_EQ(sections, DRAWERS * HANDOVERS);
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : ROUNDS;

	CHECK(pipe(pipes) == 0);
	while (rounds-- > 0) {
		section("a chain");
		chain(0, 0);
		chain(1, 0);
		chain(1, 1);
		section("until one has slept");
		until(spins, sleeper);
		section("until one has read what another writes");
		until(spins, reads);
		section("until two have played ball with a condition");
		until(spins, conditions);
		section("until one has yielded");
		until(spins, yields);
		section("until one has computed");
		until(spins, computes);
		section("with all signals blocked");
		until(deaf, sleeper);
		section("two for each other");
		pairs();
		section("a ticket lock");
		ticket_lock();
	}
	return 0;
}
