/*
 * sig_action - what a disposition means: any thread reads back what was set;
 * flags and mask act as documented; a handler is told who sent the signal.  All
 * of it before any thread exists, then in main and in another thread with threads
 * alive: handlers are the process's, and those installed early have to serve
 * threads made later.  Which calls they interrupt is in sig_interrupts.
 */
#include "bystanders.h"

/* Old names that programs still use; some headers no longer show them. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
sighandler_t bsd_signal(int sig, sighandler_t handler);

#define LIBC_FLAG 0x04000000 /* SA_RESTORER: libc's own, and no program's */

/* What the last handler saw; in the thread that it ran in, so that is sure. */
static __thread volatile struct {
	int runs, sig, code, pid, uid, value, inside, deepest;
} seen;

static void notes(int sig, siginfo_t *si, void *context)
{
	(void)context;
	seen.sig = sig;
	CHECK_EQ(si->si_signo, sig);
	seen.code = si->si_code;
	seen.pid = si->si_pid;
	seen.uid = si->si_uid;
	seen.value = si->si_value.sival_int;
	seen.runs++;
}

static void plain(int sig)
{
	seen.sig = sig;
	seen.runs++;
}

static void runs_are(int want)
{
	CHECK_EQ(seen.runs, want);
	seen.runs = 0;
}

/* ---- What is set is what is asked for ------------------------------------ */

struct want {
	int sig, flags;
	void *fn;
	sigset_t mask;
};

static void *is_so(void *arg)
{
	struct want *want = arg;
	struct sigaction now;
	int i;

	for (i = 0; i < 2; i++) {
		CHECK(sigaction(want->sig, NULL, &now) == 0);
		CHECK((void *)now.sa_handler == want->fn);
		CHECK_EQ(now.sa_flags & ~LIBC_FLAG, want->flags);
		CHECK(same_set(&now.sa_mask, &want->mask));
		if (want->sig == SIGTERM)
			sched_yield();
	}
	return NULL;
}

static int threads; /* there are some */
static void is(int sig, void *fn, int flags, sigset_t mask)
{
	struct want want = { sig, flags, fn, mask };

	is_so(&want);
	if (threads && sig == SIGTERM)
		join(start(is_so, &want));
}

static void query(void)
{
	static const int flags[] = {
		0,
		SA_RESTART,
		SA_SIGINFO,
		SA_SIGINFO | SA_NODEFER,
		SA_RESETHAND | SA_NODEFER,
		SA_ONSTACK | SA_SIGINFO | SA_RESTART,
		SA_NOCLDSTOP | SA_NOCLDWAIT,
	};
	const sigset_t masks[] = { SET(), SET(SIGUSR1, SIGTERM, SIGRTMAX),
				   full_set() };
	struct sigaction first, act, old;
	void *fn;
	size_t i;
	int sig;

	for (sig = 1; sig <= 64; sig++) {
		if (!catchable(sig))
			continue;
		CHECK(sigaction(sig, NULL, &first) == 0);
		memset(&act, 0, sizeof(act));
		act = first;
		for (i = 0; i < 3 * sizeof(flags) / sizeof(flags[0]); i++) {
			fn = (void *)act.sa_handler;
			act.sa_flags = flags[i / 3];
			act.sa_mask = masks[i % 3];
			if (act.sa_flags & SA_SIGINFO)
				act.sa_sigaction = notes;
			else
				act.sa_handler = i % 2 ? plain : SIG_IGN;
			CHECK(sigaction(sig, &act, &old) == 0);
			CHECK((void *)old.sa_handler == fn);
			is(sig, (void *)act.sa_handler, flags[i / 3],
			   masks[i % 3]);
		}
		CHECK(sigaction(sig, &first, NULL) == 0);
		is(sig, (void *)first.sa_handler, first.sa_flags & ~LIBC_FLAG,
		   first.sa_mask);
	}
}

