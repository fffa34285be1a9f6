/* process.c - children: fork, vfork, clone, and what libc makes of them.
 *
 * The real fork runs with the world running and no lock of ours held, as natively
 * the other threads are simply gone in the child. The caller goes on there with its
 * G's identity as the process's only thread, without a scheduler, until it creates a
 * thread. The application's own child handlers already lock and wake, so ours must
 * be the first: glibc runs them in the order of registration, hence the wrapper.
 *
 * The child of a vfork runs in the parent's memory, on this thread, until it execs:
 * self.vforked makes every wrapper that keeps a record (actions, masks, queues) the
 * plain call meanwhile. The P is given away: the kernel thread waits for the child.
 */
#include "shim/identity.h"
#include "shim/shim.h"
#include <spawn.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>

extern void *__dso_handle __attribute__((visibility("hidden")));

/* No handler of the program runs from here until the child has dropped the parent's
 * scheduler: it would be sent to Gs that are not there. */
static void before(void)
{
	uint64_t all = ~0ul;

	if (self.fn)
		identity_forks();
	REAL(syscall)(SYS_rt_sigprocmask, SIG_SETMASK, &all, &self.forkmask, 8);
}

static void after(void)
{
	REAL(syscall)(SYS_rt_sigprocmask, SIG_SETMASK, &self.forkmask, NULL, 8);
}

static void child(void)
{
	int e = errno;
	uint64_t mask;

	once_fork();
	mutex_fork();
	blockingfork();
	loaderfork();
	connectfork();
	if (schedstarted) {
		if (self.gp)
			identity_fork(mtp());
		imagesfork();
		schedfork();
		self.wired = 0;
		self.schedwired = self.kept = self.handsdown = false;
		self.vforked = false;
		self.tid = 0;
	}
	if (ownsignals() && self.gp) {
		mask = ggetsigmask(); /* the kernel's may have been another */
		gsigmask(SIG_SETMASK, &mask, NULL);
	} else {
		after();
	}
	errno = e;
}

void shimatfork(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	REAL(__register_atfork)(before, after, child, &__dso_handle);
}

/* What pthread_atfork, linked statically into every object, calls. */
EXPORT int __register_atfork(void (*prepare)(void), void (*parent)(void),
			     void (*childfn)(void), void *dso)
{
	shimatfork();
	return REAL(__register_atfork)(prepare, parent, childfn, dso);
}

/* ---- fork ------------------------------------------------------------------------- */

/* It holds all locks of malloc's and of stdio's: a thread preempted in there would keep
 * the others, and those that make kernel threads, waiting for it. One in a declared call
 * is not preempted. */
EXPORT pid_t fork(void)
{
	NATIVELY(fork);
	if (!ong())
		return REAL(fork)();
	return HANDOFF(REAL(fork)());
}
ALIAS_OF(__fork, fork);

/* Where libc runs no handlers, so not ours either. Within the call: the child has no P
 * to come back to. */
#define FORKED(call)                                                           \
	({                                                                     \
		before();                                                      \
		__typeof__(call) r_ = call;                                    \
                                                                               \
		if (r_ == 0)                                                   \
			child();                                               \
		else                                                           \
			after();                                               \
		r_;                                                            \
	})

EXPORT pid_t _Fork(void)
{
	NATIVELY(_Fork);
	if (!ong())
		return FORKED(REAL(_Fork)());
	return HANDOFF(FORKED(REAL(_Fork)()));
}

static long rawfork(long n, const long *a)
{
	return FORKED(REAL(syscall)(n, a[0], a[1], a[2], a[3], a[4], a[5]));
}

/* By the system call, which libc knows nothing of. */
bool forkcall(long n, const long *a, long *res)
{
	if (!schedstarted || self.vforked)
		return false;
	if (n != SYS_fork && (n != SYS_clone || (a[0] & CLONE_VM)) &&
	    (n != SYS_clone3 || (*(const uint64_t *)a[0] & CLONE_VM)))
		return false;
	if (ong())
		*res = HANDOFF(rawfork(n, a));
	else
		*res = rawfork(n, a);
	return true;
}

/* ---- vfork ------------------------------------------------------------------------- */

__attribute__((used)) static void vforkbegin(void)
{
	if (!ong())
		return;
	entersyscallblock();
	gsigvfork(true); /* without a P: nothing moves it to another M meanwhile */
	self.vforked = true;
}

/* In the parent, with what the system call returned. */
__attribute__((used)) static pid_t vforkend(long r)
{
	if (self.vforked) {
		self.vforked = false;
		gsigvfork(false);
		exitsyscall();
	}
	return ret_errno((int)r);
}

/* The child returns first, on this stack: the return address waits in a register,
 * which the child has its own copy of. */
