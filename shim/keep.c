/* keep.c - what the kernel knows by thread, and does not let anybody take back.
 *
 * Who changes credentials, capabilities, namespaces, filters, policies of memory or of
 * input and output, ... of one thread, or has the kernel remember that thread, keeps its
 * kernel thread from then on, which ends with it: nobody else must have what was changed.
 * What the kernel hands down to the threads that a thread makes (self.handsdown) it has
 * to hand down here, too: kernel threads are made by such a thread itself for those that
 * it creates. A change that is refused keeps nobody.
 * Numbers of threads in these calls are turned into the kernel's: the caller's own, which
 * keeps it, and those of threads that have a kernel thread for good. Others have none
 * that one could tell the kernel: ESRCH.
 */
#include "shim/shim.h"
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NOBODY INT32_MAX /* no thread's number */
#define ARCH_SET_GS 0x1001
#define ARCH_SET_CPUID 0x1012
/* newer than the headers may be */
#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif
#ifndef SYS_lsm_set_self_attr
#define SYS_lsm_set_self_attr 460
#endif

enum kind { NOTHING, KEEPS, HANDSDOWN };

struct kept {
	bool kept, handsdown;
};

static struct kept keep(enum kind kind)
{
	struct kept was = { self.kept, self.handsdown };

	if (kind == NOTHING || !ong())
		return was;
	self.handsdown |= kind == HANDSDOWN;
	self.kept = true;
	gokeep();
	return was;
}

static void unkeep(struct kept was)
{
	int e = errno;

	self.handsdown = was.handsdown;
	if (self.kept && !was.kept)
		gounkeep();
	self.kept = was.kept;
	errno = e;
}

/* The caller keeps its kernel thread if the call, which returns -1 where it fails, does
 * something. */
#define KEEPING(kind, call)                                                    \
	({                                                                     \
		struct kept was_ = keep(kind);                                 \
		__typeof__(call) r_ = call;                                    \
                                                                               \
		if (r_ == (__typeof__(r_))-1)                                  \
			unkeep(was_);                                          \
		r_;                                                            \
	})

int kerneltid(int tid)
{
	struct thread *t;

	if (!ong() || !istid(tid))
		return tid;
	t = threadoftid(tid);
	if (t == &self) {
		keep(KEEPS);
		return gokeep();
	}
	if (t && (t->kept || t->wired || t->schedwired))
		return gtid(t->gp);
	return tid == getpid() ? tid : NOBODY;
}

int processtid(int tid)
{
	if (tid <= (int)TIDBASE || !istid(tid))
		return tid;
	return threadoftid(tid) ? getpid() : NOBODY;
}

/* To be looked at only: who keeps none has what all have. */
static int looktid(int tid)
{
	struct thread *t = istid(tid) ? threadoftid(tid) : NULL;

	if (tid == 0 || t == &self)
		return 0;
	if (t && (t->kept || t->wired || t->schedwired))
		return gtid(t->gp);
	return t && tid != getpid() ? gsysmontid() : tid;
}

int ourtid(int tid)
{
	struct g *gp;

	for (uint32_t id = 1; ong() && (id == 1 || (gp = gbynumber(id))); id++) {
		struct thread *t;

		gp = id == 1 ? gmain() : gp;
		if (!gp || gtid(gp) != tid)
			continue;
		t = threadof((pthread_t)gtp(gp));
		if (t->gp == gp && t->kept)
			return tidof(t);
	}
	return tid;
}

/* ---- libc's functions --------------------------------------------------------------- */

