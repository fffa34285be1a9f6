/* init.c - the library's life: options and symbols when it is loaded, the scheduler
 * with the first thread, the report at exit.
 *
 * Nothing starts before the first pthread_create, and nothing at all where the shim
 * cannot do its work: then it says so in one line and the program runs natively.
 */
#include "shim/identity.h"
#include "shim/shim.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#define FSGSBASE 2ul /* AT_HWCAP2 */
#define REPORTFD 512 /* beyond what programs close or count on */

__thread struct thread self TLS_IE;
int shimnative = -1;
static int reportfd = -1; /* stderr, which some programs close before exit */

static int64_t clocknow(void)
{
	struct timespec ts;

	REAL(clock_gettime)(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000l + ts.tv_nsec;
}

static pthread_attr_t mattr; /* of Ms */

/* Once: setting a mask in an attribute allocates. */
static void mattrinit(void)
{
	const struct sched_param ordinary = { .sched_priority = 0 };
	sigset_t all;

	sigfillset(&all);
	pthread_attr_init(&mattr);
	pthread_attr_setdetachstate(&mattr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setsigmask_np(&mattr, &all);
	if (schedmain()) { /* main's policy is its own */
		pthread_attr_setinheritsched(&mattr, PTHREAD_EXPLICIT_SCHED);
		pthread_attr_setschedpolicy(&mattr, SCHED_OTHER);
		pthread_attr_setschedparam(&mattr, &ordinary);
	}
}

/* An M: detached, every signal blocked, on the stack that core gave. */
static int threadstart(void (*fn)(void *), void *arg, void *stack, size_t size)
{
	pthread_attr_t attr = mattr; /* two may be started at a time */
	pthread_t t;

	pthread_attr_setstack(&attr, stack, size);
	return -REAL(pthread_create)(&t, &attr,
				     (void *(*)(void *))(void *)fn, arg);
}

static const char *getoption(const char *name)
{
	return getenv(name);
}

/* Valgrind answers this request of its programs'; a processor does nothing. */
static bool onvalgrind(void)
{
	volatile uint64_t request[6] = { 0x1001 }; /* RUNNING_ON_VALGRIND */
	uint64_t answer = 0;

	__asm__ volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\t"
			 "rolq $61, %%rdi\n\trolq $51, %%rdi\n\t"
			 "xchgq %%rbx, %%rbx"
			 : "+d"(answer)
			 : "a"(request)
			 : "cc", "memory");
	return answer != 0;
}

/* A sanitizer's run-time keeps a shadow of each stack it knows, and so do valgrind's
 * tools, which run one thread at a time in any case. */
static const char *unfit(void)
{
	if (onvalgrind())
		return "valgrind's tools know kernel threads only";
	if (dlsym(RTLD_DEFAULT, "__asan_init") ||
	    dlsym(RTLD_DEFAULT, "__tsan_init") ||
	    dlsym(RTLD_DEFAULT, "__msan_init"))
		return "a sanitizer's run-time is in the process";
	return NULL;
}

/* Say in one line that, and why, this program runs without Gs. */
static void sayno(const char *why, const char *what)
{
	print("gmp_shim: %s%s; %s runs natively\n", why, what,
	      program_invocation_short_name);
}

/* The last part of that path, n bytes, is this name. */
static bool samefile(const char *path, size_t n, const char *name)
{
	size_t len = strlen(name);

	return n >= len && !memcmp(path + n - len, name, len) &&
	       (n == len || path[n - len - 1] == '/');
}

/* Take this library out of LD_PRELOAD. In place: main's third argument and /proc see
 * the same memory; and by hand: shells have an unsetenv of their own. */
static void leavechildren(void)
{
	static const char var[] = "LD_PRELOAD=";
	char **e = environ, *list, *to;
	const char *name;
	Dl_info dl;
	size_t n;

	while (e && *e && strncmp(*e, var, sizeof(var) - 1))
		e++;
	if (!e || !*e || !dladdr((void *)leavechildren, &dl))
		return;
	list = to = *e + sizeof(var) - 1;
	name = basename(dl.dli_fname);
	for (const char *s = list; *s; s += n + (s[n] != 0)) {
		n = strcspn(s, ": ");
		if (n == 0 || samefile(s, n, name))
			continue;
		if (to != list)
			*to++ = ':';
		memmove(to, s, n);
		to += n;
	}
	*to = 0;
	for (; to == list && *e; e++)
		e[0] = e[1];
}

static bool standaside(void)
{
	const char *why = unfit();

	if (why)
		sayno(why, "");
	else if (realmissing)
		sayno("this C library is unknown: it has no ", realmissing);
	else if ((why = identitynames()))
		sayno("this C library is unknown: ", why);
	else
		return false;
	return true;
}

__attribute__((constructor)) static void construct(void)
{
	if (!shiminit())
		blockinginit();
}

int shiminit(void)
{
	static bool busy;

	if (shimnative >= 0 || busy)
		return shimnative > 0;
	busy = true; /* a malloc below dlsym may lock: ours need no init */
	realinit();
	optionsinit(getoption);
	if (options.childrenoff)
		leavechildren();
	shimnative = options.off || standaside();
	if (shimnative)
		return 1;
	corehooks.foreign = foreignbegin;
	shimatfork();
	self.id = 1; /* main's, see threadid */
	if (options.verbose) {
		reportfd = (int)REAL(syscall)(SYS_fcntl, 2, F_DUPFD_CLOEXEC,
					      REPORTFD);
		print("gmp_shim: %d: version %s\n", (int)getpid(),
		      OPTION_VERSION);
		optionsprint();
	}
	return 0;
}

static void say(const char *what)
{
	char line[600];
	int n = snprintf(line, sizeof(line) - 1, "gmp_shim: %d: %s",
			 (int)getpid(), what);

	n = n < (int)sizeof(line) - 2 ? n : (int)sizeof(line) - 2;
	line[n++] = '\n';
	REAL(syscall)(SYS_write, reportfd >= 0 ? reportfd : 2, line, n);
}

__attribute__((destructor)) static void report(void)
{
	char line[240];
	struct schedcounts c;

	if (!options.verbose || !schedstarted)
		return;
	blockingreport(say);
	schedcounts(&c);
	snprintf(line, sizeof(line),
		 "%lu threads ran as Gs on %u kernel threads "
		 "(MAXPROCS=%u), %lu preemptions, Ps taken from calls: "
		 "%lu declared, %lu unseen",
		 (unsigned long)c.gs, c.ms, c.ps, (unsigned long)c.preempts,
		 (unsigned long)c.declared, (unsigned long)c.unseen);
	say(line);
	if (!options.schedtrace)
		return;
	snprintf(line, sizeof(line),
		 "a runnable thread waited %lu us at most",
		 (unsigned long)(c.maxwait / 1000));
	say(line);
}

/* The default stack size of this process: ours, else the C library's. */
static void stackdefault(void)
{
	pthread_attr_t attr;
	size_t size = 8 << 20;

	if (options.stack)
		return;
	if (pthread_getattr_default_np(&attr) == 0) {
		pthread_attr_getstacksize(&attr, &size);
		pthread_attr_destroy(&attr);
	}
	options.stack = (int64_t)size;
}

static int refuserange(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t *who = arg; /* an address in it; then: refuse it always */

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_LOAD && (ph->p_flags & PF_X) &&
		    who[0] >= lo && who[0] < lo + ph->p_memsz) {
			gpreemptrefuse(lo, lo + ph->p_memsz, who[1]);
			return 1;
		}
	}
	return 0;
}

