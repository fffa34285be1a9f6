/* tid.c - thread numbers: a thread has one of its own, which it keeps on every kernel
 * thread.
 *
 * Main's is the process's. The others' are counted from TIDBASE: beyond any pid, below
 * what a futex word holds. As the kernel's they are not soon used again, though Gs are.
 * libc keeps the same number in the thread's record, where its recursive locks compare
 * it. Calls that take a thread number and may be given one of ours are here and in
 * pthread_sched.c; syscall() comes here, too.
 */
#include "shim/identity.h"
#include "shim/shim.h"
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TIDS 0x1fffffffu
#define HINTS 4096
#define TIDBATCH 16

static uint32_t hints[HINTS]; /* by tid: the G's number, perhaps an old one */

int tidnew(struct g *gp)
{
	static uint32_t last;
	uint32_t n;

	/* a creator has a few at a time, so that they do not all meet here */
	if (self.tids % TIDBATCH == 0)
		self.tids = __atomic_fetch_add(&last, TIDBATCH, __ATOMIC_RELAXED);
	n = self.tids++ % TIDS;
	__atomic_store_n(&hints[n % HINTS], gid(gp), __ATOMIC_RELAXED);
	return (int)(TIDBASE + 1 + n);
}

int tidof(struct thread *t)
{
	return t->tid ? t->tid : getpid();
}

bool istid(int tid)
{
	return schedstarted &&
	       (tid > (int)TIDBASE || (tid == getpid() && gmain()));
}

/* gp's thread, if it lives and has that number. */
static struct thread *numbered(struct g *gp, int tid)
{
	struct thread *t;
	uintptr_t lo, hi;

	if (!gp)
		return NULL;
	gstack(gp, &lo, &hi);
	if (!lo && gp != gmain())
		return NULL; /* a kernel thread that core did not make */
	t = threadof((pthread_t)gtp(gp));
	return t->gp == gp && tidof(t) == tid && t->state != FREED &&
			       t->state != EXITED ?
		       t :
		       NULL;
}

struct thread *threadoftid(int tid)
{
	uint32_t n = (uint32_t)tid - TIDBASE - 1;
	struct thread *t;
	struct g *gp;

	if (tid == getpid())
		return numbered(gmain(), tid);
	t = numbered(gbynumber(__atomic_load_n(&hints[n % HINTS],
					       __ATOMIC_RELAXED)),
		     tid);
	for (uint32_t id = 2; !t && (gp = gbynumber(id)); id++)
		t = numbered(gp, tid);
	return t;
}

EXPORT pid_t gettid(void)
{
	NATIVELY(gettid);
	return schedstarted && self.gp ? tidof(&self) : REAL(gettid)();
}

/* What sched_setattr(2) is given, as far as it is looked at. */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
};

static int setattr(int tid, const struct attr *a)
{
	struct sched_param sp = { .sched_priority = (int)a->priority };

	if (sched_setscheduler(tid, (int)a->policy, &sp))
		return -1;
	if (a->policy != SCHED_OTHER && a->policy != SCHED_BATCH)
		return 0;
	return setpriority(PRIO_PROCESS, (id_t)tid, a->nice);
}

static int getattr(int tid, long *a)
{
	struct thread *t = tid ? threadoftid(tid) : &self;
	int m = t ? gtid(t->gp) : 0;

	if (!t) {
		errno = ESRCH;
		return -1;
	}
	return (int)REAL(syscall)(SYS_sched_getattr,
				  t == &self ? 0 : m ? m : gsysmontid(), a[1],
				  a[2], a[3]);
}

/* By the functions of ours that do the same. */
static long schedcall(long n, long *a)
{
	int tid = (int)a[0], e = errno;

	switch (n) {
	case SYS_sched_setattr:
		return setattr(tid, (struct attr *)a[1]);
	case SYS_sched_getattr:
		return getattr(tid, a);
	case SYS_sched_setscheduler:
		return sched_setscheduler(tid, (int)a[1],
					  (struct sched_param *)a[2]);
	case SYS_sched_getscheduler:
		return sched_getscheduler(tid);
	case SYS_sched_setparam:
		return sched_setparam(tid, (struct sched_param *)a[1]);
	case SYS_sched_getparam:
		return sched_getparam(tid, (struct sched_param *)a[1]);
	case SYS_sched_setaffinity:
		return sched_setaffinity(tid, (size_t)a[1], (cpu_set_t *)a[2]);
	case SYS_sched_getaffinity:
		return threadcpus(tid, (size_t)a[1], (cpu_set_t *)a[2]);
	case SYS_sched_rr_get_interval:
		return sched_rr_get_interval(tid, (struct timespec *)a[1]);
	case SYS_getpriority: /* never negative, in the kernel */
		errno = 0;
		tid = getpriority((int)a[0], (id_t)a[1]);
		if (errno)
			return -1;
		errno = e;
		return 20 - tid;
	case SYS_setpriority:
		return setpriority((int)a[0], (id_t)a[1], (int)a[2]);
	default:
		return -ENOSYS;
	}
}

/* The caller, or a thread that we number. */
static bool ours(long tid)
{
	return tid == 0 || istid((int)tid);
}

/* Every syscall() of the program comes by: nothing is looked up before the switch. */
long tidcall(long n, long *a)
{
	long r;

	switch (n) {
	case SYS_gettid:
	case SYS_set_tid_address: /* the word that ends our M is libc's */
		return tidof(&self);
	case SYS_kill:
	case SYS_tkill:
	case SYS_tgkill:
	case SYS_rt_sigqueueinfo:
	case SYS_rt_tgsigqueueinfo:
	case SYS_pidfd_send_signal:
		return killcall(n, a);
	case SYS_setpriority:
	case SYS_getpriority:
		if (a[0] != PRIO_PROCESS || !ours(a[1]))
			return -ENOSYS;
		break;
	case SYS_sched_setattr:
	case SYS_sched_getattr:
	case SYS_sched_setscheduler:
	case SYS_sched_getscheduler:
	case SYS_sched_setparam:
	case SYS_sched_getparam:
	case SYS_sched_setaffinity:
	case SYS_sched_getaffinity:
	case SYS_sched_rr_get_interval:
		if (!ours(a[0]))
			return -ENOSYS;
		break;
	default:
		return -ENOSYS;
	}
	r = schedcall(n, a);
	return r == -1 ? -errno : r;
}