static void errors(void)
{
	static const int none[] = { -1, 0, 32, 33, 65, 1000, INT_MAX };
	static const int hard[] = { SIGKILL, SIGSTOP };
	struct sigaction act, old;
	sigset_t set = SET();
	size_t i;

	memset(&act, 0, sizeof(act));
	act.sa_handler = plain;
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		ERR(EINVAL, sigaction(none[i], &act, &old));
		ERR(EINVAL, sigaction(none[i], &act, NULL));
		ERR(EINVAL, sigaction(none[i], NULL, &old));
		ERR(EINVAL, (long)signal(none[i], plain));
		ERR(EINVAL, (long)bsd_signal(none[i], plain));
		ERR(EINVAL, (long)sysv_signal(none[i], plain));
		ERR(EINVAL, (long)sigset(none[i], plain));
		ERR(EINVAL, sigignore(none[i]));
		ERR(EINVAL, siginterrupt(none[i], 1));
		ERR(EINVAL, sighold(none[i]));
		ERR(EINVAL, sigaddset(&set, none[i]));
	}
	for (i = 0; i < 2; i++) {
		ERR(EINVAL, sigaction(hard[i], &act, NULL));
		ERR(EINVAL, (long)signal(hard[i], plain));
		ERR(EINVAL, (long)signal(hard[i], SIG_IGN));
		ERR(EINVAL, sigignore(hard[i]));
		CHECK(sigaction(hard[i], NULL, &old) == 0);
		CHECK(old.sa_handler == SIG_DFL);
	}
	ERR(EINVAL, (long)signal(SIGUSR1, SIG_ERR));
	ERR(EINVAL, sigismember(&set, 0));
	ERR(EINVAL, sigismember(&set, 65));
	ERR(EINVAL, sigdelset(&set, -1));
	CHECK(same_set(&set, &(sigset_t){ 0 }));
}

/* ---- The older ways to say it -------------------------------------------- */

static void sets(void)
{
	sigset_t a = SET(SIGUSR1, SIGTERM), b = SET(SIGTERM, SIGRTMAX), c;

	CHECK(sigandset(&c, &a, &b) == 0);
	CHECK(same_set(&c, &(sigset_t[]){ SET(SIGTERM) }[0]));
	CHECK(sigorset(&c, &a, &b) == 0);
	CHECK(sigismember(&c, SIGUSR1) && sigismember(&c, SIGRTMAX));
	CHECK(!sigisemptyset(&c) && sigdelset(&c, SIGUSR1) == 0);
	CHECK(same_set(&c, &b));
	c = SET();
	CHECK(sigisemptyset(&c));
}

static void older(void)
{
	int sig = SIGUSR1, bit = 1 << (SIGUSR1 - 1);

	CHECK(signal(sig, plain) == SIG_DFL);
	is(sig, plain, SA_RESTART, SET(sig));
	CHECK(raise(sig) == 0);
	CHECK(raise(sig) == 0);
	runs_are(2);
	CHECK(siginterrupt(sig, 1) == 0);
	is(sig, plain, 0, SET(sig));
	CHECK(signal(sig, plain) == plain);
	is(sig, plain, 0, SET(sig));
	CHECK(siginterrupt(sig, 0) == 0);
	is(sig, plain, SA_RESTART, SET(sig));
	CHECK(bsd_signal(sig, SIG_IGN) == plain);
	is(sig, SIG_IGN, SA_RESTART, SET(sig));
	CHECK(ssignal(sig, SIG_DFL) == SIG_IGN);

	/* System V: once, and not blocked meanwhile. */
	CHECK(sysv_signal(sig, plain) == SIG_DFL);
	is(sig, plain, SA_RESETHAND | SA_NODEFER, SET());
	CHECK(gsignal(sig) == 0);
	runs_are(1);
	CHECK(signal(sig, SIG_DFL) == SIG_DFL);

	CHECK(sigset(sig, plain) == SIG_DFL);
	is(sig, plain, 0, SET());
	CHECK(sigset(sig, SIG_HOLD) == plain);
	CHECK(blocked(sig));
	CHECK(raise(sig) == 0);
	runs_are(0);
	CHECK(sigset(sig, plain) == SIG_HOLD);
	runs_are(1);
	CHECK(!blocked(sig));
	CHECK(sighold(sig) == 0 && blocked(sig));
	CHECK(raise(sig) == 0 && pending(sig));
	ERR(EINTR, sigpause(sig));
	runs_are(1);
	CHECK(blocked(sig) && !pending(sig));
	CHECK(sigrelse(sig) == 0 && !blocked(sig));
	CHECK(sigignore(sig) == 0);
	is(sig, SIG_IGN, 0, SET());
	CHECK(raise(sig) == 0);
	runs_are(0);
	CHECK(sigset(sig, SIG_DFL) == SIG_IGN);

	CHECK_EQ(sigblock(bit) & bit, 0);
	CHECK(blocked(sig) && (sigblock(0) & bit));
	CHECK_EQ(sigsetmask(0) & bit, bit);
	CHECK(!blocked(sig));
}

