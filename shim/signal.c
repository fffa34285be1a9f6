/* signal.c - signals as POSIX has them: actions, masks, waiting. Sending: kill.c.
 *
 * From the first thread on every handler enters through core (core/signal.c), which
 * keeps the program's own actions, a mask and an alternate stack per thread, and a
 * queue of signals sent to one thread. Before that all is libc's. libc's other ways to
 * set an action or a mask (signal, sigset, longjmp, setcontext ...) call sigaction
 * and sigprocmask inside libc, so they are done here in terms of ours.
 */
#include "shim/shim.h"
#include <setjmp.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

static void setof(sigset_t *set, uint64_t m)
{
	memset(set, 0, sizeof(*set));
	memcpy(set, &m, sizeof(m));
}

/* ---- actions --------------------------------------------------------------------- */

#define SA_RESTORER_ 0x04000000

EXPORT int sigaction(int sig, const struct sigaction *act,
		     struct sigaction *old)
{
	NATIVELY(sigaction, sig, act, old);
	struct sigact a, o;
	int e;

	if (!ownsignals() || sig == 32 || sig == 33)
		return REAL(sigaction)(sig, act, old);
	if (act) {
		a.handler = (void *)act->sa_handler;
		a.mask = maskof(&act->sa_mask);
		a.flags = (unsigned)act->sa_flags & ~SA_RESTORER_;
	}
	e = gsigaction(sig, act ? &a : NULL, old ? &o : NULL);
	if (e == 0 && old) {
		old->sa_handler = (sighandler_t)o.handler;
		setof(&old->sa_mask, o.mask);
		old->sa_flags = (int)o.flags;
		old->sa_restorer = NULL;
	}
	return ret_errno(e);
}
ALIAS_OF(__sigaction, sigaction);

/* Signals that siginterrupt has made interrupt; signal() heeds it. */
static sigset_t interrupts;

static sighandler_t set(int sig, sighandler_t handler, int flags, bool mask)
{
	struct sigaction a = { .sa_flags = flags }, old;

	if (handler == SIG_ERR) {
		errno = EINVAL;
		return SIG_ERR;
	}
	a.sa_handler = handler;
	if (mask && sigaddset(&a.sa_mask, sig) < 0)
		return SIG_ERR;
	return sigaction(sig, &a, &old) ? SIG_ERR : old.sa_handler;
}

EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	NATIVELY(signal, sig, handler);
	if (!ownsignals())
		return REAL(signal)(sig, handler);
	return set(sig, handler,
		   sigismember(&interrupts, sig) == 1 ? 0 : SA_RESTART, true);
}
ALIAS_OF(bsd_signal, signal);
ALIAS_OF(ssignal, signal);

EXPORT sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	NATIVELY(sysv_signal, sig, handler);
	if (!ownsignals())
		return REAL(sysv_signal)(sig, handler);
	return set(sig, handler, (int)(SA_RESETHAND | SA_NODEFER), false);
}
ALIAS_OF(__sysv_signal, sysv_signal);

EXPORT int siginterrupt(int sig, int interrupt)
{
	NATIVELY(siginterrupt, sig, interrupt);
	struct sigaction a;

	/* libc's signal() before we start heeds libc's own record */
	if (!ownsignals())
		return REAL(siginterrupt)(sig, interrupt);
	if (sigaction(sig, NULL, &a))
		return -1;
	if (interrupt) {
		sigaddset(&interrupts, sig);
		a.sa_flags &= ~SA_RESTART;
	} else {
		sigdelset(&interrupts, sig);
		a.sa_flags |= SA_RESTART;
	}
	return sigaction(sig, &a, NULL);
}

static int change(int how, int sig)
{
	sigset_t s;

	sigemptyset(&s);
	if (sigaddset(&s, sig))
		return -1;
	return sigprocmask(how, &s, NULL);
}

/* BSD's masks: an int. */
EXPORT int sigsetmask(int mask)
{
	NATIVELY(sigsetmask, mask);
	sigset_t set, old;

	setof(&set, (uint32_t)mask);
	sigprocmask(SIG_SETMASK, &set, &old);
	return (int)maskof(&old);
}

EXPORT int sigblock(int mask)
{
	NATIVELY(sigblock, mask);
	sigset_t set, old;

	setof(&set, (uint32_t)mask);
	sigprocmask(SIG_BLOCK, &set, &old);
	return (int)maskof(&old);
}

EXPORT int sighold(int sig)
{
	NATIVELY(sighold, sig);
	return change(SIG_BLOCK, sig);
}

EXPORT int sigrelse(int sig)
{
	NATIVELY(sigrelse, sig);
	return change(SIG_UNBLOCK, sig);
}

