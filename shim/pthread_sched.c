/* pthread_sched.c - yielding, and what a thread has of name, clock and scheduling.
 *
 * Names, affinity, nice value and scheduling parameters of a thread are in its record,
 * which all of these functions get and set, by thread or by number. A thread whose
 * policy is a real-time one, whose nice value is its own or whose CPUs are not the
 * process's is wired: schedapply, on the thread itself, keeps it on one kernel thread
 * and gives that thread the same. The process's CPUs are those of sysmon's thread.
 * The main thread's name is the process's, too.
 */
#include "shim/shim.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

EXPORT int sched_yield(void)
{
	NATIVELY(sched_yield);
	if (!schedstarted || self.vforked)
		return REAL(sched_yield)();
	goyield();
	if (unlikely(self.interrupt))
		cancelasync();
	return 0;
}
ALIAS_OF(__sched_yield, sched_yield);
/* in C the header makes this name another spelling of sched_yield */
__asm__(".globl pthread_yield\n\t.type pthread_yield, @function\n\t"
	".set pthread_yield, sched_yield");

EXPORT void thrd_yield(void)
{
	sched_yield();
}

/* libc's looks where there is nothing of a G (__rseq_offset in identity.c). */
EXPORT int sched_getcpu(void)
{
	NATIVELY(sched_getcpu);
	unsigned cpu;

	if (!schedstarted)
		return REAL(sched_getcpu)();
	return getcpu(&cpu, NULL) == 0 ? (int)cpu : -1;
}

static bool isg(pthread_t pt)
{
	return schedstarted && threadof(pt)->gp;
}

/* The process's name: the first kernel thread's. */
static void setcomm(const char *name)
{
	char path[40];
	long fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", getpid());
	fd = REAL(syscall)(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	REAL(syscall)(SYS_write, fd, name, strlen(name));
	REAL(syscall)(SYS_close, fd);
}

EXPORT int pthread_setname_np(pthread_t pt, const char *name)
{
	NATIVELY(pthread_setname_np, pt, name);
	struct thread *t = threadof(pt);
	int e = errno;

	if (!isg(pt))
		return REAL(pthread_setname_np)(pt, name);
	if (strlen(name) > 15)
		return ERANGE;
	strcpy(t->name, name);
	if (!t->fn)
		setcomm(name);
	errno = e;
	return 0;
}

EXPORT int pthread_getname_np(pthread_t pt, char *buf, size_t len)
{
	NATIVELY(pthread_getname_np, pt, buf, len);
	struct thread *t = threadof(pt);

	if (!isg(pt))
		return REAL(pthread_getname_np)(pt, buf, len);
	if (len < 16)
		return ERANGE; /* as glibc, whatever the name's length */
	strcpy(buf, t->name);
	return 0;
}

/* A thread's name is the thread's, not the kernel thread's. */
EXPORT int prctl(int op, ...)
{
	unsigned long a[4];
	va_list ap;

	va_start(ap, op);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (schedstarted && self.gp && op == PR_SET_NAME) {
		strncpy(self.name, (const char *)a[0], 15);
		self.name[15] = 0;
		if (!self.fn)
			setcomm(self.name);
		return 0;
	}
	if (schedstarted && self.gp && op == PR_GET_NAME) {
		memcpy((char *)a[0], self.name, 16);
		return 0;
	}
	return keepprctl(op, a);
}

/* ---- policy, CPUs, nice value ------------------------------------------------------- */

static long processcpus(size_t size, cpu_set_t *cpus)
{
	return REAL(syscall)(SYS_sched_getaffinity, gsysmontid(), size, cpus);
}

static bool rt(const struct thread *t)
{
	return t->policy == SCHED_FIFO || t->policy == SCHED_RR;
}

static bool owncpus(const struct thread *t)
{
	cpu_set_t may, want;

	if (!t->hasaffinity)
		return false;
	CPU_ZERO(&may);
	processcpus(sizeof(may), &may);
	CPU_AND(&want, &may, &t->affinity);
	return !CPU_EQUAL(&want, &may);
}

/* The kernel thread under the caller gets what the caller has. 0 or E. */
static int apply(void)
{
	struct sched_param sp = { .sched_priority = self.priority };
	cpu_set_t cpus = self.affinity;
	int e = 0;

	if (!owncpus(&self)) {
		CPU_ZERO(&cpus);
		processcpus(sizeof(cpus), &cpus);
	}
	if (REAL(syscall)(SYS_sched_setaffinity, 0, sizeof(cpus), &cpus) ||
	    REAL(syscall)(SYS_sched_setscheduler, 0, self.policy, &sp) ||
	    (self.hasnice &&
	     REAL(syscall)(SYS_setpriority, PRIO_PROCESS, 0, self.nice)))
		e = errno;
	return e;
}

void schedrelease(void)
{
	struct sched_param sp = { .sched_priority = 0 };
	cpu_set_t cpus;

	if (!self.schedwired)
		return;
	CPU_ZERO(&cpus);
	processcpus(sizeof(cpus), &cpus);
	REAL(syscall)(SYS_sched_setscheduler, 0, SCHED_OTHER, &sp);
	REAL(syscall)(SYS_sched_setaffinity, 0, sizeof(cpus), &cpus);
	if (self.hasnice)
		REAL(syscall)(SYS_setpriority, PRIO_PROCESS, 0,
			      REAL(getpriority)(PRIO_PROCESS, gsysmontid()));
	self.schedwired = false;
	gpriority(0);
	gounwire();
}

static bool mustwire(void)
{
	return rt(&self) || owncpus(&self) || self.hasnice;
}

/* Wire the caller if it must be, or set it free. 0 or E. */
static int wireself(void)
{
	if (!mustwire()) {
		schedrelease();
		return 0;
	}
	if (!self.schedwired) {
		self.schedwired = true;
		gowire();
	}
	gpriority(rt(&self) ? self.priority : 0);
	return apply();
}

/* May a kernel thread with an ordinary policy have this priority? */
static bool mayrt(int priority)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	struct rlimit rl;

	if (getrlimit(RLIMIT_RTPRIO, &rl) == 0 &&
	    rl.rlim_cur >= (rlim_t)priority)
		return true;
	return REAL(syscall)(SYS_capget, &head, data) == 0 &&
	       (data[0].effective & 1u << CAP_SYS_NICE);
}

