/* pthread_create.c - creation, joining and leaving of threads.
 *
 * A thread is a G whose thread pointer is its pthread_t. Its record (struct thread)
 * is in its own TLS. state: JOINABLE or DETACHED while it lives; the last word is
 * said in the next context (goexit0), off the thread's stack: EXITED, and the joiner
 * is woken, or back to the pool if DETACHED. Who joins an EXITED thread gives it to
 * the pool; FREED tells a stale pthread_t for as long as nobody reuses it.
 * Order: state is exchanged (acq_rel) by goexit0 and by pthread_detach: one of the
 * two sees the other.
 */
#include "shim/identity.h"
#include "shim/pthread_mutex.h"
#include "shim/shim.h"
#include <dlfcn.h>
#include <limits.h>
#include <locale.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* Declared by pthread.h only for C without exceptions. */
void __pthread_register_cancel(__pthread_unwind_buf_t *buf);
void __pthread_unregister_cancel(__pthread_unwind_buf_t *buf);

/* What pthread_attr_t says, by its public getters. */
struct want {
	uintptr_t stack;
	size_t size, guard;
	int detached, policy, priority;
	uint64_t mask;
	bool hasmask, hasaffinity, explicitsched;
};

struct thread *threadof(pthread_t pt)
{
	return (struct thread *)(pt + ((uintptr_t)&self -
				       (uintptr_t)pthread_self()));
}

/* ---- leaving --------------------------------------------------------------------- */

static void exitdestructors(void)
{
	static void (*tls)(void);

	if (!tls)
		tls = (void (*)(void))dlsym(RTLD_DEFAULT, "__call_tls_dtors");
	if (tls)
		tls();
	identity_keys();
}

/* The end of every thread, on its own stack. Its last act ends the process, as it
 * does where the last native thread leaves. */
_Noreturn static void exitthread(void)
{
	callleave(); /* a handler in the middle of one has ended the thread */
	exitdestructors();
	if (self.wired) {
		uintptr_t m = mtp();

		identity_robust();
		self.wired = 0;
		identity_unwire(m);
		gounwire();
	}
	schedrelease();
	if (schedstarted)
		goexit();
	exit(0);
}

/* Next context, M locked: the thread is off its stack. */
static void threadgone(struct g *gp)
{
	struct thread *t = threadof((pthread_t)gtp(gp));

	/* seq_cst, both: a joiner says so first and then looks at the state */
	if (__atomic_exchange_n(&t->state, EXITED, __ATOMIC_SEQ_CST) ==
	    DETACHED) {
		t->state = FREED;
		gfput(gp);
	} else if (__atomic_load_n(&t->joiner, __ATOMIC_SEQ_CST)) {
		semawake((uintptr_t)&t->state, 1, 0);
	}
}

/* A thread of a higher real-time priority than its creator's runs first, as far as it
 * will: so the creator waits until the kernel knows of that priority. */
static bool runsfirst(const struct thread *t)
{
	return (t->policy == SCHED_FIFO || t->policy == SCHED_RR) &&
	       t->priority > self.priority;
}

static bool notbegun(void *begun)
{
	return !__atomic_load_n((uint32_t *)begun, __ATOMIC_ACQUIRE);
}

static void waitbegun(uint32_t *begun)
{
	struct semawait w = { .addr = (uintptr_t)begun,
			      .reason = WAIT_ONCE,
			      .deadline = NEVER,
			      .check = notbegun,
			      .arg = begun };

	while (notbegun(begun))
		semawait(&w);
}

static void tellbegun(uint32_t *begun)
{
	__atomic_store_n(begun, 1, __ATOMIC_RELEASE); /* it may be gone from here on */
	semawake((uintptr_t)begun, 1, 0);
}

/* The first function of a G, below the start routine. pthread_exit and cancellation
 * unwind to the buffer registered here. */
static void threadmain(void)
{
	__pthread_unwind_buf_t buf;
	struct thread *t = &self;

	uselocale(LC_GLOBAL_LOCALE); /* and the ctype tables */
	if (!__sigsetjmp_cancel(buf.__cancel_jmp_buf, 0)) {
		__pthread_register_cancel(&buf);
		t->ret = PTHREAD_CANCELED; /* unless somebody says otherwise */
		schedapply();
		if (unlikely(t->begun))
			tellbegun(t->begun);
		t->ret = t->fn(t->arg);
	}
	exitthread();
}

/* The main thread has unwound to __libc_start_call_main, which must not see it: it
 * would end the kernel thread that happens to run it. */
__attribute__((used)) _Noreturn static void mainleft0(void)
{
	exitthread();
}

