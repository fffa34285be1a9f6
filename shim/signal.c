/* signal.c - signal masks of threads, and signals sent to a given one.
 *
 * A mask is the G's and follows it (core/sigmask.c). A signal for a G that is parked
 * is remembered and its wait is ended: the thread raises it itself where it waits.
 */
#include "shim/shim.h"
#include <setjmp.h>
#include <string.h>
#include <sys/syscall.h>

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	NATIVELY(pthread_sigmask, how, set, old);
	uint64_t new = 0, was;

	if (!schedstarted || !self.gp)
		return REAL(pthread_sigmask)(how, set, old);
	if (set) {
		if (how != SIG_BLOCK && how != SIG_UNBLOCK &&
		    how != SIG_SETMASK)
			return EINVAL;
		memcpy(&new, set, sizeof(new));
	}
	gsigmask(how, set ? &new : NULL, &was);
	if (old) {
		memset(old, 0, sizeof(*old));
		memcpy(old, &was, sizeof(was));
	}
	return 0;
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	NATIVELY(sigprocmask, how, set, old);
	return ret_errno(-pthread_sigmask(how, set, old));
}

/* The jump restores the mask behind our back: let the record follow. */
static void restoremask(struct __jmp_buf_tag *env)
{
	if (env->__mask_was_saved && schedstarted && self.gp)
		pthread_sigmask(SIG_SETMASK,
				(sigset_t *)(void *)&env->__saved_mask, NULL);
}

EXPORT _Noreturn void siglongjmp(sigjmp_buf env, int val)
{
	restoremask(env);
	REAL(siglongjmp)(env, val);
	__builtin_unreachable();
}
ALIAS_OF(longjmp, siglongjmp);
ALIAS_OF(_longjmp, siglongjmp);

EXPORT _Noreturn void __longjmp_chk(struct __jmp_buf_tag env[1], int val)
{
	restoremask(env);
	REAL(__longjmp_chk)(env, val);
	__builtin_unreachable();
}

static void raiseself(int sig)
{
	REAL(syscall)(SYS_tgkill, getpid(), REAL(syscall)(SYS_gettid), sig);
}

void sigpoint(void)
{
	uint64_t p = __atomic_exchange_n(&self.pending, 0, __ATOMIC_ACQ_REL);
	int e = errno;

	while (p) {
		int sig = __builtin_ctzl(p) + 1;

		p &= p - 1;
		raiseself(sig);
	}
	errno = e;
}

EXPORT int pthread_kill(pthread_t pt, int sig)
{
	NATIVELY(pthread_kill, pt, sig);
	struct thread *t = threadof(pt);
	int e = errno, tid;

	if (!schedstarted || !t->gp)
		return REAL(pthread_kill)(pt, sig);
	if (sig < 0 || sig > 64 || sig == 32 || sig == 33)
		return EINVAL;
	if (t->state == FREED)
		return ESRCH;
	if (sig == 0 || t->state == EXITED)
		return 0;
	if (t == &self) {
		raiseself(sig);
	} else if ((tid = gtid(t->gp))) {
		REAL(syscall)(SYS_tgkill, getpid(), tid, sig);
	} else {
		__atomic_fetch_or(&t->pending, 1ul << (sig - 1),
				  __ATOMIC_SEQ_CST);
		ginterrupt(t->gp, -EINTR, true);
	}
	errno = e;
	return 0;
}

EXPORT int pthread_sigqueue(pthread_t pt, int sig, const union sigval value)
{
	NATIVELY(pthread_sigqueue, pt, sig, value);
	struct thread *t = threadof(pt);
	siginfo_t si = { .si_signo = sig, .si_code = SI_QUEUE };
	int tid, e = errno, r = 0;

	if (!schedstarted || !t->gp)
		return REAL(pthread_sigqueue)(pt, sig, value);
	if (sig < 0 || sig > 64 || sig == 32 || sig == 33)
		return EINVAL;
	if (t->state == FREED)
		return ESRCH;
	tid = t == &self ? (int)REAL(syscall)(SYS_gettid) : gtid(t->gp);
	if (!tid)
		return pthread_kill(pt, sig); /* parked: without the value */
	si.si_pid = getpid();
	si.si_uid = getuid();
	si.si_value = value;
	if (REAL(syscall)(SYS_rt_tgsigqueueinfo, getpid(), tid, sig, &si))
		r = errno;
	errno = e;
	return r;
}
