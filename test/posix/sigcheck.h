/*
 * sigcheck.h - what the programs about signals share, beside check.h.
 */
#ifndef SIGCHECK_H
#define SIGCHECK_H

#include "check.h"
#include <sys/syscall.h>
#include <ucontext.h>

/* The wait beside threads that compute: a yield would wait for all of them. */
#define NAP_UNTIL(cond)                                                        \
	do {                                                                   \
		while (!(cond))                                                \
			usleep(20);                                            \
	} while (0)

typedef void handler_fn(int sig, siginfo_t *si, void *context);

/* SET(SIGUSR1, SIGUSR2): the set of these, of none with SET(). */
#define SET(...) set_of((const int[]){ __VA_ARGS__ __VA_OPT__(, ) 0 })
static UNUSED sigset_t set_of(const int *sig)
{
	sigset_t set;

	CHECK(sigemptyset(&set) == 0);
	for (; *sig; sig++)
		CHECK(sigaddset(&set, *sig) == 0);
	return set;
}

static UNUSED sigset_t full_set(void)
{
	sigset_t set;

	CHECK(sigfillset(&set) == 0);
	return set;
}

/* Those that can be caught; two more are libc's own. */
static UNUSED int catchable(int sig)
{
	return sig > 0 && sig <= 64 && sig != SIGKILL && sig != SIGSTOP &&
	       (sig <= SIGSYS || sig >= SIGRTMIN);
}

/* The same members, of all that a program can put into a set. */
static UNUSED int same_set(const sigset_t *a, const sigset_t *b)
{
	int sig;

	for (sig = 1; sig <= 64; sig++)
		if (catchable(sig) &&
		    sigismember(a, sig) != sigismember(b, sig))
			return 0;
	return !sigismember(a, SIGKILL) && !sigismember(a, SIGSTOP);
}

static UNUSED void install_with(int sig, handler_fn *fn, int flags,
				sigset_t mask)
{
	struct sigaction act;

	memset(&act, 0, sizeof(act));
	act.sa_sigaction = fn;
	act.sa_flags = flags | SA_SIGINFO;
	act.sa_mask = mask;
	if (sigaction(sig, &act, NULL))
		check_fail(__FILE__, __LINE__, "sigaction(%d): %s", sig,
			   strerror(errno));
}

static UNUSED void install(int sig, handler_fn *fn, int flags)
{
	install_with(sig, fn, flags, SET());
}

static UNUSED sigset_t mask_now(void)
{
	sigset_t set;

	OK(pthread_sigmask(SIG_SETMASK, NULL, &set));
	return set;
}

static UNUSED void set_mask(sigset_t set)
{
	OK(pthread_sigmask(SIG_SETMASK, &set, NULL));
}

static UNUSED void block(int sig)
{
	sigset_t set = SET(sig);

	OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
}

static UNUSED void unblock(int sig)
{
	sigset_t set = SET(sig);

	OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
}

static UNUSED int blocked(int sig)
{
	sigset_t set = mask_now();

	return sigismember(&set, sig);
}

static UNUSED int pending(int sig)
{
	sigset_t set;

	CHECK(sigpending(&set) == 0);
	return sigismember(&set, sig);
}

/* sig to all of them, again and again, until each has gone. */
static UNUSED void send_until_gone(const pthread_t *t, int *gone, int n,
				   int sig)
{
	int i, all;

	do {
		for (i = 0, all = 1; i < n; i++) {
			if (LOAD(gone[i]))
				continue;
			OK(pthread_kill(t[i], sig));
			all = 0;
		}
		usleep(50);
	} while (!all);
	for (i = 0; i < n; i++)
		join(t[i]);
}

static UNUSED int own_tid(void)
{
	return (int)syscall(SYS_gettid);
}

#endif