__attribute__((naked, used)) static void mainleft(void)
{
	__asm__("andq $-16, %rsp\n\tcall mainleft0\n\tud2");
}

#define JB_PC 7

/* Let main's outermost unwind buffer lead to mainleft: same stack pointer, other
 * program counter, mangled as setjmp does it. When the scheduler starts: libc may unwind
 * it, cancelled, where we do not see it. False: it has none. */
static bool redirectmain(void)
{
	__pthread_unwind_buf_t top, *b;
	uintptr_t pc = (uintptr_t)mainleft;

	__pthread_register_cancel(&top); /* tells the chain: top.__pad[0] */
	__pthread_unregister_cancel(&top);
	for (b = top.__pad[0]; b && b->__pad[0];)
		b = b->__pad[0];
	if (!b)
		return false;
	__asm__("xor %%fs:0x30, %0\n\trol $17, %0" : "+r"(pc));
	b->__cancel_jmp_buf[0].__cancel_jmp_buf[JB_PC] = (long)pc;
	return true;
}

EXPORT _Noreturn void pthread_exit(void *ret)
{
	self.ret = ret;
	if (schedstarted && self.gp && !self.fn && !redirectmain())
		throw("pthread_exit: main has no unwind buffer");
	REAL(pthread_exit)(ret);
	__builtin_unreachable();
}

/* ---- threads that are no Gs ------------------------------------------------------- */

static pthread_key_t foreignkey;

static void foreignend(void *gp)
{
	(void)gp;
	self.id = 0; /* its number goes to the next */
	dropm();
}

static void foreignkeymake(void)
{
	pthread_key_create(&foreignkey, foreignend);
}

/* A kernel thread of libc's, or of a program whose threads are native ones, uses an
 * object of ours: core made it a G, which it gives back when it ends. */
void foreignbegin(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	REAL(pthread_once)(&once, foreignkeymake);
	pthread_setspecific(foreignkey, &self);
}

/* ---- creating ---------------------------------------------------------------------- */

static size_t defaultguard(void)
{
	return 4096;
}

static void readattr(const pthread_attr_t *attr, struct want *w,
		     cpu_set_t *cpus)
{
	struct sched_param sp;
	sigset_t mask;
	int inherit;
	void *addr;
	size_t size;

	pthread_attr_getdetachstate(attr, &w->detached);
	pthread_attr_getstacksize(attr, &w->size);
	pthread_attr_getguardsize(attr, &w->guard);
	/* without an address, getstack says 0 - size */
	if (pthread_attr_getstack(attr, &addr, &size) == 0 &&
	    (uintptr_t)addr + size != 0) {
		w->stack = (uintptr_t)addr;
		w->size = size;
	}
	if (pthread_attr_getinheritsched(attr, &inherit) == 0 &&
	    inherit == PTHREAD_EXPLICIT_SCHED) {
		w->explicitsched = true;
		pthread_attr_getschedpolicy(attr, &w->policy);
		pthread_attr_getschedparam(attr, &sp);
		w->priority = sp.sched_priority;
	}
	w->hasmask = pthread_attr_getsigmask_np(attr, &mask) == 0;
	memcpy(&w->mask, &mask, sizeof(w->mask));
	/* an attribute without an affinity answers with all CPUs */
	if (pthread_attr_getaffinity_np(attr, sizeof(*cpus), cpus) == 0)
		w->hasaffinity = !CPU_ISSET(CPU_SETSIZE - 1, cpus) &&
				 CPU_COUNT(cpus) > 0;
}

#define SMALL (256 << 10)
#define FEW (64 << 10)
#define OURS 4096 /* what our frames may need more than libc's */

/* Bytes of stack to ask core for, guard included. It is on top, as natively, where that
 * does not cost a slot of twice the size: large ones are mostly powers of two. */
static size_t slotsize(const struct want *w)
{
	if (w->size < SMALL)
		return w->size + w->guard + OURS;
	return w->size & (w->size - 1) || w->guard > FEW ? w->size + w->guard :
							   w->size;
}

static void setmain(void)
{
	if (!self.name[0])
		REAL(prctl)(PR_GET_NAME, self.name);
}