/* Where a G must not be preempted: here, in the loader, and at first in libc. */
static void refuseranges(void)
{
	uintptr_t who[3][2] = {
		{ (uintptr_t)refuserange, true },
		{ (uintptr_t)dlsym(RTLD_DEFAULT, "__tls_get_addr"), true },
		{ (uintptr_t)REAL(pthread_create), false },
	};

	for (int i = 0; i < 3; i++)
		dl_iterate_phdr(refuserange, who[i]);
}

bool shimstart(void)
{
	static bool refused;
	const char *why;

	if (refused)
		return false;
	refused = true; /* until all went well */
	why = identityinit(&shimnative);
	if (why) {
		sayno("this C library is unknown: ", why);
		return false;
	}
	corehooks.thread_start = threadstart;
	corehooks.nanotime = clocknow;
	corehooks.identity_new = identity_new;
	corehooks.identity_reset = identity_reset;
	corehooks.identityhot = (uintptr_t)identity_cancel(0);
	corehooks.mstate_move = identity_mstate;
	corehooks.attention = cancelattend;
	corehooks.sigframe = getauxval(AT_MINSIGSTKSZ);
	refuseranges();
	mattrinit();
	futexinit();
	if (!schedfsgsbase((getauxval(AT_HWCAP2) & FSGSBASE) != 0))
		print("gmp_shim: this kernel has no FSGSBASE: switches use "
		      "arch_prctl and are slower\n");
	stackdefault();
	if (schedinit() != 0) {
		sayno("the scheduler cannot start here", "");
		return false;
	}
	refused = false;
	if (options.verbose) {
		struct schedcounts c;

		schedcounts(&c);
		print("gmp_shim: %d: threads are Gs from here on: %u Ps, "
		      "stacks of %ld KiB\n",
		      (int)getpid(), c.ps, (long)options.stack >> 10);
	}
	self.gp = getg();
	self.id = gid(self.gp);
	setxidwrap();
	schedapply();
	return true;
}

uint32_t threadid_slow(void)
{
	return self.id = gid(getg());
}

int64_t deadlinein(const struct timespec *ts)
{
	int64_t d = ts->tv_sec > INT64_MAX / 1000000000 / 2 ?
			    NEVER / 2 :
			    ts->tv_sec * 1000000000l + ts->tv_nsec;

	return d + clocknow();
}

bool leftof(int64_t deadline, struct timespec *left)
{
	int64_t ns = deadline - clocknow();

	if (ns < 0)
		ns = 0;
	left->tv_sec = ns / 1000000000;
	left->tv_nsec = ns % 1000000000;
	return ns > 0;
}

int deadlineof(clockid_t clock, const struct timespec *ts, int64_t *deadline)
{
	struct timespec now;
	int64_t d;

	if (!ts) {
		*deadline = NEVER;
		return 0;
	}
	if (ts->tv_nsec < 0 || ts->tv_nsec > 999999999)
		return -EINVAL;
	if (ts->tv_sec > INT64_MAX / 1000000000 / 2) {
		*deadline = NEVER - 1; /* 146 years */
		return 0;
	}
	d = ts->tv_sec < 0 ? 0 : ts->tv_sec * 1000000000l + ts->tv_nsec;
	if (clock == CLOCK_REALTIME) {
		REAL(clock_gettime)(CLOCK_REALTIME, &now);
		d -= now.tv_sec * 1000000000l + now.tv_nsec;
		d += clocknow();
	} else if (clock != CLOCK_MONOTONIC) {
		return -EINVAL;
	}
	*deadline = d;
	return 0;
}
