/*
 * sig_kill - a signal sent to one thread reaches that thread, wherever it is:
 * computing, runnable beside others that compute, or in any kind of wait; its
 * handler runs in it and in no other, once for each one sent.  While blocked
 * it waits: one of a standard signal, all of a real-time one, in their order.
 */
#include "sigcheck.h"
#include "waits.h"
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <threads.h>

static int rounds = 10;

struct target {
	pthread_t t;
	int tid;
	int ready, left, runs, value;
	int order[20]; /* what came, in that order */
};
static __thread struct target *me;
static __thread int depth;

/* Fails in the wrong thread, and harms errno but for saving it. */
static void handler(int sig, siginfo_t *si, void *context)
{
	int e = errno;

	(void)sig, (void)context;
	CHECK(me != NULL);
	CHECK(pthread_equal(me->t, pthread_self()));
	CHECK_EQ(si->si_pid, getpid());
	CHECK_EQ(depth, 0);
	depth++;
	ERR(EBADF, close(-1));
	if (si->si_code == SI_QUEUE)
		STORE(me->value, si->si_value.sival_int);
	depth--;
	ADD(me->runs, 1);
	errno = e;
}

/* ---- Where a thread can be ----------------------------------------------- */

static int released;
static sem_t sem, partner_sem;
static pthread_mutex_t pi_mutex, shared_mutex;
static pthread_cond_t cond, shared_cond;
static pthread_spinlock_t spin;
static int word, pipefd[2], epfd;
static const struct timespec far = { 600, 0 };

/* The signal comes blocked to those that let it in only while they wait. */
static void in_compute(void)
{
	unsigned long n = 1;

	while (!LOAD(released))
		n = n * 7 + 1;
	CHECK(n != 0);
}

static void in_yield(void)
{
	while (!LOAD(released))
		sched_yield();
}

static void in_malloc(void)
{
	char *p;

	while (!LOAD(released)) {
		p = malloc(100);
		CHECK(p != NULL);
		memset(p, 1, 100);
		free(p);
	}
}

static void in_mutex_timed(void)
{
	struct timespec end = far_off(CLOCK_REALTIME);

	OK(pthread_mutex_timedlock(&mutex, &end));
	OK(pthread_mutex_unlock(&mutex));
}

static void in_mutex_pi(void)
{
	OK(pthread_mutex_lock(&pi_mutex));
	OK(pthread_mutex_unlock(&pi_mutex));
}

static void in_cond(void)
{
	OK(pthread_mutex_lock(&mutex));
	while (!released)
		OK(pthread_cond_wait(&cond, &mutex));
	OK(pthread_mutex_unlock(&mutex));
}

static void in_cond_timed(void)
{
	struct timespec end = far_off(CLOCK_REALTIME);

	OK(pthread_mutex_lock(&mutex));
	while (!released)
		OK(pthread_cond_timedwait(&cond, &mutex, &end));
	OK(pthread_mutex_unlock(&mutex));
}

static void in_cond_shared(void)
{
	OK(pthread_mutex_lock(&shared_mutex));
	while (!released)
		OK(pthread_cond_wait(&shared_cond, &shared_mutex));
	OK(pthread_mutex_unlock(&shared_mutex));
}

static void in_spin(void)
{
	OK(pthread_spin_lock(&spin));
	OK(pthread_spin_unlock(&spin));
}

static void in_sem(void)
{
	while (sem_wait(&sem) < 0)
		CHECK_EQ(errno, EINTR);
}

static void in_sem_timed(void)
{
	struct timespec end = far_off(CLOCK_MONOTONIC);

	while (sem_clockwait(&sem, CLOCK_MONOTONIC, &end) < 0)
		CHECK_EQ(errno, EINTR);
}

static void *partner(void *arg)
{
	while (sem_wait(&partner_sem) < 0)
		CHECK_EQ(errno, EINTR);
	return arg;
}

/* The signal is not the partner's: for kill() there has to be just one. */
static void in_join(void)
{
	sigset_t was = mask_now();
	pthread_t t;

	set_mask(full_set());
	t = start(partner, &rounds);
	set_mask(was);
	CHECK(join(t) == &rounds);
}

static void in_nanosleep(void)
{
	while (!LOAD(released)) {
		CHECK(nanosleep(&far, NULL) < 0);
		CHECK_EQ(errno, EINTR);
	}
}