static int create(pthread_t *out, const pthread_attr_t *attr,
		  void *(*fn)(void *), void *arg)
{
	struct want w = { .size = (size_t)options.stack,
			  .guard = defaultguard() };
	uint32_t begun = 0;
	struct thread *t;
	cpu_set_t cpus;
	struct g *gp;
	size_t size;
	bool first;

	if (attr)
		readattr(attr, &w, &cpus);
	if (w.explicitsched && w.policy != SCHED_OTHER &&
	    w.policy != SCHED_BATCH && w.policy != SCHED_IDLE && getuid() != 0)
		return EPERM;
	if (w.hasaffinity && !cpusexist(&cpus))
		return EINVAL;
	gp = gfget(w.stack, w.stack ? w.size : slotsize(&w), w.guard);
	if (!gp)
		return EAGAIN;
	t = threadof((pthread_t)gtp(gp));
	size = offsetof(struct thread, affinity);
	__asm__("" : "+r"(size)); /* libc's is faster than what gcc puts for a constant */
	memset(t, 0, size);
	t->gp = gp;
	t->id = gid(gp);
	t->tid = tidnew(gp);
	identity_number(gtp(gp), (uint32_t)t->tid);
	t->fn = fn;
	t->arg = arg;
	t->state = w.detached == PTHREAD_CREATE_DETACHED ? DETACHED : JOINABLE;
	t->policy = w.explicitsched ? w.policy : self.policy;
	t->priority = w.explicitsched ? w.priority : self.priority;
	t->stacksize = w.size;
	t->hasaffinity = w.hasaffinity || self.hasaffinity;
	if (unlikely(t->hasaffinity))
		t->affinity = w.hasaffinity ? cpus : self.affinity;
	memcpy(t->name, self.name, sizeof(t->name));
	if (!w.hasmask)
		w.mask = ggetsigmask();
	/* before it can run: POSIX lets it be used by the new thread */
	*out = (pthread_t)gtp(gp);
	if (unlikely(self.handsdown)) {
		t->kept = t->handsdown = true;
		if (newprockept(gp, threadmain, w.mask) == 0)
			return 0;
		t->state = FREED;
		gfput(gp);
		return EAGAIN;
	}
	first = runsfirst(t);
	t->begun = first ? &begun : NULL;
	/* threads of a start routine are alike, but for those that need what takes time */
	newproc(gp, threadmain, w.mask,
		t->hasaffinity || t->policy != SCHED_OTHER ? 0 : (uintptr_t)fn);
	if (unlikely(first))
		waitbegun(&begun);
	return 0;
}

/* ---- from the first one on ------------------------------------------------------------ */

/* Make the process's threads Gs from now on. */
static bool started(void)
{
	if (likely(schedstarted))
		return true;
	corehooks.goexit0 = threadgone;
	if (!shimstart())
		return false;
	setmain();
	if (!self.fn) { /* not in a fork child of another thread */
		redirectmain();
		self.ret = PTHREAD_CANCELED; /* unless it says otherwise */
	}
	mutex_wireheld();
	return true;
}

EXPORT int pthread_create(pthread_t *restrict out,
			  const pthread_attr_t *restrict attr,
			  void *(*fn)(void *), void *restrict arg)
{
	NATIVELY(pthread_create, out, attr, fn, arg);
	int e = errno, r;

	if (unlikely(gothread(fn) || !started()))
		return REAL(pthread_create)(out, attr, fn, arg);
	r = create(out, attr, fn, arg);
	errno = e;
	return r;
}

EXPORT int thrd_create(thrd_t *out, thrd_start_t fn, void *arg)
{
	NATIVELY(thrd_create, out, fn, arg);
	int r;

	if (unlikely(!started()))
		return REAL(thrd_create)(out, fn, arg);
	/* an int in the low half of the pointer, as libc's own has it */
	r = pthread_create(out, NULL, (void *(*)(void *))(void *)fn, arg);
	return r == 0 ? thrd_success :
	       r == EAGAIN || r == ENOMEM ? thrd_nomem :
					    thrd_error;
}

/* ---- joining ---------------------------------------------------------------------------- */

static bool notexited(void *arg)
{
	struct thread *t = arg;

	return __atomic_load_n(&t->state, __ATOMIC_ACQUIRE) != EXITED;
}

/* EXITED, and nobody else's: collect. */
static int collect(struct thread *t, void **ret)
{
	struct g *gp = t->gp;

	if (ret)
		*ret = t->ret;
	__atomic_store_n(&t->state, FREED, __ATOMIC_RELEASE);
	gfput(gp);
	return 0;
}