/* Where it may not be had again all kernel threads inherit it, and that is that. */
bool schedmain(void)
{
	struct sched_param sp = { 0 };
	int e = errno;
	long policy = REAL(syscall)(SYS_sched_getscheduler, 0);

	if (policy > 0 &&
	    REAL(syscall)(SYS_sched_getparam, 0, &sp) == 0) {
		policy &= ~SCHED_RESET_ON_FORK;
		if ((policy != SCHED_FIFO && policy != SCHED_RR) ||
		    mayrt(sp.sched_priority)) {
			self.policy = (int)policy;
			self.priority = sp.sched_priority;
		}
	}
	errno = e;
	return rt(&self);
}

void schedapplywired(void)
{
	int e = errno;

	if (self.schedwired && mustwire()) {
		apply();
		gpriority(rt(&self) ? self.priority : 0);
	}
	errno = e;
}

void schedapply(void)
{
	int e = errno;

	wireself();
	errno = e;
}

/* t's record has changed: 0, or E and the record as it was. */
static int changed(struct thread *t, const struct thread *was)
{
	int e = errno, r = 0;

	if (t != &self) {
		gattention(t->gp); /* it does so itself */
		return 0;
	}
	r = wireself();
	if (r) {
		self.policy = was->policy;
		self.priority = was->priority;
		self.affinity = was->affinity;
		self.hasaffinity = was->hasaffinity;
		self.hasnice = was->hasnice;
		self.nice = was->nice;
		wireself();
	}
	errno = e;
	return r;
}

/* The thread that a number in these calls means; NULL: the kernel's business. */
static struct thread *named(int tid)
{
	if (!schedstarted || !self.gp || self.vforked)
		return NULL;
	if (tid == 0)
		return &self;
	return istid(tid) ? threadoftid(tid) : NULL;
}

/* A number of ours whose thread is gone. */
static bool gone(int tid)
{
	return tid > (int)TIDBASE && istid(tid);
}

/* 0 or E; *n is what the system call returns. */
static int getcpus(struct thread *t, size_t size, cpu_set_t *cpus, long *n)
{
	int e = errno, r = 0;

	*n = processcpus(size, cpus);
	if (*n < 0)
		r = errno;
	errno = e;
	if (r == 0 && t->hasaffinity)
		memcpy(cpus, &t->affinity,
		       (size_t)*n < sizeof(t->affinity) ? (size_t)*n :
							  sizeof(t->affinity));
	return r;
}