static void in_clock_nanosleep(void)
{
	while (!LOAD(released))
		RET(EINTR, clock_nanosleep(CLOCK_REALTIME, 0, &far, NULL));
}

static void in_sleep(void)
{
	while (!LOAD(released))
		CHECK(sleep(600) > 0);
}

static void in_thrd_sleep(void)
{
	while (!LOAD(released))
		CHECK_EQ(thrd_sleep(&far, NULL), -1);
}

static void in_futex(void)
{
	while (LOAD(word) == 0)
		if (syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL) < 0)
			CHECK(errno == EINTR || errno == EAGAIN);
}

static void in_read(void)
{
	char c;
	int n;

	do
		n = read(pipefd[0], &c, 1);
	while (n < 0 && errno == EINTR);
	CHECK_EQ(n, 1);
}

static void in_poll(void)
{
	struct pollfd p = { pipefd[0], POLLIN, 0 };

	while (!LOAD(released)) {
		CHECK(poll(&p, 1, 600 * 1000) < 0);
		CHECK_EQ(errno, EINTR);
	}
}

static void in_ppoll(void)
{
	struct pollfd p = { pipefd[0], POLLIN, 0 };
	sigset_t open = SET();

	while (!LOAD(released)) {
		CHECK(ppoll(&p, 1, &far, &open) < 0);
		CHECK_EQ(errno, EINTR);
	}
}

static void in_pselect(void)
{
	sigset_t open = SET();
	fd_set in;

	while (!LOAD(released)) {
		FD_ZERO(&in);
		FD_SET(pipefd[0], &in);
		CHECK(pselect(pipefd[0] + 1, &in, NULL, NULL, &far, &open) < 0);
		CHECK_EQ(errno, EINTR);
	}
}

static void in_epoll_pwait(void)
{
	struct epoll_event event;
	sigset_t open = SET();

	while (!LOAD(released)) {
		CHECK(epoll_pwait(epfd, &event, 1, -1, &open) < 0);
		CHECK_EQ(errno, EINTR);
	}
}

static void in_sigsuspend(void)
{
	sigset_t open = SET();

	while (!LOAD(released))
		ERR(EINTR, sigsuspend(&open));
}

static void in_pause(void)
{
	while (!LOAD(released))
		ERR(EINTR, pause());
}

static void in_sigwait(void)
{
	sigset_t other = SET(SIGTERM);
	int sig;

	CHECK_EQ(sigwait(&other, &sig), 0);
	CHECK_EQ(sig, SIGTERM);
}

static void in_sigwaitinfo(void)
{
	sigset_t other = SET(SIGTERM);

	while (!LOAD(released))
		ERR(EINTR, sigwaitinfo(&other, NULL));
}

/* How it is let go; KICK: a last signal, until it has left. */
enum how {
	FLAG,
	KICK,
	UNLOCK,
	WAKE,
	POST,
	POST_PARTNER,
	FUTEX,
	BYTE,
	ENTER,
	TERM
};

static const struct place {
	const char *name;
	void (*in)(void);
	enum how how;
	int opens; /* blocked but in the wait */
} places[] = {
	{ "in_compute", in_compute, FLAG, 0 },
	{ "in_yield", in_yield, FLAG, 0 },
	{ "in_malloc", in_malloc, FLAG, 0 },
	{ "in_mutex", in_mutex, UNLOCK, 0 },
	{ "in_mutex_timed", in_mutex_timed, UNLOCK, 0 },
	{ "in_mutex_pi", in_mutex_pi, UNLOCK, 0 },
	{ "in_rdlock", in_rdlock, UNLOCK, 0 },
	{ "in_wrlock", in_wrlock, UNLOCK, 0 },
	{ "in_spin", in_spin, UNLOCK, 0 },
	{ "in_cond", in_cond, WAKE, 0 },
	{ "in_cond_timed", in_cond_timed, WAKE, 0 },
	{ "in_cond_shared", in_cond_shared, WAKE, 0 },
	{ "in_barrier", in_barrier, ENTER, 0 },
	{ "in_sem", in_sem, POST, 0 },
	{ "in_sem_timed", in_sem_timed, POST, 0 },
	{ "in_join", in_join, POST_PARTNER, 0 },
	{ "in_nanosleep", in_nanosleep, KICK, 0 },
	{ "in_clock_nanosleep", in_clock_nanosleep, KICK, 0 },
	{ "in_sleep", in_sleep, KICK, 0 },
	{ "in_thrd_sleep", in_thrd_sleep, KICK, 0 },
	{ "in_futex", in_futex, FUTEX, 0 },
	{ "in_read", in_read, BYTE, 0 },
	{ "in_poll", in_poll, KICK, 0 },
	{ "in_ppoll", in_ppoll, KICK, 1 },
	{ "in_pselect", in_pselect, KICK, 1 },
	{ "in_epoll_pwait", in_epoll_pwait, KICK, 1 },
	{ "in_sigsuspend", in_sigsuspend, KICK, 1 },
	{ "in_pause", in_pause, KICK, 0 },
	{ "in_sigwait", in_sigwait, TERM, 0 },
	{ "in_sigwaitinfo", in_sigwaitinfo, KICK, 0 },
};

