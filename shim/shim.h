/* shim.h - what the files of shim/ share: the entry macros, the thread record, and
 * the two conversions from core's -E to what POSIX returns. */
#ifndef SHIM_H
#define SHIM_H

#include "core/core.h"
#include "shim/real.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
/* In a cache line of its own: the placement decides some 8 % of a lock and unlock. */
#define HOT EXPORT __attribute__((aligned(64)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#if __has_attribute(copy)
#define COPY(of) copy(of), /* gcc warns of an alias with other attributes */
#else
#define COPY(of)
#endif
/* A second exported name; the row in interpose.def is its other half. */
#define ALIAS_OF(name, of)                                                     \
	extern __typeof__(of) name                                             \
		__attribute__((COPY(of) alias(#of), visibility("default")))

/* ---- the thread record ----------------------------------------------------- */

enum threadstate { JOINABLE, DETACHED, EXITED, FREED };

/* What POSIX knows of a thread beyond its G. It lives in the thread's own TLS, so
 * pthread_t, which is the thread pointer, leads to it; pthread_create zeroes it
 * when the identity is used again. */
struct thread {
	uint32_t id;		/* owner word of locks; 0: ask threadid() */
	uint32_t state;		/* enum threadstate; the key joiners wait on */
	struct g *gp;		/* NULL: a kernel thread that is no G */
	struct thread *joiner;	/* who has claimed the join */
	void *(*fn)(void *);
	void *arg;
	void *ret;
	size_t stacksize;	/* as asked for; pthread_getattr_np reports it */
	int tid;		/* 0: main's, the process's */
	uint32_t tids;		/* next number for those that it creates: tidnew */
	uint32_t wired;		/* libc mutexes held that wire it */
	char name[16];
	int policy, priority, nice;
	bool hasnice;
	bool hasaffinity;
	bool vforked;		/* the child of a vfork runs on this thread */
	uint64_t forkmask;	/* the kernel's, while it forks */
	bool schedwired;	/* policy or affinity wires it */
	bool kept, handsdown;	/* its kernel thread ends with it: keep.c */
	uint32_t opening;	/* calls of dlopen that it is in: loader.c */
	uint32_t interrupt;	/* its wait in the kernel shall end: it is cancelled */
	bool waits;		/* in such a wait */
	bool incall;		/* in a call that is declared: see callbegin */
	uint32_t *begun;	/* its creator waits until it has its priority */
	struct listener *turn;	/* that it takes, or waits for: connect.c */
	bool hasturn;
	cpu_set_t affinity; /* where hasaffinity says so; the last: large */
};
extern __thread struct thread self TLS_IE;

/* The record behind a pthread_t that names a live thread. */
struct thread *threadof(pthread_t pt);
static inline pthread_t ptof(struct thread *t)
{
	return (pthread_t)gtp(t->gp);
}

/* The caller is a G and may act as one: not the child of a vfork. */
static inline bool ong(void)
{
	return schedstarted && self.gp && !self.vforked;
}

uint32_t threadid_slow(void);
/* The caller's number: never 0, no other live thread's. */
static inline uint32_t threadid(void)
{
	return likely(self.id) ? self.id : threadid_slow();
}

/* ---- results ------------------------------------------------------------------ */

/* -E to the value that pthread_* return. */
static inline int ret_pthread(int e)
{
	return -e;
}

/* -E to errno and -1, as the rest of POSIX. */
static inline int ret_errno(int e)
{
	if (e >= 0)
		return e;
	errno = -e;
	return -1;
}

/* ---- calls that block in the kernel --------------------------------------------------- */

/* Declared calls nest: one may come back into the program, for a handler or a stream's
 * own functions, which make others. Only the end of the outermost takes the P back. */
static inline bool callbegin(void)
{
	bool outer = self.incall;

	self.incall = true;
	entersyscall();
	return outer;
}

static inline void callend(bool *outer)
{
	self.incall = *outer;
	if (unlikely(*outer))
		entersyscall(); /* the program has parked meanwhile, perhaps */
	else
		exitsyscall();
}

/* Give up the turn that the caller has, or waits for; in a fork child (connect.c). */
void connectleave(void);
void connectfork(void);

/* A jump leaves whatever call the caller is in. */
static inline void callleave(void)
{
	bool outer = false;

	if (unlikely(self.incall)) {
		callend(&outer);
		leavesyscallwait();
	}
	if (unlikely(self.turn))
		connectleave();
}

/* From here to the end of the block, however it is left. */
#define DECLARED                                                               \
	bool outer_ __attribute__((cleanup(callend), unused)) = callbegin()

/* A call of libc's that may block: others run on the P meanwhile. */
#define HANDOFF(call)                                                          \
	({                                                                     \
		DECLARED;                                                      \
		call;                                                          \
	})

/* The same, made again as long as it was interrupted by a signal of ours, which no
 * handler of the program has seen; nor does errno show it. Before the first thread, and
 * in a fork child, there is none of ours. */
#define HANDOFF_WHILE(call, interrupted)                                       \
	({                                                                     \
		uint32_t handled_ = gsighandled();                             \
		int e_ = errno;                                                \
		DECLARED;                                                      \
		__typeof__(call) r_;                                           \
                                                                               \
		while (r_ = call,                                              \
		       unlikely(interrupted) && ong() &&                       \
			       gsighandled() == handled_)                      \
			errno = e_;                                            \
		r_;                                                            \
	})
#define BLOCKING(call) HANDOFF_WHILE(call, r_ == -1 && errno == EINTR)
#define BLOCKING_ERROR(call) HANDOFF_WHILE(call, r_ == EINTR)

/* A relative timeout of a call that may be made again: what is left of it. */
struct countdown {
	const struct timespec *asked;
	int64_t deadline;	/* 0: it has not begun */
	struct timespec left;
};
const struct timespec *countdown(struct countdown *c);
/* A system call of block.def's: its result in *res. False: it is none. */
bool blockcall(long n, long *args, long *res);

/* SYS_futex by its number: its result in *res, as syscall's. False: it is the kernel's, and
 * does not wait there. caller: the return address. */
bool futexcall(long *args, void *caller, long *res);

/* Read GMP_SHIM_BLOCKING and do it; its lines of the report; in a fork child
 * (blocking.c, loader.c). */
void blockinginit(void);
void blockingreport(void (*say)(const char *line));
void blockingfork(void);
void loaderfork(void);
/* Find what tells libstdc++'s futexes from others (futex.c). */
void futexinit(void);

/* ---- time ------------------------------------------------------------------------ */

/* An absolute time of that clock as core's deadline. -EINVAL: bad nanoseconds or
 * clock. A null ts is NEVER. */
int deadlineof(clockid_t clock, const struct timespec *ts, int64_t *deadline);
/* Core's deadline for a time from now; ts is valid. */
int64_t deadlinein(const struct timespec *ts);
/* The time until a deadline; false if there is none left. */
bool leftof(int64_t deadline, struct timespec *left);

/* ---- signals ----------------------------------------------------------------------- */

/* Core does signals here; false in the child of a vfork, too. */
static inline bool ownsignals(void)
{
	return sigstarted && !self.vforked;
}

/* A signal set as core has it. */
static inline uint64_t maskof(const sigset_t *set)
{
	uint64_t m;

	memcpy(&m, set, sizeof(m));
	return m;
}

/* A wait of the kernel's under another mask, which it sets and restores itself. */
#define MASKED(set, call)                                                      \
	({                                                                     \
		uint32_t handled_ = gsighandled();                             \
		uint64_t was_;                                                 \
		DECLARED;                                                      \
		int r_, e_;                                                    \
                                                                               \
		do {                                                           \
			gsigmaskcall(maskof(set), &was_);                      \
			r_ = call;                                             \
			e_ = errno;                                            \
			gsigmask(SIG_SETMASK, &was_, NULL);                    \
		} while (r_ < 0 && e_ == EINTR && gsighandled() == handled_ && \
			 !cancelpending());                                    \
		errno = e_;                                                    \
		r_;                                                            \
	})

/* ---- cancellation (pthread_cancel.c) ----------------------------------------------- */

/* A cancellation point: acts on a pending request. */
void cancelpoint(void);
/* The caller has a request that it may act on. */
bool cancelpending(void);
/* An asynchronous request is acted on here, where nothing is held. */
void cancelasync(void);
/* corehooks.attention: scheduling, and an asynchronous request. */
bool cancelattend(enum attention where);
/* A system call, which a request ends: 0 or more, or -E; -EINTR also if there is one. */
long cancelcall(long n, long a, long b, long c, long d, long e, long f);
#define CANCELCALL(n, a, b, c, d, e, f)                                        \
	cancelcall(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e),   \
		   (long)(f))
/* The same as a declared call of libc's that is a cancellation point would be made: it is
 * acted on; -1 and errno. No signal of ours shows. */
long pointcall(long n, long a, long b, long c, long d, long e, long f);
#define POINTCALL_(n, a, b, c, d, e, f, ...)                                   \
	pointcall(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e),    \
		  (long)(f))
#define POINTCALL(...) POINTCALL_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
/* What would be a cancellation point, where there is none. */
#define UNCANCELLED(call)                                                      \
	({                                                                     \
		int state_;                                                    \
		__typeof__(call) r_;                                           \
                                                                               \
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_);       \
		r_ = call;                                                     \
		pthread_setcancelstate(state_, NULL);                          \
		r_;                                                            \
	})
