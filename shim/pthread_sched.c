/* pthread_sched.c - yielding, and what a thread has of name, clock and scheduling.
 *
 * Names, affinity and scheduling parameters of a G are kept, reported and inherited;
 * they do not change the kernel thread that happens to run it. The main thread's name
 * is the process's, too.
 */
#include "shim/shim.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

EXPORT int sched_yield(void)
{
	NATIVELY(sched_yield);
	if (!schedstarted)
		return REAL(sched_yield)();
	goyield();
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
	return REAL(prctl)(op, a[0], a[1], a[2], a[3]);
}

#define THREAD_CLOCK(tid) ((clockid_t)(~(unsigned)(tid) << 3 | 6))

EXPORT int pthread_getcpuclockid(pthread_t pt, clockid_t *clock)
{
	NATIVELY(pthread_getcpuclockid, pt, clock);
	struct thread *t = threadof(pt);
	int tid;

	if (!isg(pt))
		return REAL(pthread_getcpuclockid)(pt, clock);
	if (t->state == FREED || t->state == EXITED)
		return ESRCH;
	/* the clock of the kernel thread that runs it, or ran it last of all */
	tid = t == &self ? (int)REAL(syscall)(SYS_gettid) : gtid(t->gp);
	*clock = THREAD_CLOCK(tid ? tid : getpid());
	return 0;
}

EXPORT int pthread_getaffinity_np(pthread_t pt, size_t size, cpu_set_t *cpus)
{
	NATIVELY(pthread_getaffinity_np, pt, size, cpus);
	struct thread *t = threadof(pt);
	long n;
	int e = errno, r = 0;

	if (!isg(pt))
		return REAL(pthread_getaffinity_np)(pt, size, cpus);
	if (t->hasaffinity) {
		memset(cpus, 0, size);
		memcpy(cpus, &t->affinity,
		       size < sizeof(t->affinity) ? size : sizeof(t->affinity));
		return 0;
	}
	n = REAL(syscall)(SYS_sched_getaffinity, getpid(), size, cpus);
	if (n < 0)
		r = errno;
	else
		memset((char *)cpus + n, 0, size - (size_t)n);
	errno = e;
	return r;
}

bool cpusexist(const cpu_set_t *cpus)
{
	cpu_set_t may;

	if (sched_getaffinity(getpid(), sizeof(may), &may) != 0)
		return true;
	CPU_AND(&may, &may, cpus);
	return CPU_COUNT(&may) != 0;
}

EXPORT int pthread_setaffinity_np(pthread_t pt, size_t size,
				  const cpu_set_t *cpus)
{
	NATIVELY(pthread_setaffinity_np, pt, size, cpus);
	struct thread *t = threadof(pt);
	cpu_set_t set;

	if (!isg(pt))
		return REAL(pthread_setaffinity_np)(pt, size, cpus);
	CPU_ZERO(&set);
	memcpy(&set, cpus, size < sizeof(set) ? size : sizeof(set));
	if (!cpusexist(&set))
		return EINVAL;
	t->affinity = set;
	t->hasaffinity = true;
	return 0;
}

static int badparam(int policy, int priority)
{
	int lo = sched_get_priority_min(policy);
	int hi = sched_get_priority_max(policy);

	if (lo < 0 || priority < lo || priority > hi)
		return EINVAL;
	if (priority > 0 && getuid() != 0)
		return EPERM;
	return 0;
}

EXPORT int pthread_setschedparam(pthread_t pt, int policy,
				 const struct sched_param *param)
{
	NATIVELY(pthread_setschedparam, pt, policy, param);
	struct thread *t = threadof(pt);
	int e = errno, r;

	if (!isg(pt))
		return REAL(pthread_setschedparam)(pt, policy, param);
	r = badparam(policy, param->sched_priority);
	errno = e;
	if (r)
		return r;
	t->policy = policy;
	t->priority = param->sched_priority;
	return 0;
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
	struct thread *t = threadof(pt);
	struct sched_param param = { .sched_priority = priority };

	if (!isg(pt))
		return REAL(pthread_setschedprio)(pt, priority);
	return pthread_setschedparam(pt, t->policy, &param);
}