static void prepare(void)
{
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;

	CHECK(sem_init(&sem, 0, 0) == 0 && sem_init(&partner_sem, 0, 0) == 0);
	OK(pthread_mutexattr_init(&ma));
	OK(pthread_mutex_init(&mutex, NULL));
	OK(pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED));
	OK(pthread_mutex_init(&shared_mutex, &ma));
	OK(pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_PRIVATE));
	OK(pthread_mutexattr_setprotocol(&ma, PTHREAD_PRIO_INHERIT));
	OK(pthread_mutex_init(&pi_mutex, &ma));
	OK(pthread_cond_init(&cond, NULL));
	OK(pthread_condattr_init(&ca));
	OK(pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED));
	OK(pthread_cond_init(&shared_cond, &ca));
	OK(pthread_rwlock_init(&rwlock, NULL));
	OK(pthread_barrier_init(&barrier, NULL, 2));
	OK(pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE));
	CHECK(pipe(pipefd) == 0);
	epfd = epoll_create1(0);
	CHECK(epfd >= 0);
}

static void hold(void)
{
	OK(pthread_mutex_lock(&mutex));
	OK(pthread_mutex_lock(&pi_mutex));
	OK(pthread_rwlock_wrlock(&rwlock));
	OK(pthread_spin_lock(&spin));
}

static void let_go(void)
{
	OK(pthread_spin_unlock(&spin));
	OK(pthread_rwlock_unlock(&rwlock));
	OK(pthread_mutex_unlock(&pi_mutex));
	OK(pthread_mutex_unlock(&mutex));
}

static void release(struct target *target, const struct place *place)
{
	switch (place->how) {
	case FLAG:
		STORE(released, 1);
		break;
	case KICK:
		STORE(released, 1);
		while (!LOAD(target->left)) {
			OK(pthread_kill(target->t, SIGUSR1));
			usleep(50);
		}
		break;
	case UNLOCK:
		let_go();
		break;
	case WAKE:
		OK(pthread_mutex_lock(&mutex));
		OK(pthread_mutex_lock(&shared_mutex));
		STORE(released, 1);
		OK(pthread_cond_signal(&cond));
		OK(pthread_cond_broadcast(&shared_cond));
		OK(pthread_mutex_unlock(&shared_mutex));
		OK(pthread_mutex_unlock(&mutex));
		break;
	case POST:
		CHECK(sem_post(&sem) == 0);
		break;
	case POST_PARTNER:
		CHECK(sem_post(&partner_sem) == 0);
		break;
	case FUTEX:
		STORE(word, 1);
		CHECK(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1) >= 0);
		break;
	case BYTE:
		CHECK(write(pipefd[1], "x", 1) == 1);
		break;
	case ENTER:
		in_barrier();
		break;
	case TERM:
		OK(pthread_kill(target->t, SIGTERM));
		break;
	}
}

/* ---- The ways to send ---------------------------------------------------- */

static void by_pthread_kill(struct target *target, int value)
{
	(void)value;
	OK(pthread_kill(target->t, SIGUSR1));
}

static void by_pthread_sigqueue(struct target *target, int value)
{
	union sigval v = { .sival_int = value };

	OK(pthread_sigqueue(target->t, SIGUSR1, v));
}

static void by_tgkill(struct target *target, int value)
{
	(void)value;
	CHECK(tgkill(getpid(), target->tid, SIGUSR1) == 0);
}

static void by_tgkill_syscall(struct target *target, int value)
{
	(void)value;
	CHECK(syscall(SYS_tgkill, getpid(), target->tid, SIGUSR1) == 0);
}