EXPORT int sigignore(int sig)
{
	NATIVELY(sigignore, sig);
	struct sigaction a = { .sa_flags = 0 };

	a.sa_handler = SIG_IGN;
	return sigaction(sig, &a, NULL);
}

EXPORT sighandler_t sigset(int sig, sighandler_t handler)
{
	NATIVELY(sigset, sig, handler);
	sighandler_t old;
	sigset_t s, was;

	if (!ownsignals())
		return REAL(sigset)(sig, handler);
	sigemptyset(&s);
	if (sigaddset(&s, sig))
		return SIG_ERR;
	if (handler == SIG_HOLD) {
		struct sigaction a;

		if (sigprocmask(SIG_BLOCK, &s, &was))
			return SIG_ERR;
		if (sigismember(&was, sig))
			return SIG_HOLD;
		return sigaction(sig, NULL, &a) ? SIG_ERR : a.sa_handler;
	}
	old = set(sig, handler, 0, false);
	if (old == SIG_ERR || sigprocmask(SIG_UNBLOCK, &s, &was))
		return SIG_ERR;
	return sigismember(&was, sig) ? SIG_HOLD : old;
}

EXPORT int sigaltstack(const stack_t *ss, stack_t *old)
{
	NATIVELY(sigaltstack, ss, old);
	struct sigalt a, o;
	int e;

	if (!ownsignals() || !self.gp)
		return REAL(sigaltstack)(ss, old);
	if (ss)
		a = (struct sigalt){ (uintptr_t)ss->ss_sp, ss->ss_size,
				     ss->ss_flags };
	e = gsigaltstack(ss ? &a : NULL, old ? &o : NULL,
			 (uintptr_t)__builtin_frame_address(0));
	if (e == 0 && old)
		*old = (stack_t){ .ss_sp = (void *)o.sp,
				  .ss_flags = o.flags,
				  .ss_size = o.size };
	return ret_errno(e);
}

/* ---- masks ------------------------------------------------------------------------- */

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	NATIVELY(pthread_sigmask, how, set, old);
	uint64_t new = 0, was;

	if (!ownsignals())
		return REAL(pthread_sigmask)(how, set, old);
	if (set) {
		if (how != SIG_BLOCK && how != SIG_UNBLOCK &&
		    how != SIG_SETMASK)
			return EINVAL;
		new = maskof(set);
	}
	gsigmask(how, set ? &new : NULL, &was);
	if (old)
		setof(old, was);
	return 0;
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	NATIVELY(sigprocmask, how, set, old);
	return ret_errno(-pthread_sigmask(how, set, old));
}

/* A jump restores the mask behind our back: let the record follow. */
static void willrestore(const sigset_t *set)
{
	if (ownsignals())
		pthread_sigmask(SIG_SETMASK, set, NULL);
}

EXPORT _Noreturn void siglongjmp(sigjmp_buf env, int val)
{
	if (env->__mask_was_saved)
		willrestore((sigset_t *)(void *)&env->__saved_mask);
	callleave();
	REAL(siglongjmp)(env, val);
	__builtin_unreachable();
}
ALIAS_OF(longjmp, siglongjmp);
ALIAS_OF(_longjmp, siglongjmp);

static bool onaltstack(void)
{
	struct sigalt a;

	gsigaltstack(NULL, &a, (uintptr_t)__builtin_frame_address(0));
	return a.flags & SS_ONSTACK;
}

EXPORT _Noreturn void __longjmp_chk(struct __jmp_buf_tag env[1], int val)
{
	if (env->__mask_was_saved)
		willrestore((sigset_t *)(void *)&env->__saved_mask);
	callleave();
	/* libc's allows any jump off an alternate stack, if the kernel says so */
	if (ong() && onaltstack())
		REAL(siglongjmp)(env, val);
	REAL(__longjmp_chk)(env, val);
	__builtin_unreachable();
}

/* A function that makecontext began and that returns goes to libc's __start_context,
 * which resumes uc_link with a setcontext that we do not see. So a context that has
 * not begun, which its return address tells, gets ours. */
__attribute__((used)) static void linkcontext(const ucontext_t *link)
{
	if (link) {
		willrestore(&link->uc_sigmask);
		REAL(setcontext)(link);
	}
	exit(0);
}

__attribute__((naked, used)) static void startcontext(void)
{
	/* rbx points to uc_link, as libc's makecontext has it */
	__asm__("movq (%rbx), %rdi\n\t"
		"leaq (%rbx), %rsp\n\t"
		"andq $-16, %rsp\n\t"
		"call linkcontext\n\t"
		"ud2");
}

#define RETURN_ADDRESS(uc) (*(void **)(uc)->uc_mcontext.gregs[REG_RSP])