/* What of these CPUs the kernel lets a thread have, which may be more than the process's:
 * main may have left itself few before the others began. It says so when asked for them. */
static bool mayhave(cpu_set_t *cpus)
{
	cpu_set_t was;
	bool r = true;

	CPU_ZERO(&was);
	gowire();
	if (REAL(syscall)(SYS_sched_getaffinity, 0, sizeof(was), &was) > 0) {
		r = REAL(syscall)(SYS_sched_setaffinity, 0, sizeof(*cpus),
				  cpus) == 0;
		if (r) {
			CPU_ZERO(cpus);
			REAL(syscall)(SYS_sched_getaffinity, 0, sizeof(*cpus),
				      cpus);
			REAL(syscall)(SYS_sched_setaffinity, 0, sizeof(was),
				      &was);
		}
	}
	gounwire();
	return r;
}

bool cpusexist(const cpu_set_t *cpus)
{
	cpu_set_t set = *cpus;
	int e = errno;
	bool r = mayhave(&set);

	errno = e;
	return r;
}

static int setcpus(struct thread *t, size_t size, const cpu_set_t *cpus)
{
	struct thread was = *t;
	cpu_set_t set;
	int e = errno;

	CPU_ZERO(&set);
	memcpy(&set, cpus, size < sizeof(set) ? size : sizeof(set));
	if (!mayhave(&set)) {
		errno = e;
		return EINVAL;
	}
	errno = e;
	t->affinity = set;
	t->hasaffinity = true;
	return changed(t, &was);
}

EXPORT int pthread_getaffinity_np(pthread_t pt, size_t size, cpu_set_t *cpus)
{
	NATIVELY(pthread_getaffinity_np, pt, size, cpus);
	long n;
	int r;

	if (!isg(pt))
		return REAL(pthread_getaffinity_np)(pt, size, cpus);
	r = getcpus(threadof(pt), size, cpus, &n);
	if (r == 0)
		memset((char *)cpus + n, 0, size - (size_t)n);
	return r;
}

int threadcpus(int tid, size_t size, cpu_set_t *cpus)
{
	struct thread *t = named(tid);
	long n;
	int r;

	if (!t)
		return gone(tid) ? ret_errno(-ESRCH) :
				   (int)REAL(syscall)(SYS_sched_getaffinity,
						      tid, size, cpus);
	r = getcpus(t, size, cpus, &n);
	return r ? ret_errno(-r) : (int)n;
}

EXPORT int sched_getaffinity(pid_t tid, size_t size, cpu_set_t *cpus)
{
	NATIVELY(sched_getaffinity, tid, size, cpus);
	int n = threadcpus(tid, size, cpus);

	if (n < 0)
		return n;
	memset((char *)cpus + n, 0, size - (size_t)n);
	return 0;
}

EXPORT int pthread_setaffinity_np(pthread_t pt, size_t size,
				  const cpu_set_t *cpus)
{
	NATIVELY(pthread_setaffinity_np, pt, size, cpus);
	if (!isg(pt))
		return REAL(pthread_setaffinity_np)(pt, size, cpus);
	return setcpus(threadof(pt), size, cpus);
}

EXPORT int sched_setaffinity(pid_t tid, size_t size, const cpu_set_t *cpus)
{
	NATIVELY(sched_setaffinity, tid, size, cpus);
	struct thread *t = named(tid);

	if (!t)
		return gone(tid) ? ret_errno(-ESRCH) :
				   REAL(sched_setaffinity)(tid, size, cpus);
	return ret_errno(-setcpus(t, size, cpus));
}

static int badparam(int policy, int priority)
{
	int lo = sched_get_priority_min(policy & ~SCHED_RESET_ON_FORK);
	int hi = sched_get_priority_max(policy & ~SCHED_RESET_ON_FORK);

	if (lo < 0 || priority < lo || priority > hi)
		return EINVAL;
	if (priority > 0 && getuid() != 0)
		return EPERM;
	return 0;
}

static int setparam(struct thread *t, int policy, int priority)
{
	struct thread was = *t;
	int e = errno, r = badparam(policy, priority);

	errno = e;
	if (r)
		return r;
	t->policy = policy;
	t->priority = priority;
	return changed(t, &was);
}