/* ---- Flags --------------------------------------------------------------- */

static void resets(int sig, siginfo_t *si, void *context)
{
	(void)si, (void)context;
	is(sig, SIG_DFL, SA_RESETHAND | SA_SIGINFO, SET());
	CHECK(blocked(sig));
	seen.runs++;
}

static void nests(int sig, siginfo_t *si, void *context)
{
	(void)si, (void)context;
	if (++seen.inside > seen.deepest)
		seen.deepest = seen.inside;
	if (++seen.runs < 5) {
		CHECK(raise(sig) == 0);
		sched_yield();
	}
	seen.inside--;
}

static void flags(void)
{
	int sig;

	for (sig = SIGUSR1; sig <= SIGUSR2; sig += SIGUSR2 - SIGUSR1) {
		install(sig, resets, SA_RESETHAND);
		CHECK(raise(sig) == 0);
		runs_are(1);
		is(sig, SIG_DFL, SA_RESETHAND | SA_SIGINFO, SET());

		/* Blocked while it is handled: one after the other. */
		install(sig, nests, 0);
		seen.deepest = 0;
		CHECK(raise(sig) == 0);
		runs_are(5);
		CHECK_EQ(seen.deepest, 1);
		CHECK(!blocked(sig));

		install(sig, nests, SA_NODEFER);
		seen.deepest = 0;
		CHECK(raise(sig) == 0);
		runs_are(5);
		CHECK_EQ(seen.deepest, 5);
		CHECK(!blocked(sig));
		CHECK(signal(sig, SIG_DFL) != SIG_ERR);
	}
}

/* Every signal there is, in every way to send it to oneself. */
static void told(int sig, int code, int value)
{
	runs_are(1);
	CHECK_EQ(seen.sig, sig);
	CHECK_EQ(seen.code, code);
	CHECK_EQ(seen.pid, getpid());
	CHECK_EQ(seen.uid, getuid());
	if (code == SI_QUEUE)
		CHECK_EQ(seen.value, value);
	CHECK(!blocked(sig));
}

static void info(void)
{
	struct sigaction was;
	union sigval v;
	int sig;

	for (sig = 1; sig <= 64; sig++) {
		if (!catchable(sig))
			continue;
		CHECK(sigaction(sig, NULL, &was) == 0);
		install(sig, notes, SA_RESTART);
		CHECK(raise(sig) == 0);
		told(sig, SI_TKILL, 0);
		OK(pthread_kill(pthread_self(), sig));
		told(sig, SI_TKILL, 0);
		CHECK(tgkill(getpid(), gettid(), sig) == 0);
		told(sig, SI_TKILL, 0);
		CHECK(syscall(SYS_tgkill, getpid(), own_tid(), sig) == 0);
		told(sig, SI_TKILL, 0);
		/* Nobody else has it unblocked, so it is ours, and at once. */
		CHECK(kill(getpid(), sig) == 0);
		told(sig, SI_USER, 0);
		v.sival_int = sig * 1000;
		CHECK(sigqueue(getpid(), sig, v) == 0);
		told(sig, SI_QUEUE, sig * 1000);
		v.sival_int = -sig;
		OK(pthread_sigqueue(pthread_self(), sig, v));
		told(sig, SI_QUEUE, -sig);
		CHECK(sigaction(sig, &was, NULL) == 0);
	}
}