/* Everybody else blocks it. */
static void by_kill(struct target *target, int value)
{
	(void)target, (void)value;
	CHECK(kill(getpid(), SIGUSR1) == 0);
}

static void by_sigqueue(struct target *target, int value)
{
	union sigval v = { .sival_int = value };

	(void)target;
	CHECK(sigqueue(getpid(), SIGUSR1, v) == 0);
}

static const struct way {
	const char *name;
	void (*send)(struct target *, int value);
	int value; /* arrives with the signal */
} ways[] = {
	{ "pthread_kill", by_pthread_kill, 0 },
	{ "pthread_sigqueue", by_pthread_sigqueue, 1 },
	{ "kill", by_kill, 0 },
	{ "sigqueue", by_sigqueue, 1 },
	{ "tgkill", by_tgkill, 0 },
	{ "tgkill system call", by_tgkill_syscall, 0 },
};

static const struct place *place_now;
static void *stands(void *arg)
{
	struct target *target = arg;

	me = target;
	target->t = pthread_self();
	target->tid = own_tid();
	CHECK_EQ(target->tid, gettid());
	if (!place_now->opens)
		unblock(SIGUSR1);
	errno = 0;
	STORE(target->ready, 1);
	place_now->in();
	CHECK(blocked(SIGUSR1) == place_now->opens);
	STORE(target->left, 1);
	CHECK(pthread_equal(target->t, pthread_self()) && me == target);
	return NULL;
}

static void reach(const struct way *way, const struct place *place)
{
	struct target target;
	pthread_t t;
	int i, n;

	memset(&target, 0, sizeof(target));
	STORE(released, 0);
	STORE(word, 0);
	place_now = place;
	section(place->name);
	if (place->how == UNLOCK)
		hold();
	t = start(stands, &target);
	NAP_UNTIL(LOAD(target.ready));
	usleep(100); /* most likely it waits now, but it need not */
	for (i = 0; i < rounds; i++) {
		n = LOAD(target.runs);
		CHECK_EQ(n, i);
		way->send(&target, i + 1000);
		NAP_UNTIL(LOAD(target.runs) > n);
		if (way->value)
			CHECK_EQ(LOAD(target.value), i + 1000);
		CHECK(!LOAD(target.left));
	}
	release(&target, place);
	join(t);
	if (place->how != KICK)
		CHECK_EQ(target.runs, rounds);
}

static int stop_hogs;
static void *hog(void *arg)
{
	volatile unsigned long n = 0;

	while (!LOAD(stop_hogs))
		n++;
	return arg;
}

static void everywhere(void)
{
	size_t i, k;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		section(ways[i].name);
		for (k = 0; k < sizeof(places) / sizeof(places[0]); k++)
			reach(&ways[i], &places[k]);
	}
}

static void beside_hogs(void)
{
	pthread_t t[4];
	size_t i;

	section("beside hogs");
	for (i = 0; i < 4; i++)
		t[i] = start(hog, NULL);
	/* Computing, runnable, and in a wait or two. */
	for (i = 0; i < 4; i++)
		reach(&ways[i % 2], &places[i]);
	reach(&ways[0], &places[13]);
	STORE(stop_hogs, 1);
	for (i = 0; i < 4; i++)
		join(t[i]);
}

/* ---- Several at once, each with its own ---------------------------------- */

enum { MANY = 40 };
static void *looks(void *arg)
{
	struct target *target = arg;
	int i = (int)(target->order[0]);

	me = target;
	target->t = pthread_self();
	unblock(SIGUSR1);
	STORE(target->ready, 1);
	while (LOAD(target->runs) < rounds) {
		errno = i;
		if (i % 4 == 0)
			sched_yield();
		else if (i % 4 == 1)
			in_malloc();
		CHECK_EQ(errno, i);
		if (i % 4 == 2)
			usleep(10);
	}
	return NULL;
}

static void many(void)
{
	static struct target target[MANY];
	pthread_t t[MANY];
	int i, k;

	section("many");
	STORE(released, 1);
	memset(target, 0, sizeof(target));
	for (i = 0; i < MANY; i++) {
		target[i].order[0] = i;
		t[i] = start(looks, &target[i]);
	}
	for (i = 0; i < MANY; i++)
		YIELD_UNTIL(LOAD(target[i].ready));
	for (k = 0; k < rounds; k++) {
		for (i = 0; i < MANY; i++)
			OK(pthread_kill(t[i], SIGUSR1));
		for (i = 0; i < MANY; i++)
			YIELD_UNTIL(LOAD(target[i].runs) > k);
	}
	for (i = 0; i < MANY; i++) {
		join(t[i]);
		CHECK_EQ(target[i].runs, rounds);
	}
}