EXPORT int pthread_setschedparam(pthread_t pt, int policy,
				 const struct sched_param *param)
{
	NATIVELY(pthread_setschedparam, pt, policy, param);
	if (!isg(pt))
		return REAL(pthread_setschedparam)(pt, policy, param);
	return setparam(threadof(pt), policy, param->sched_priority);
}

EXPORT int sched_setscheduler(pid_t tid, int policy,
			      const struct sched_param *param)
{
	NATIVELY(sched_setscheduler, tid, policy, param);
	struct thread *t = named(tid);

	if (!t)
		return gone(tid) ? ret_errno(-ESRCH) :
				   REAL(sched_setscheduler)(tid, policy, param);
	return ret_errno(-setparam(t, policy, param->sched_priority));
}
ALIAS_OF(__sched_setscheduler, sched_setscheduler);

EXPORT int sched_setparam(pid_t tid, const struct sched_param *param)
{
	NATIVELY(sched_setparam, tid, param);
	struct thread *t = named(tid);

	if (!t)
		return gone(tid) ? ret_errno(-ESRCH) :
				   REAL(sched_setparam)(tid, param);
	return ret_errno(-setparam(t, t->policy, param->sched_priority));
}

EXPORT int sched_getscheduler(pid_t tid)
{
	NATIVELY(sched_getscheduler, tid);
	struct thread *t = named(tid);

	if (!t)
		return gone(tid) ? ret_errno(-ESRCH) :
				   REAL(sched_getscheduler)(tid);
	return t->policy;
}
ALIAS_OF(__sched_getscheduler, sched_getscheduler);

EXPORT int sched_getparam(pid_t tid, struct sched_param *param)
{
	NATIVELY(sched_getparam, tid, param);
	struct thread *t = named(tid);

	if (!t)
		return gone(tid) ? ret_errno(-ESRCH) :
				   REAL(sched_getparam)(tid, param);
	param->sched_priority = t->priority;
	return 0;
}
ALIAS_OF(__sched_getparam, sched_getparam);

EXPORT int sched_rr_get_interval(pid_t tid, struct timespec *ts)
{
	NATIVELY(sched_rr_get_interval, tid, ts);
	struct thread *t = named(tid);
	int m = t ? gtid(t->gp) : 0;

	if (!t)
		return gone(tid) ? ret_errno(-ESRCH) :
				   REAL(sched_rr_get_interval)(tid, ts);
	/* a thread that is not wired has the ordinary policy of any M */
	return REAL(sched_rr_get_interval)(t == &self ? 0 :
					   m	      ? m :
							gsysmontid(),
					   ts);
}

EXPORT int getpriority(__priority_which_t which, id_t who)
{
	NATIVELY(getpriority, which, who);
	struct thread *t = which == PRIO_PROCESS ? named((int)who) : NULL;

	if (!t)
		return which == PRIO_PROCESS && gone((int)who) ?
			       ret_errno(-ESRCH) :
			       REAL(getpriority)(which, who);
	return t->hasnice ? t->nice :
			    REAL(getpriority)(which, (id_t)gsysmontid());
}

EXPORT int setpriority(__priority_which_t which, id_t who, int nice)
{
	NATIVELY(setpriority, which, who, nice);
	struct thread *t = which == PRIO_PROCESS ? named((int)who) : NULL, was;

	if (!t)
		return which == PRIO_PROCESS && gone((int)who) ?
			       ret_errno(-ESRCH) :
			       REAL(setpriority)(which, who, nice);
	if (nice < -20)
		nice = -20;
	if (nice > 19)
		nice = 19;
	if (nice == getpriority(which, who))
		return 0;
	was = *t;
	t->nice = nice;
	t->hasnice = true;
	return ret_errno(-changed(t, &was));
}

EXPORT int pthread_getschedparam(pthread_t pt, int *policy,
				 struct sched_param *param)
{
	NATIVELY(pthread_getschedparam, pt, policy, param);
	struct thread *t = threadof(pt);

	if (!isg(pt))
		return REAL(pthread_getschedparam)(pt, policy, param);
	*policy = t->policy;
	param->sched_priority = t->priority;
	return 0;
}

EXPORT int pthread_setschedprio(pthread_t pt, int priority)
{
	NATIVELY(pthread_setschedprio, pt, priority);
	if (!isg(pt))
		return REAL(pthread_setschedprio)(pt, priority);
	return setparam(threadof(pt), threadof(pt)->policy, priority);
}