/* ---- The mask in the handler --------------------------------------------- */

static __thread sigset_t outside, inside;
static __thread volatile int second, early;

static void after(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	if (seen.inside)
		early = 1;
	second++;
}

static void masked(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	sigset_t now = mask_now();
	int i;

	(void)si;
	seen.inside = 1;
	CHECK(same_set(&now, &inside));
	CHECK(same_set(&uc->uc_sigmask, &outside));
	CHECK(raise(SIGUSR2) == 0);
	CHECK(raise(SIGRTMIN) == 0);
	CHECK(kill(getpid(), SIGRTMIN) == 0);
	CHECK(pending(SIGUSR2) && pending(SIGRTMIN) && !pending(sig));
	for (i = 0; i < 3; i++) {
		sched_yield();
		if (i == 1)
			usleep(10);
		now = mask_now();
		CHECK(same_set(&now, &inside));
	}
	CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
	CHECK(same_set(&now, &inside));
	/* What a handler does to the mask ends with it. */
	block(SIGHUP);
	seen.inside = 0;
	seen.runs++;
}

static void mask(void)
{
	const int also[] = { SIGUSR2, SIGRTMIN, SIGTERM };
	sigset_t was = mask_now(), sa = SET(SIGUSR2, SIGRTMIN, SIGTERM), now;
	int round;
	size_t i;

	install(SIGUSR2, after, 0);
	install(SIGRTMIN, after, 0);
	unblock(SIGHUP);
	for (round = 0; round < 4; round++) {
		if (round >= 2)
			sa = full_set();
		install_with(SIGUSR1, masked, round & 1 ? SA_NODEFER : 0, sa);
		outside = inside = mask_now();
		if (round >= 2) {
			inside = sa;
		} else {
			for (i = 0; i < 3; i++)
				sigaddset(&inside, also[i]);
			if (!(round & 1))
				sigaddset(&inside, SIGUSR1);
		}
		second = early = 0;
		CHECK(raise(SIGUSR1) == 0);
		runs_are(1);
		CHECK(!early);
		CHECK_EQ(second, 3);
		now = mask_now();
		CHECK(same_set(&now, &outside));
		sched_yield();
		now = mask_now();
		CHECK(same_set(&now, &outside));
		block(SIGALRM); /* the next round from another mask */
	}
	set_mask(was);
	CHECK(signal(SIGUSR1, SIG_DFL) != SIG_ERR);
	CHECK(signal(SIGUSR2, SIG_DFL) != SIG_ERR);
	CHECK(signal(SIGRTMIN, SIG_DFL) != SIG_ERR);
}

/* Compute, long enough to be preempted for others. */
static void compute(void)
{
	struct timespec end = in_ms(CLOCK_MONOTONIC, 15);

	while (!reached(CLOCK_MONOTONIC, &end))
		;
}

/* ---- Ignored, and what is not a handler's -------------------------------- */