/* ---- Blocked ------------------------------------------------------------- */

static void records(int sig, siginfo_t *si, void *context)
{
	struct target *target = me;

	(void)context;
	CHECK(target && pthread_equal(target->t, pthread_self()));
	CHECK(target->runs < 20);
	target->order[target->runs++] =
		sig * 100 +
		(si->si_code == SI_QUEUE ? si->si_value.sival_int : 0);
}

static void *has_nothing(void *arg)
{
	sigset_t set;

	CHECK(sigpending(&set) == 0);
	CHECK(sigisemptyset(&set));
	return arg;
}

static int go;
static void *keeps(void *arg)
{
	struct timespec t = { 0, 1000000 }, end;
	struct target *target = arg;
	int rt = SIGRTMIN, i;
	sigset_t set;
	pid_t pid;

	me = target;
	target->t = pthread_self();
	STORE(target->ready, 1);
	YIELD_UNTIL(LOAD(go));
	CHECK(sigpending(&set) == 0);
	CHECK(sigismember(&set, SIGUSR1) && sigismember(&set, rt));
	CHECK(sigismember(&set, rt + 1) && !sigismember(&set, SIGUSR2));
	/* They stay while it waits, and end no wait. */
	for (i = 0; i < 5; i++) {
		sched_yield();
		end = in_ms(CLOCK_MONOTONIC, 1);
		CHECK(nanosleep(&t, NULL) == 0);
		CHECK(reached(CLOCK_MONOTONIC, &end));
		ERR(ETIMEDOUT, sem_clockwait(&sem, CLOCK_MONOTONIC, &end));
		CHECK(poll(NULL, 0, 1) == 0);
		CHECK(pending(SIGUSR1) && pending(rt) && pending(rt + 1));
	}
	/* They are the thread's, not a new one's, nor a new process's. */
	join(start(has_nothing, NULL));
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		has_nothing(NULL);
		_exit(0);
	}
	reap(pid, 0);
	CHECK_EQ(target->runs, 0);
	/* One that is not there, then all: before the call returns. */
	unblock(SIGUSR2);
	CHECK_EQ(target->runs, 0);
	unblock(rt + 1);
	CHECK_EQ(target->runs, 2);
	CHECK(!pending(rt + 1) && pending(rt) && pending(SIGUSR1));
	set_mask(SET());
	CHECK_EQ(target->runs, 8);
	CHECK(sigpending(&set) == 0 && sigisemptyset(&set));
	CHECK_EQ(target->order[0], (rt + 1) * 100 + 8);
	CHECK_EQ(target->order[1], (rt + 1) * 100 + 7);
	CHECK_EQ(target->order[2], SIGUSR1 * 100);
	for (i = 0; i < 5; i++)
		CHECK_EQ(target->order[3 + i], rt * 100 + i);
	return NULL;
}

static void while_blocked(void)
{
	static struct target target;
	union sigval v;
	sigset_t set;
	pthread_t t;
	int rt = SIGRTMIN, i;

	section("blocked");
	memset(&target, 0, sizeof(target));
	/* With all blocked inside, the lower number is first. */
	install_with(SIGUSR1, records, 0, full_set());
	install_with(rt, records, 0, full_set());
	install_with(rt + 1, records, 0, full_set());
	STORE(go, 0);
	t = start(keeps, &target);
	YIELD_UNTIL(LOAD(target.ready));
	v.sival_int = 8;
	OK(pthread_sigqueue(t, rt + 1, v));
	for (i = 0; i < 5; i++) {
		v.sival_int = i;
		OK(pthread_sigqueue(t, rt, v));
		OK(pthread_kill(t, SIGUSR1));
	}
	v.sival_int = 7;
	OK(pthread_sigqueue(t, rt + 1, v));
	/* Another thread does not see them. */
	CHECK(sigpending(&set) == 0 && sigisemptyset(&set));
	STORE(go, 1);
	join(t);
}

/* ---- To itself ----------------------------------------------------------- */