int keepprctl(int op, unsigned long a[4])
{
	enum kind kind = NOTHING;

	switch (op) {
	case PR_SET_PDEATHSIG:
	case PR_TASK_PERF_EVENTS_DISABLE:
	case PR_TASK_PERF_EVENTS_ENABLE:
		kind = KEEPS;
		break;
	case PR_SET_NO_NEW_PRIVS:
		if (REAL(prctl)(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
			break; /* so have all */
		/* fall through */
	case PR_SET_UNALIGN:
	case PR_SET_KEEPCAPS:
	case PR_SET_FPEMU:
	case PR_SET_FPEXC:
	case PR_SET_SECCOMP:
	case PR_CAPBSET_DROP:
	case PR_SET_TSC:
	case PR_SET_SECUREBITS:
	case PR_SET_TIMERSLACK:
	case PR_MCE_KILL:
	case PR_SET_SPECULATION_CTRL:
	case PR_SET_IO_FLUSHER:
	case PR_SET_SYSCALL_USER_DISPATCH:
	case PR_SCHED_CORE:
		kind = HANDSDOWN;
		break;
	case PR_CAP_AMBIENT:
		if (a[0] != PR_CAP_AMBIENT_IS_SET)
			kind = HANDSDOWN;
		break;
	}
	return KEEPING(kind, REAL(prctl)(op, a[0], a[1], a[2], a[3]));
}

EXPORT int unshare(int flags)
{
	NATIVELY(unshare, flags);
	return KEEPING(HANDSDOWN, REAL(unshare)(flags));
}

EXPORT int setns(int fd, int type)
{
	NATIVELY(setns, fd, type);
	return KEEPING(HANDSDOWN, REAL(setns)(fd, type));
}

EXPORT int capset(void *head, const void *data)
{
	NATIVELY(capset, head, data);
	return KEEPING(HANDSDOWN, REAL(capset)(head, data));
}

/* These return what was, and -1 asks for that alone. */
EXPORT int setfsuid(uid_t id)
{
	NATIVELY(setfsuid, id);
	keep(id == (uid_t)-1 ? NOTHING : HANDSDOWN);
	return REAL(setfsuid)(id);
}

EXPORT int setfsgid(gid_t id)
{
	NATIVELY(setfsgid, id);
	keep(id == (gid_t)-1 ? NOTHING : HANDSDOWN);
	return REAL(setfsgid)(id);
}

EXPORT int personality(unsigned long what)
{
	NATIVELY(personality, what);
	return KEEPING(what == 0xffffffff ? NOTHING : HANDSDOWN,
		       REAL(personality)(what));
}

EXPORT int iopl(int level)
{
	NATIVELY(iopl, level);
	return KEEPING(HANDSDOWN, REAL(iopl)(level));
}

EXPORT int ioperm(unsigned long from, unsigned long n, int on)
{
	NATIVELY(ioperm, from, n, on);
	return KEEPING(HANDSDOWN, REAL(ioperm)(from, n, on));
}

/* Who traces is a thread; whom, may be one of another process. */
EXPORT long ptrace(enum __ptrace_request op, ...)
{
	void *addr, *data;
	va_list ap;
	pid_t pid;

	va_start(ap, op);
	pid = va_arg(ap, pid_t);
	addr = va_arg(ap, void *);
	data = va_arg(ap, void *);
	va_end(ap);
	NATIVELY(ptrace, op, pid, addr, data);
	return KEEPING(KEEPS, REAL(ptrace)(op, pid, addr, data));
}

/* The kernel's timer sends its signal to that thread, or counts what it computes. */
EXPORT int timer_create(clockid_t clock, struct sigevent *restrict ev,
			timer_t *restrict timer)
{
	NATIVELY(timer_create, clock, ev, timer);
	struct kept was = { self.kept, self.handsdown };
	struct sigevent own;
	int r;

	if (!ong())
		return REAL(timer_create)(clock, ev, timer);
	if (ev && ev->sigev_notify == SIGEV_THREAD_ID) {
		own = *ev;
		own._sigev_un._tid = kerneltid(own._sigev_un._tid);
		ev = &own;
	}
	r = kernelclock(&clock);
	if (r == 0)
		r = REAL(timer_create)(clock, ev, timer);
	if (r == -1)
		unkeep(was);
	return r;
}

int kernelclock(clockid_t *clock)
{
	struct g *gp;

	if (*clock == CLOCK_THREAD_CPUTIME_ID) {
		keep(KEEPS);
		return 0;
	}
	gp = clockthread(*clock);
	if (!gp)
		return 0;
	*clock = THREAD_CLOCK(kerneltid(tidof(threadof((pthread_t)gtp(gp)))));
	return 0;
}

/* Any thread's number names its process. */
#define OF_PROCESS(type, name, params, ...)                                    \
	EXPORT type name params                                                \
	{                                                                      \
		NATIVELY(name, __VA_ARGS__);                                   \
		pid = processtid(pid);                                         \
		return REAL(name)(__VA_ARGS__);                                \
	}
OF_PROCESS(pid_t, getpgid, (pid_t pid), pid)
ALIAS_OF(__getpgid, getpgid);
OF_PROCESS(pid_t, getsid, (pid_t pid), pid)
OF_PROCESS(int, prlimit,
	   (pid_t pid, enum __rlimit_resource what, const struct rlimit *to,
	    struct rlimit *was),
	   pid, what, to, was)
OF_PROCESS(int, prlimit64,
	   (pid_t pid, enum __rlimit_resource what, const struct rlimit64 *to,
	    struct rlimit64 *was),
	   pid, what, to, was)
OF_PROCESS(ssize_t, process_vm_readv,
	   (pid_t pid, const struct iovec *to, unsigned long nto,
	    const struct iovec *from, unsigned long nfrom, unsigned long flags),
	   pid, to, nto, from, nfrom, flags)
OF_PROCESS(ssize_t, process_vm_writev,
	   (pid_t pid, const struct iovec *from, unsigned long nfrom,
	    const struct iovec *to, unsigned long nto, unsigned long flags),
	   pid, from, nfrom, to, nto, flags)

EXPORT int pidfd_open(pid_t pid, unsigned flags)
{
	NATIVELY(pidfd_open, pid, flags);
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

/* ---- syscall() --------------------------------------------------------------------------- */

static long raw(enum kind kind, long n, long *a)
{
	return KEEPING(kind, REAL(syscall)(n, a[0], a[1], a[2], a[3], a[4], a[5]));
}

/* A call about a thread, whose number is the argument. */
static long about(enum kind kind, long n, long *a, int arg)
{
	struct kept was = { self.kept, self.handsdown };
	long r;

	a[arg] = kerneltid((int)a[arg]);
	if (a[arg] == 0)
		keep(kind);
	else
		self.handsdown |= self.kept && kind == HANDSDOWN;
	r = REAL(syscall)(n, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (r == -1)
		unkeep(was);
	return r;
}

/* Of a process, which any of its threads' numbers names. */
static long ofprocess(long n, long *a, int arg)
{
	a[arg] = processtid((int)a[arg]);
	return REAL(syscall)(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}

bool keepcall(long n, long *a, long *res)
{
	unsigned long p[4] = { (unsigned long)a[1], (unsigned long)a[2],
			       (unsigned long)a[3], (unsigned long)a[4] };
	struct perf_event_attr *perf;

	switch (n) {
	case SYS_prctl:
		*res = prctl((int)a[0], p[0], p[1], p[2], p[3]);
		return true;
	case SYS_arch_prctl:
		*res = raw(a[0] == ARCH_SET_GS || a[0] == ARCH_SET_CPUID ?
				   HANDSDOWN :
				   NOTHING,
			   n, a);
		return true;
	case SYS_personality:
		*res = raw((unsigned)a[0] == 0xffffffff ? NOTHING : HANDSDOWN,
			   n, a);
		return true;
	case SYS_setfsuid:
	case SYS_setfsgid:
		keep((int)a[0] == -1 ? NOTHING : HANDSDOWN);
		*res = REAL(syscall)(n, a[0]);
		return true;
	case SYS_seccomp:
		/* with that flag all threads get it */
		*res = raw(a[0] <= SECCOMP_SET_MODE_FILTER &&
					   !(a[1] & SECCOMP_FILTER_FLAG_TSYNC) ?
				   HANDSDOWN :
				   NOTHING,
			   n, a);
		return true;
	case SYS_setuid:
	case SYS_setgid:
	case SYS_setreuid:
	case SYS_setregid:
	case SYS_setresuid:
	case SYS_setresgid:
	case SYS_setgroups:
	case SYS_capset:
	case SYS_unshare:
	case SYS_setns:
	case SYS_iopl:
	case SYS_ioperm:
	case SYS_keyctl:
	case SYS_add_key:
	case SYS_request_key:
	case SYS_set_mempolicy:
	case SYS_landlock_restrict_self:
	case SYS_lsm_set_self_attr:
		*res = raw(HANDSDOWN, n, a);
		return true;
	case SYS_ptrace:
	case SYS_io_uring_setup:
	case SYS_set_robust_list:
	case SYS_rseq:
		*res = raw(KEEPS, n, a);
		return true;
	case SYS_ioprio_set:
		*res = a[0] == IOPRIO_WHO_PROCESS ?
			       about(HANDSDOWN, n, a, 1) :
			       REAL(syscall)(n, a[0], a[1], a[2]);
		return true;
	case SYS_ioprio_get:
		if (a[0] == IOPRIO_WHO_PROCESS)
			a[1] = looktid((int)a[1]);
		*res = REAL(syscall)(n, a[0], a[1]);
		return true;
	case SYS_perf_event_open:
		perf = (struct perf_event_attr *)a[0];
		*res = about(perf->inherit ? HANDSDOWN : KEEPS, n, a, 1);
		return true;
	case SYS_pidfd_open:
		*res = a[1] & O_EXCL ? about(KEEPS, n, a, 0) :
				       ofprocess(n, a, 0);
		return true;
	case SYS_kcmp:
		a[1] = processtid((int)a[1]);
		/* fall through */
	case SYS_prlimit64:
	case SYS_getpgid:
	case SYS_getsid:
	case SYS_process_vm_readv:
	case SYS_process_vm_writev:
		*res = ofprocess(n, a, 0);
		return true;
	}
	return false;
}