static void ignored(void)
{
	struct sigaction act;
	siginfo_t si;
	int p[2], i;
	pid_t pid;

	/* To ignore it discards what waits. */
	install(SIGUSR1, notes, 0);
	block(SIGUSR1);
	CHECK(raise(SIGUSR1) == 0 && kill(getpid(), SIGUSR1) == 0);
	CHECK(pending(SIGUSR1));
	CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	CHECK(!pending(SIGUSR1));
	install(SIGUSR1, notes, 0);
	unblock(SIGUSR1);
	runs_are(0);
	CHECK(raise(SIGUSR1) == 0);
	runs_are(1);
	CHECK(signal(SIGUSR1, SIG_DFL) != SIG_ERR);

	/* A write that nobody reads. */
	CHECK(pipe(p) == 0 && close(p[0]) == 0);
	install(SIGPIPE, notes, SA_RESTART);
	for (i = 0; i < 3; i++) {
		ERR(EPIPE, write(p[1], "x", 1));
		runs_are(1);
		CHECK_EQ(seen.sig, SIGPIPE);
	}
	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	ERR(EPIPE, write(p[1], "x", 1));
	CHECK(signal(SIGPIPE, SIG_DFL) == SIG_IGN);
	block(SIGPIPE);
	ERR(EPIPE, write(p[1], "x", 1));
	compute(); /* it is this thread's wherever that goes on */
	CHECK(pending(SIGPIPE));
	CHECK_EQ(sigwaitinfo(&(sigset_t[]){ SET(SIGPIPE) }[0], &si), SIGPIPE);
	unblock(SIGPIPE);
	CHECK(close(p[1]) == 0);

	/* Children that leave nothing behind. */
	for (i = 0; i < 2; i++) {
		memset(&act, 0, sizeof(act));
		act.sa_handler = i ? SIG_IGN : SIG_DFL;
		act.sa_flags = i ? 0 : SA_NOCLDWAIT;
		CHECK(sigaction(SIGCHLD, &act, NULL) == 0);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			_exit(0);
		ERR(ECHILD, waitpid(pid, NULL, 0));
	}
	CHECK(signal(SIGCHLD, SIG_DFL) == SIG_IGN);
}

/* The default comes back: seen from outside, in a child. */
static void dies(int sig, int by_kill)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		install(sig, notes, 0);
		CHECK(raise(sig) == 0);
		runs_are(1);
		CHECK(signal(sig, SIG_IGN) != SIG_ERR);
		CHECK(raise(sig) == 0);
		runs_are(0);
		if (by_kill) {
			CHECK(signal(sig, SIG_DFL) == SIG_IGN);
			kill(getpid(), sig);
		} else {
			install(sig, notes, SA_RESETHAND);
			CHECK(raise(sig) == 0);
			runs_are(1);
			raise(sig);
		}
		_exit(99);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), sig);
}

static void defaults(void)
{
	dies(SIGUSR1, 0);
	dies(SIGTERM, 1);
	dies(SIGRTMIN + 3, 0);
	dies(SIGALRM, 1);
}

/* ---- Everything, three times --------------------------------------------- */

static void all(void)
{
	section("query");
	query();
	section("errors");
	errors();
	section("older calls");
	sets();
	older();
	section("flags");
	flags();
	section("info");
	info();
	section("mask");
	mask();
	section("ignored");
	ignored();
	section("defaults");
	defaults();
}

static void *in_thread(void *arg)
{
	set_mask(SET());
	all();
	CHECK(raise(SIGHUP) == 0);
	runs_are(1);
	OK(pthread_kill(pthread_self(), SIGURG));
	runs_are(1);
	return arg;
}

int main(void)
{
	sigset_t was = mask_now();

	signal(SIGUSR1, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	section("before any thread");
	all();
	CHECK(signal(SIGHUP, plain) != SIG_ERR);
	install(SIGURG, notes, SA_RESTART);
	begin_bystanders();
	threads = 1;
	section("in main");
	is(SIGHUP, plain, SA_RESTART, SET(SIGHUP));
	all();
	section("in a thread");
	set_mask(full_set());
	join(start(in_thread, NULL));
	set_mask(was);
	is(SIGHUP, plain, SA_RESTART, SET(SIGHUP));
	is(SIGURG, notes, SA_RESTART | SA_SIGINFO, SET());
	end_bystanders();
	return 0;
}