/* semawait, with signals (-EINTR) and cancellation (-ECANCELED) served. A claim in *release is
 * dropped before a cancellation unwinds; release NULL: no cancellation point, and only an
 * asynchronous one does. */
int waitinterruptible(const struct semawait *w, struct thread **release);
/* Give the calling thread's kernel thread its policy and affinity (pthread_sched.c). */
void schedapply(void);
/* The same in the middle of a wait: what it keeps its kernel thread for is as it was. */
void schedapplywired(void);
/* It ends: that kernel thread is as any again. */
void schedrelease(void);
/* At start: record main's policy. True: a real-time one, which is not for all Ms. */
bool schedmain(void);

/* A thread that begins there is a Go run-time's, or one was before: it runs natively
 * (gothread.c). */
bool gothread(void *(*fn)(void *));

/* ---- thread numbers (tid.c) ----------------------------------------------------------- */

#define TIDBASE 0x20000000u /* > pid_max, < FUTEX_TID_MASK */
/* A number for gp's next thread; t's number; whether tid is one of ours; the live thread of that number or NULL. */
int tidnew(struct g *gp);
int tidof(struct thread *t);
bool istid(int tid);
struct thread *threadoftid(int tid);
/* A system call that sends a signal to the process itself or to a thread that we number
 * (kill.c): its result, -E; -ENOSYS if it is none. */