__asm__(".text\n\t"
	".globl vfork\n\t"
	".type vfork, @function\n"
	"vfork:\n\t"
	".cfi_startproc\n\t"
	"subq $8, %rsp\n\t"
	".cfi_adjust_cfa_offset 8\n\t"
	"call vforkbegin\n\t"
	"addq $8, %rsp\n\t"
	".cfi_adjust_cfa_offset -8\n\t"
	"popq %rdi\n\t"
	".cfi_adjust_cfa_offset -8\n\t"
	".cfi_register %rip, %rdi\n\t"
	"movl $58, %eax\n\t" /* SYS_vfork */
	"syscall\n\t"
	"pushq %rdi\n\t"
	".cfi_adjust_cfa_offset 8\n\t"
	".cfi_rel_offset %rip, 0\n\t"
	"testq %rax, %rax\n\t"
	"jz 1f\n\t"
	"movq %rax, %rdi\n\t"
	"subq $8, %rsp\n\t"
	".cfi_adjust_cfa_offset 8\n\t"
	"call vforkend\n\t"
	"addq $8, %rsp\n\t"
	".cfi_adjust_cfa_offset -8\n"
	"1:\tret\n\t"
	".cfi_endproc\n\t"
	".size vfork, .-vfork\n\t"
	".globl __vfork\n\t"
	".set __vfork, vfork");

/* ---- clone ------------------------------------------------------------------------- */

struct begin {
	int (*fn)(void *);
	void *arg;
};

static int cloned(void *arg)
{
	struct begin *b = arg;

	child();
	return b->fn(b->arg);
}

/* Without the memory in common it is a fork; with it, and this thread asleep until the
 * child is done with it, a vfork. The rest makes threads that are none of ours. */
EXPORT int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	struct begin b = { fn, arg };
	pid_t *ptid, *ctid;
	void *tls;
	va_list ap;
	int r;

	va_start(ap, arg);
	ptid = va_arg(ap, pid_t *);
	tls = va_arg(ap, void *);
	ctid = va_arg(ap, pid_t *);
	va_end(ap);
	if (!schedstarted || self.vforked)
		return REAL(clone)(fn, stack, flags, arg, ptid, tls, ctid);
	if (fn && !(flags & CLONE_VM))
		return HANDOFF(FORKED(REAL(clone)(cloned, stack, flags, &b,
						  ptid, tls, ctid)));
	if (!(flags & CLONE_VFORK))
		return REAL(clone)(fn, stack, flags, arg, ptid, tls, ctid);
	vforkbegin();
	r = REAL(clone)(fn, stack, flags, arg, ptid, tls, ctid);
	if (r < 0)
		r = -errno;
	return vforkend(r);
}

/* ---- libc's own uses of it --------------------------------------------------------- */

/* A call that makes a child, in which it may be cancelled. */
static void spawned(bool *begun)
{
	int e = errno;

	if (*begun)
		gsigspawn(false);
	errno = e;
}

static bool spawns(void)
{
	if (!ownsignals() || !self.gp)
		return false;
	gsigspawn(true);
	return true;
}

/* Within the declared call: preemption may be off meanwhile, so whoever comes back to wait
 * for a P would wait until the others give one up by themselves. */
#define SPAWN(call)                                                            \
	HANDOFF(({                                                             \
		bool begun_ __attribute__((cleanup(spawned), unused)) =        \
			spawns();                                              \
		call;                                                          \
	}))

/* It ignores two signals meanwhile, by calls that we do not see; it may be cancelled. */
static void noticeagain(uint64_t *ignored)
{
	int e = errno;

	gsigignore(*ignored, false);
	errno = e;
}

EXPORT int system(const char *command)
{
	NATIVELY(system, command);
	uint64_t set = 1ul << (SIGINT - 1) | 1ul << (SIGQUIT - 1);

	if (!ong())
		return SPAWN(REAL(system)(command));
	uint64_t ignored __attribute__((cleanup(noticeagain), unused)) = set;

	gsigignore(set, true);
	return SPAWN(REAL(system)(command));
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	NATIVELY(popen, command, mode);

	return SPAWN(REAL(popen)(command, mode));
}

EXPORT int pclose(FILE *f)
{
	NATIVELY(pclose, f);

	return HANDOFF(REAL(pclose)(f));
}

EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path,
		       const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *restrict attr,
		       char *const argv[restrict], char *const envp[restrict])
{
	NATIVELY(posix_spawn, pid, path, actions, attr, argv, envp);

	return SPAWN(REAL(posix_spawn)(pid, path, actions, attr, argv, envp));
}

EXPORT int posix_spawnp(pid_t *pid, const char *file,
			const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[],
			char *const envp[])
{
	NATIVELY(posix_spawnp, pid, file, actions, attr, argv, envp);

	return SPAWN(REAL(posix_spawnp)(pid, file, actions, attr, argv, envp));
}