/* Join t by deadline; now < 0 asks only whether it has exited. */
static int join(struct thread *t, void **ret, int64_t deadline, bool try)
{
	struct semawait w = { .addr = (uintptr_t)&t->state,
			      .reason = WAIT_JOIN,
			      .interruptible = true,
			      .deadline = deadline,
			      .check = notexited,
			      .arg = t };
	struct thread *none = NULL;
	int r;

	if (t->state == FREED)
		return ESRCH;
	if (t->state == DETACHED)
		return EINVAL;
	if (try && notexited(t))
		return EBUSY;
	if (t == &self || self.joiner == t)
		return EDEADLK;
	if (!notexited(t) && !t->joiner)
		return collect(t, ret);
	if (!__atomic_compare_exchange_n(&t->joiner, &none, &self, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return EINVAL;
	while (notexited(t)) {
		r = waitinterruptible(&w, &t->joiner);
		if (r == -ETIMEDOUT) {
			t->joiner = NULL;
			return ETIMEDOUT;
		}
	}
	return collect(t, ret);
}

/* A thread that was made natively (before or behind the shim). */
static bool isnative(pthread_t pt)
{
	return !schedstarted || !threadof(pt)->gp;
}

EXPORT int pthread_join(pthread_t pt, void **ret)
{
	NATIVELY(pthread_join, pt, ret);
	if (isnative(pt))
		return REAL(pthread_join)(pt, ret);
	cancelpoint();
	return join(threadof(pt), ret, NEVER, false);
}

EXPORT int pthread_tryjoin_np(pthread_t pt, void **ret)
{
	NATIVELY(pthread_tryjoin_np, pt, ret);
	if (isnative(pt))
		return REAL(pthread_tryjoin_np)(pt, ret);
	return join(threadof(pt), ret, NEVER, true);
}

EXPORT int pthread_clockjoin_np(pthread_t pt, void **ret, clockid_t clock,
				const struct timespec *abs)
{
	NATIVELY(pthread_clockjoin_np, pt, ret, clock, abs);
	int64_t deadline;
	int e;

	if (isnative(pt))
		return REAL(pthread_clockjoin_np)(pt, ret, clock, abs);
	cancelpoint();
	e = deadlineof(clock, abs, &deadline);
	if (e && notexited(threadof(pt)))
		return ret_pthread(e);
	return join(threadof(pt), ret, e ? 0 : deadline, false);
}

EXPORT int pthread_timedjoin_np(pthread_t pt, void **ret,
				const struct timespec *abs)
{
	NATIVELY(pthread_timedjoin_np, pt, ret, abs);
	return pthread_clockjoin_np(pt, ret, CLOCK_REALTIME, abs);
}

EXPORT int thrd_join(thrd_t pt, int *res)
{
	NATIVELY(thrd_join, pt, res);
	void *ret;
	int r;

	if (isnative(pt))
		return REAL(thrd_join)(pt, res);
	r = join(threadof(pt), &ret, NEVER, false);
	if (r)
		return thrd_error;
	if (res)
		*res = (int)(intptr_t)ret;
	return thrd_success;
}

EXPORT int pthread_detach(pthread_t pt)
{
	NATIVELY(pthread_detach, pt);
	struct thread *t = threadof(pt);
	uint32_t was = JOINABLE;

	if (isnative(pt))
		return REAL(pthread_detach)(pt);
	if (t->state == FREED)
		return ESRCH;
	if (__atomic_compare_exchange_n(&t->state, &was, DETACHED, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return 0;
	if (was == DETACHED)
		return EINVAL;
	return collect(t, NULL);
}

EXPORT int thrd_detach(thrd_t pt)
{
	NATIVELY(thrd_detach, pt);
	return pthread_detach(pt) == 0 ? thrd_success : thrd_error;
}

EXPORT _Noreturn void thrd_exit(int res)
{
	pthread_exit((void *)(intptr_t)res);
}

/* ---- attributes of a live thread ------------------------------------------------------------ */

EXPORT int pthread_getattr_np(pthread_t pt, pthread_attr_t *attr)
{
	NATIVELY(pthread_getattr_np, pt, attr);
	struct thread *t = threadof(pt);
	struct sched_param sp = { 0 };
	uintptr_t lo, hi;
	cpu_set_t cpus;
	int e = errno;

	if (isnative(pt) || !t->fn) /* main's stack is in /proc/self/maps */
		return REAL(pthread_getattr_np)(pt, attr);
	gstack(t->gp, &lo, &hi);
	if (hi - lo > t->stacksize) /* slots are powers of two */
		lo = hi - ((t->stacksize + 4095) & -4096ul);
	pthread_attr_init(attr);
	pthread_attr_setstack(attr, (void *)lo, hi - lo);
	pthread_attr_setguardsize(attr, gguard(t->gp));
	pthread_attr_setdetachstate(attr, t->state == DETACHED ?
						  PTHREAD_CREATE_DETACHED :
						  PTHREAD_CREATE_JOINABLE);
	sp.sched_priority = t->priority;
	pthread_attr_setschedpolicy(attr, t->policy);
	pthread_attr_setschedparam(attr, &sp);
	if (pthread_getaffinity_np(pt, sizeof(cpus), &cpus) == 0)
		pthread_attr_setaffinity_np(attr, sizeof(cpus), &cpus);
	errno = e;
	return 0;
}