long killcall(long n, long *args);
/* sched_getaffinity(2): how many bytes of the set were filled, or -1 (pthread_sched.c). */
int threadcpus(int tid, size_t size, cpu_set_t *cpus);
/* A system call about thread numbers: its result, -E; -ENOSYS if it is none. */
long tidcall(long n, long *args);

/* A clock of a thread, by number. */
#define THREAD_CLOCK(tid) ((clockid_t)(~(unsigned)(tid) << 3 | 6))
struct g *clockthread(clockid_t clock);

/* ---- what the kernel keeps by thread (keep.c) ------------------------------------------- */

/* The kernel's number for tid, which the caller, if that is its own, keeps; one that is no
 * thread's if there is none to keep. The other way round. */
int kerneltid(int tid);
int ourtid(int tid);
/* The process, if that is a thread's number; else the same. */
int processtid(int tid);
/* The kernel's name for a thread's clock: the same. 0 */
int kernelclock(clockid_t *clock);
int keepprctl(int op, unsigned long a[4]);
/* A system call that changes, or names, a thread: what syscall() returns in *res. */
bool keepcall(long n, long *args, long *res);

/* Some CPU of the set is one that the process may use. */
bool cpusexist(const cpu_set_t *cpus);

/* ---- life (init.c) ------------------------------------------------------------------ */

/* Start the scheduler with the first thread. False: threads are native ones, on our
 * objects, since some may be in use already. */
bool shimstart(void);
/* 1: everything is libc's, 0: ours, -1: not decided yet, which the first wrapper call or
 * our constructor does: other libraries' constructors may run before. */
extern int shimnative __attribute__((visibility("hidden")));
/* Read the settings and decide. Returns shimnative. */
int shiminit(void);
/* First line of every wrapper of an object or a thread. */
#define NATIVELY(f, ...)                                                       \
	do {                                                                   \
		if (unlikely(shimnative) &&                                    \
		    (shimnative > 0 || shiminit()))                            \
			return REAL(f)(__VA_ARGS__);                           \
	} while (0)
/* corehooks.foreign */
void foreignbegin(void);
/* libc's signal 33, which makes setuid and kin reach every kernel thread (setxid.c). */
void setxidwrap(void);
/* A system call that forks: its result in *res. False: it is none (process.c). */
bool forkcall(long n, const long *a, long *res);
/* The same, that execs (exec.c). */
bool execcall(long n, const long *a, long *res);
/* Register the fork handler, before any other. */
void shimatfork(void);
/* Routines that other threads were in are begun anew (pthread_once.c). */
void once_fork(void);
/* Nobody is on the way to a mutex any more (pthread_mutex.c). */
void mutex_fork(void);

#endif