static void watchlink(const ucontext_t *uc)
{
	static void *libcs;

	if (!libcs) {
		char stack[1024] __attribute__((aligned(16)));
		ucontext_t u;

		getcontext(&u);
		u.uc_stack.ss_sp = stack;
		u.uc_stack.ss_size = sizeof(stack);
		u.uc_link = NULL;
		makecontext(&u, (void (*)(void))startcontext, 0);
		libcs = RETURN_ADDRESS(&u);
	}
	if (RETURN_ADDRESS(uc) == libcs)
		RETURN_ADDRESS(uc) = (void *)startcontext;
}

EXPORT int setcontext(const ucontext_t *uc)
{
	NATIVELY(setcontext, uc);
	if (ownsignals())
		watchlink(uc);
	callleave();
	willrestore(&uc->uc_sigmask);
	return REAL(setcontext)(uc);
}

/* Before, since it does not return here; in the record alone, since libc's saves the
 * kernel's in old as it sets the new one. */
EXPORT int swapcontext(ucontext_t *old, const ucontext_t *uc)
{
	NATIVELY(swapcontext, old, uc);
	uint64_t was;

	callleave();
	if (ownsignals()) {
		watchlink(uc);
		if (maskof(&uc->uc_sigmask) != ggetsigmask())
			gsigmaskcall(maskof(&uc->uc_sigmask), &was);
	}
	return REAL(swapcontext)(old, uc);
}

/* ---- waiting ---------------------------------------------------------------------------- */

EXPORT int sigpending(sigset_t *set)
{
	NATIVELY(sigpending, set);
	int r = REAL(sigpending)(set);

	if (r == 0 && ong())
		setof(set, maskof(set) | gsigpending());
	return r;
}

EXPORT int sigtimedwait(const sigset_t *set, siginfo_t *info,
			const struct timespec *timeout)
{
	NATIVELY(sigtimedwait, set, info, timeout);
	int64_t deadline = NEVER;
	siginfo_t si;
	int r;

	if (!ong())
		return REAL(sigtimedwait)(set, info, timeout);
	if (timeout) {
		if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
		    timeout->tv_nsec > 999999999)
			return ret_errno(-EINVAL);
		deadline = deadlinein(timeout);
	}
	cancelpoint();
	r = gsigwait(maskof(set), &si, deadline);
	if (r == -ECANCELED) {
		cancelpoint();
		r = -EINTR;
	}
	if (r > 0) {
		if (si.si_code == SI_TKILL)
			si.si_code = SI_USER; /* as libc's has it */
		if (info)
			*info = si;
	}
	return ret_errno(r);
}

EXPORT int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	NATIVELY(sigwaitinfo, set, info);
	return sigtimedwait(set, info, NULL);
}

EXPORT int sigwait(const sigset_t *set, int *sig)
{
	NATIVELY(sigwait, set, sig);
	siginfo_t si;
	int r, e = errno;

	if (!ong())
		return REAL(sigwait)(set, sig);
	do
		r = sigtimedwait(set, &si, NULL);
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		r = errno;
		errno = e;
		return r;
	}
	errno = e;
	*sig = r;
	return 0;
}

EXPORT int sigsuspend(const sigset_t *set)
{
	NATIVELY(sigsuspend, set);
	if (!ownsignals())
		return REAL(sigsuspend)(set);
	if (!ong()) /* a fork child: the kernel's wait, our record */
		return MASKED(set, REAL(sigsuspend)(set));
	cancelpoint();
	gsigsuspend(maskof(set));
	cancelpoint();
	return ret_errno(-EINTR);
}
ALIAS_OF(__sigsuspend, sigsuspend);

/* X/Open's takes a signal to let in, BSD's the first 32 bits of a mask. */
EXPORT int __sigpause(int arg, int issig)
{
	NATIVELY(__sigpause, arg, issig);
	sigset_t set;

	if (issig) {
		if (sigprocmask(SIG_BLOCK, NULL, &set) || sigdelset(&set, arg))
			return -1;
	} else {
		setof(&set, (uint32_t)arg);
	}
	return sigsuspend(&set);
}

EXPORT int __xpg_sigpause(int sig)
{
	NATIVELY(__xpg_sigpause, sig);
	return __sigpause(sig, 1);
}

#undef sigpause /* the header makes it another name of X/Open's */
EXPORT int bsd_sigpause(int mask) __asm__("sigpause");
EXPORT int bsd_sigpause(int mask)
{
	return __sigpause(mask, 0);
}

EXPORT int pause(void)
{
	NATIVELY(pause);
	if (!ong())
		return REAL(pause)();
	cancelpoint();
	gsigsuspend(ggetsigmask());
	cancelpoint();
	return ret_errno(-EINTR);
}