static void *to_itself(void *arg)
{
	struct target target;
	union sigval v;
	int i;

	memset(&target, 0, sizeof(target));
	me = &target;
	target.t = pthread_self();
	target.tid = own_tid();
	unblock(SIGUSR1);
	for (i = 0; i < rounds; i++) {
		errno = ERRNO_MARK;
		CHECK(raise(SIGUSR1) == 0);
		OK(pthread_kill(pthread_self(), SIGUSR1));
		v.sival_int = i;
		OK(pthread_sigqueue(pthread_self(), SIGUSR1, v));
		CHECK_EQ(target.value, i);
		CHECK(tgkill(getpid(), own_tid(), SIGUSR1) == 0);
		CHECK_EQ(target.runs, 4 * (i + 1));
		CHECK_EQ(errno, ERRNO_MARK);
		sched_yield();
	}
	block(SIGUSR1);
	CHECK(raise(SIGUSR1) == 0);
	CHECK(pending(SIGUSR1));
	CHECK_EQ(target.runs, 4 * rounds);
	unblock(SIGUSR1);
	CHECK_EQ(target.runs, 4 * rounds + 1);
	block(SIGUSR1);
	me = NULL;
	return arg;
}

/* ---- Errors -------------------------------------------------------------- */

static int end;
static void *lives(void *arg)
{
	*(int *)arg = own_tid();
	STORE(go, 1);
	YIELD_UNTIL(LOAD(end));
	return NULL;
}

static void errors(void)
{
	static const int bad[] = { -1, 32, 33, 65, 1000 };
	union sigval v = { .sival_int = 1 };
	sigset_t set;
	pthread_t t;
	int tid, i;

	STORE(go, 0);
	STORE(end, 0);
	t = start(lives, &tid);
	YIELD_UNTIL(LOAD(go));
	OK(pthread_kill(t, 0));
	OK(pthread_kill(pthread_self(), 0));
	CHECK(tgkill(getpid(), tid, 0) == 0 && kill(getpid(), 0) == 0);
	CHECK(syscall(SYS_tgkill, getpid(), tid, 0) == 0);
	for (i = 0; i < 5; i++) {
		RET(EINVAL, pthread_kill(t, bad[i]));
		RET(EINVAL, pthread_kill(pthread_self(), bad[i]));
		RET(EINVAL, pthread_sigqueue(t, bad[i], v));
		if (bad[i] == 32 || bad[i] == 33)
			continue;
		ERR(EINVAL, kill(getpid(), bad[i]));
		ERR(EINVAL, raise(bad[i]));
		ERR(EINVAL, sigqueue(getpid(), bad[i], v));
		ERR(EINVAL, tgkill(getpid(), tid, bad[i]));
	}
	ERR(EINVAL, tgkill(0, tid, 0));
	ERR(EINVAL, tgkill(getpid(), 0, 0));
	ERR(EINVAL, tgkill(getpid(), -1, SIGUSR1));
	ERR(ESRCH, tgkill(getpid(), INT_MAX, SIGUSR1));
	ERR(ESRCH, tgkill(INT_MAX, tid, 0));
	STORE(end, 1);
	/* Gone but not joined: a thread still, that needs no signal. */
	while ((i = pthread_sigqueue(t, 0, v)) == 0)
		sched_yield();
	CHECK_EQ(i, ESRCH);
	RET(ESRCH, pthread_sigqueue(t, SIGUSR1, v));
	OK(pthread_kill(t, 0));
	OK(pthread_kill(t, SIGUSR1));
	RET(EINVAL, pthread_kill(t, 32));
	join(t);
	while (tgkill(getpid(), tid, 0) == 0)
		sched_yield();
	CHECK_EQ(errno, ESRCH);
	CHECK(sigpending(&set) == 0 && sigisemptyset(&set));
}

int main(int argc, char **argv)
{
	pthread_t t[8];
	int i;

	if (argc > 1)
		rounds = atoi(argv[1]);
	/* Main and the helpers let nothing in. */
	set_mask(full_set());
	prepare();
	install(SIGUSR1, handler, 0);
	everywhere();
	beside_hogs();
	many();
	section("the same with SA_RESTART");
	install(SIGUSR1, handler, SA_RESTART);
	everywhere();
	section("to itself");
	to_itself(NULL);
	for (i = 0; i < 8; i++)
		t[i] = start(to_itself, NULL);
	for (i = 0; i < 8; i++)
		join(t[i]);
	while_blocked();
	section("errors");
	errors();
	return 0;
}
