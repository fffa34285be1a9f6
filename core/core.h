/* core.h - the scheduler as shim/ sees it: the only header of core it includes.
 *
 * A G is a thread as the application sees it, an M a kernel thread, a P the
 * right to run Gs. Nothing here knows a POSIX name. Functions return 0 or -E;
 * times are absolute nanoseconds of the monotonic clock, NEVER is no deadline.
 */
#ifndef CORE_H
#define CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEVER INT64_MAX
#define TLS_IE __attribute__((tls_model("initial-exec"), visibility("hidden")))

/* What runs between two sleeps, when nothing is in the cache: on few pages. */
#define idlepath __attribute__((section(".text.hot")))

struct g;

/* Why a G waits; names in waitreasons[] (panic.c). */
enum waitreason {
	WAIT_NONE,
	WAIT_SLEEP,
	WAIT_MUTEX,
	WAIT_COND,
	WAIT_RWLOCK,
	WAIT_BARRIER,
	WAIT_SEM,
	WAIT_ONCE,
	WAIT_JOIN,
	WAIT_FUTEX,
	WAIT_SIGNAL,
	WAIT_IO,
	WAIT_NREASONS
};

/* Where a G is when corehooks.attention is called. */
enum attention {
	ATTEND_PARKED,	/* in a signal handler, in the middle of a wait: only the kernel
			 * thread under it may be changed. It is called again after that */
	ATTEND_BUSY,	/* in this library's code, or the loader's: it may park */
	ATTEND_FREE,	/* in the program's, or libc's: it may also be unwound */
};

/* What core needs from above and cannot have itself: libc's threads, clock and
 * thread identities. Filled before schedinit; unit tests fill what they use. */
struct corehooks {
	/* Start a kernel thread that runs fn(arg) on [stack, stack + size), all
	 * signals blocked. Called on the template thread, or on that of a kept G. fn
	 * may return: then the kernel thread ends. 0 or -E. */
	int (*thread_start)(void (*fn)(void *), void *arg, void *stack,
			    size_t size);
	/* Nanoseconds of CLOCK_MONOTONIC, without a system call. */
	int64_t (*nanotime)(void);
	/* Build a thread identity at the top of [lo, *hi); lowers *hi to its
	 * lowest byte. Returns the thread pointer, 0 if memory ran out. */
	uintptr_t (*identity_new)(uintptr_t lo, uintptr_t *hi);
	/* Make a used identity as good as new for its next thread. */
	void (*identity_reset)(uintptr_t fs);
	/* gp has left its stack for good: tell who joins it, or gfput it. Runs in
	 * the next context with the M locked: must neither block nor allocate. */
	void (*goexit0)(struct g *gp);
	/* On the G of a gattention. True: call it once more, when it is free. */
	bool (*attention)(enum attention where);
	/* The calling kernel thread, which core did not make, has got a G: see
	 * that dropm is called when it ends. May be NULL. */
	void (*foreign)(void);
	/* The most bytes that the kernel writes for a signal (AT_MINSIGSTKSZ). */
	size_t sigframe;
	/* What every wait looks at in an identity is so far from the thread pointer. */
	size_t identityhot;
	/* The kernel-thread state that the C library keeps for a thread (rseq
	 * area, robust list) moves from thread pointer `from` to `to`. */
	void (*mstate_move)(uintptr_t from, uintptr_t to);
};
extern struct corehooks corehooks __attribute__((visibility("hidden")));

/* ---- options and output ------------------------------------------------- */

#define OPTION_VERSION "0.1.0"
struct options {
#define OPTION(field, env, dflt, lo, hi, what) int64_t field;
#define OPTION_SIGNAL(field, env, dflt, what) int field;
#define OPTION_TEXT(field, env, what) const char *field;
#define OPTION_WORD(field, env, what) int field;
#include "core/option.def"
#undef OPTION
#undef OPTION_SIGNAL
#undef OPTION_TEXT
#undef OPTION_WORD
};
extern struct options options __attribute__((visibility("hidden")));
/* Read every option through get(name) (a getenv); a bad value costs one line on
 * stderr and leaves the default. */
void optionsinit(const char *(*get)(const char *name));
/* The settings in force, one line each, on stderr. */
void optionsprint(void);

/* Format to stderr without malloc, locks or errno: %s %d %u %x %p, l and ll
 * taken. One write a call. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A broken invariant or an impossible request: message, state dump, abort. */
_Noreturn void throw(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

/* ---- life of the scheduler ----------------------------------------------- */

/* True once Gs exist in this process; false again in a fork child. */
extern bool schedstarted __attribute__((visibility("hidden")));
/* Say whether user space may write the thread pointer itself. Returns has. */
bool schedfsgsbase(bool has);
/* The process has a protection key: a G's rights to it move with the G. */
void schedpku(void);
/* Make the calling kernel thread the main G and start the Ms. 0 or -E. */
int schedinit(void);
/* In a fork child: forget every other thread; the caller goes on as a thread
 * of no scheduler. Takes no lock and calls no libc. */
void schedfork(void);
/* For the exit report. */
struct schedcounts {
	uint64_t gs;	       /* ever started */
	uint32_t ms, ps;       /* most kernel threads; Ps */
	uint64_t preempts;
	uint64_t declared;     /* Ps that went on without an M in a declared call, */
	uint64_t unseen;       /* and in one that was found asleep in /proc */
	uint64_t maxwait;      /* ns from runnable to running; with schedtrace */
};
void schedcounts(struct schedcounts *c);
/* Stop every P at its next scheduling point, for at most timeout ns; false (and
 * nothing stopped) if one did not come. Nothing between the two calls libc. */
bool stoptheworld(int64_t timeout);
void starttheworld(void);
/* Change the number of Ps; 0 or -E (EBUSY: the world would not stop). */
int setmaxprocs(uint32_t n);

/* ---- Gs -------------------------------------------------------------------- */

/* The caller's G; made on the spot for a thread that core does not know. */
struct g *getg(void);
/* The calling kernel thread, which core did not make, ends: its G is free. */
void dropm(void);
/* A fresh or recycled G with at least `stacksize` bytes of stack, guard
 * included, or on the caller's own stack if stack is not 0. NULL: no memory.
 * Not runnable yet. */
struct g *gfget(uintptr_t stack, size_t stacksize, size_t guard);
/* Make gp run fn() soon; the signal mask is inherited or given. Those of one kind, which
 * is not 0, may run before the caller goes on, if the last ones soon ended or waited. */
void newproc(struct g *gp, void (*fn)(void), uint64_t sigmask, uintptr_t kind);
/* The same on a kernel thread that the caller's makes, and that gp keeps (gokeep): it has
 * what the kernel hands down from thread to thread. 0 or -E. */
int newprockept(struct g *gp, void (*fn)(void), uint64_t sigmask);
/* Leave this G for ever; goexit0 follows in the next context. Returns to the last one. */
void goexit(void);
/* Give a G that has exited back to the pool. Any M. */
void gfput(struct g *gp);
/* The thread pointer of the kernel thread itself, under whatever G. */
uintptr_t mtp(void);
/* Number of Gs that have not exited, main included. */
uint32_t gcount(void);
/* Let others run; returns at once if there are none. */
void goyield(void);
/* The caller has sent something, or tried to, by that file to somebody whom core does not
 * know; it is about to see what it was sent. Who has sent by one a few times in one turn lets
 * those run first that wait for the same P. Any thread; nothing where there is no P. */
void gosent(int fd);
void goreceive(int fd);
/* The caller is about to wait, perhaps for what a thread that it has just woken will do. True:
 * that one has run first; the caller looks again before it waits. False: there is none, or
 * such turns are not known to be worth it. goturned: the wait has ended, got: with what it
 * was for, and if goturns was true that was there when it looked again. */
bool goturns(void);
void goturned(bool got);
/* Thread pointer, number (unique for the process's life while the G lives, 1 is
 * main) and stack bounds of a G. */
uintptr_t gtp(const struct g *gp);
uint32_t gid(const struct g *gp);
void gstack(const struct g *gp, uintptr_t *lo, uintptr_t *hi);
size_t gguard(const struct g *gp);
/* The G of that number, if there ever was one; the main G, NULL in a process that
 * has none. */
struct g *gbynumber(uint32_t id);
struct g *gmain(void);
/* Call corehooks.attention on that G soon. */
void gattention(struct g *gp);
/* A full barrier on every CPU that runs a thread of ours, so that the other side of a
 * hot path needs none. False: the kernel has none (before 4.14, or forbidden). */
bool barrierall(void);
/* A kernel thread that has what the process has: its affinity is the process's. */
int gsysmontid(void);
/* The kernel thread that runs gp, 0 if none. A hint: it may move at once. */
int gtid(const struct g *gp);
/* Nanoseconds that gp has computed; see cputime.c. Any G that lives. */
int64_t gcputime(struct g *gp);
/* gp is cancelled: its interruptible wait, or the next, ends with -ECANCELED. */
void gcancelwait(struct g *gp);

/* ---- the one blocking primitive ------------------------------------------- */

/* How a wait begins: called with addr's queue locked. True: wait; false:
 * semawait returns -EAGAIN. It may change the object. */
typedef bool (*semacheck)(void *arg);

#define TIMERSTEPS 14 /* of coarse timers; see timer.c */
int64_t timercoarse(int64_t now, uint32_t step);

struct semawait {
	uintptr_t addr;		/* the key */
	uint32_t mask;		/* matched by semawake's; 0 is none */
	enum waitreason reason;
	bool interruptible;	/* signals and cancellation end it */
	bool front;		/* before those who wait already */
	int64_t deadline;
	uint32_t coarse; /* 0, or 1 + step: the deadline is timercoarse's */
	semacheck check;	/* NULL: wait */
	bool (*woken)(void *arg); /* asked if it was; or NULL */
	void *arg;
	void (*unlock)(void *arg); /* after enqueueing, before parking; or NULL */
	void *unlockarg;
};
/* Wait at an address. 0: woken; -EAGAIN: check said no; -ETIMEDOUT; -EINTR: a handler
 * has run; -ECANCELED; else the value that semawake's pick gave (> 0). w->woken comes
 * before any handler runs on who was woken; false makes of 0 -EAGAIN. May park. */
int semawait(const struct semawait *w);
/* A place for one that waits and need not queue up: whom it has woken runs before it, and is
 * likely to wake it (see goturns). All zero at first. While taken is 0 nobody has it. */
struct sematurn {
	uint32_t taken;
	struct g *last; /* who has, or had, it */
};
/* semawait for an object that has such a place, where who wakes looks, too. w->check is asked
 * only when the caller does queue up; w->unlock gives back what all that wait there hold when
 * they call. *lock, unless NULL, is 1 while only its holder is interested in that: it may be
 * handed to the one that runs instead, whose own semawaitturn with this lock returns 1. */
int semawaitturn(const struct semawait *w, struct sematurn *turn,
		 const uint32_t *lock);
/* Wait for nothing: -ETIMEDOUT, -EINTR, -ECANCELED as semawait, interruptible. May park. */
int semasleep(int64_t deadline);
/* Wake up to n waiters of addr whose mask meets `mask`, oldest first. Returns
 * how many. Never looks at the object. Any thread; not async-signal-safe. */
uint32_t semawake(uintptr_t addr, uint32_t n, uint32_t mask);
/* Wake nwake of addr, move up to nmove more to addr2; check as in semawait
 * under both queues' locks. Woken plus moved, or -EAGAIN. */
int64_t semarequeue(uintptr_t addr, uint32_t nwake, uintptr_t addr2,
		    uint32_t nmove, semacheck check, void *arg);

/* Decide with the queue in hand. pick is called with addr's queue locked; it
 * takes waiters off with sematake and changes the object; those taken
 * are woken, with the given results, after the lock is dropped. */
struct semaq;
void semapick(uintptr_t addr, void (*pick)(struct semaq *q, void *arg),
	      void *arg);
/* A waiter whose mask meets mask is still there. */
bool semahas(struct semaq *q, uint32_t mask);
/* Take the oldest waiters whose masks meet mask, n at most; their semawait returns res
 * (>= 0). So many there were. */
uint32_t sematake(struct semaq *q, uint32_t n, uint32_t mask, int res);
/* Wake who has the place. False: nobody has; who had it is in addr's queue by now, and w->check
 * was asked. Within pick, where that is so, addr is 0. Any thread. */
bool sematurned(struct sematurn *turn, uintptr_t addr);
/* All of them, if just those wait with .front: without a look at the others. */
uint32_t sematakefront(struct semaq *q, uint32_t mask, int res);

/* ---- wired Gs ----------------------------------------------------------------- */

/* From gowire on, the caller's G keeps its kernel thread to itself, without a P, and
 * waits on it; for what the kernel knows by thread. Nests. Returns the kernel's
 * number of that thread. */
int gowire(void);
void gounwire(void);
/* The caller's real-time priority, 0 for none: of those that wait, higher ones are woken
 * first. */
void gpriority(int priority);

/* Wired until the G exits, and then its kernel thread ends with it: the kernel keeps there
 * what no other G may have. */
int gokeep(void);
/* It was not necessary. */
void gounkeep(void);

/* Every G becomes a kernel thread of its own, for good: the caller now, the others as
 * soon as they run next. */
void gallnative(void);

/* True while spinning briefly for a lock may pay: another P runs. */
bool canspin(void);

/* ---- signals -------------------------------------------------------------------- */

/* A program's own action for a signal; handler 0 is the default, 1 ignores it. Flags
 * are the kernel's SA_*. */
struct sigact {
	void *handler;
	uint64_t mask;
	unsigned long flags;
};
#define SIGINFO_SIZE 128 /* siginfo_t */
struct sigalt {
	uintptr_t sp;
	size_t size;
	int flags;		/* the kernel's SS_* */
};

/* True once every handler enters through core; it stays so in a fork child. */
extern bool sigstarted __attribute__((visibility("hidden")));
/* Get and set the action of sig, for sigstarted. 0 or -E. */
int gsigaction(int sig, const struct sigact *act, struct sigact *old);
/* Set the caller's signal mask in its G and its M; the old one in *old. */
void gsigmask(int how, const uint64_t *set, uint64_t *old);
/* The same in the record alone, before a system call that sets the kernel's for as
 * long as it waits; gsigmask ends it. */
void gsigmaskcall(uint64_t mask, uint64_t *old);
/* What became of the caller's mask; kept in step by gsigmask. */
uint64_t ggetsigmask(void);
/* Send to a G: its handler runs in that G wherever it is; a wait of it ends with
 * -EINTR. info is a siginfo_t. 0 or -EAGAIN (no memory). Async-signal-safe. */
int gsigsend(struct g *gp, int sig, const void *info);
/* A signal that the process sends to itself goes to the main G, as the kernel prefers
 * the main thread, else to the caller. False: neither lets it in, or it has no handler. */
bool gsigkill(int sig, const void *info);
/* The caller has the kernel send sig to the process, among others: as above. Before that
 * gsigarrived is called, which returns what gsigsent wants to know. */
uint32_t gsigarrived(int sig);
void gsigsent(int sig, uint32_t arrived);
/* Handlers of these do not run until as many calls have said off as on. */
void gsigignore(uint64_t set, bool on);
/* Before an exec: the kernel has the caller's mask, and the signals that wait for the
 * caller. Returns how many are its alone, for gsigstay if that fails. */
uint32_t gsigexec(void);
void gsigstay(uint32_t given);
/* Around what makes a child of libc's that becomes another program, and a vfork: the child
 * inherits the kernel's mask, and actions. The caller stays on its kernel thread. */
void gsigspawn(bool begins);
void gsigvfork(bool begins);
/* In the child of a vfork, before it becomes another program. */
void gsigvforked(void);
/* Signals that wait for the caller alone. */
uint64_t gsigpending(void);
/* Wait for a signal of set, which the caller blocks, by deadline: its number and its
 * siginfo_t; -EAGAIN; -EINTR: a handler ran for another one. */
int gsigwait(uint64_t set, void *info, int64_t deadline);
/* Wait under that mask until a handler has run. */
void gsigsuspend(uint64_t mask);
/* How often a handler has run in the caller; a call that was interrupted while this
 * did not change was interrupted by us. */
uint32_t gsighandled(void);
/* Every handler that ran since the caller's last wait began had SA_RESTART. */
bool gsigrestarts(void);
/* The caller's alternate stack, as sigaltstack(2); sp tells whether it is on it. */
int gsigaltstack(const struct sigalt *ss, struct sigalt *old, uintptr_t sp);
/* In a handler on a kernel thread of core: the thread pointer of that thread, and
 * whether it is a kernel thread of core at all. */
bool gsigm(const void *sp, uintptr_t *tp, struct g **gp);
/* fn(a, b, c) under another thread pointer. In a handler, all signals blocked. */
void gwithtp(uintptr_t tp, void (*fn)(long, long, long), long a, long b,
	     long c);
/* [lo, hi) is code that must not be preempted: at all, or in the first refusals. */
void gpreemptrefuse(uintptr_t lo, uintptr_t hi, bool always);

/* ---- waiting for files (netpoll.c) ------------------------------------------------- */

enum { NETPOLL_READ, NETPOLL_WRITE }; /* directions */
struct polldesc;
/* What a file was when a call that must not block was tried. */
struct pollstate {
	struct polldesc *pd;
	uint32_t gen, seq;
	bool sure;	/* the registration is this file's */
	bool woken;	/* netpollwait has returned 0 */
	bool trusting;	/* netpolltrusted said yes */
	uint32_t step;	/* of the coarse timer */
	int64_t now;	/* of netpolltrusted; 0: not asked */
};
/* Before the try. Any fd, valid or not. */
void netpollbegin(int fd, int dir, struct pollstate *ps);
/* The try said that it would block: park until that may have changed. 0: try again, with
 * the same *ps; -EAGAIN: nothing has changed, but netpolltrusted would say no now;
 * -ETIMEDOUT, -EINTR, -ECANCELED as semawait; -EBADF: the number
 * was closed meanwhile; -EPERM: such a file cannot be polled; another -E: nor can this
 * one now. The caller blocks in the kernel then. */
int netpollwait(int fd, int dir, struct pollstate *ps, int64_t deadline);
/* What was told of the file by netpollhint holds still, although flags and options belong
 * to the file and not to the number: it is young (see netpolllooked), and no
 * netpollchanged came since. */
bool netpolltrusted(struct pollstate *ps);
/* It was made sure of after netpolltrusted said no. */
void netpolllooked(const struct pollstate *ps);
/* Flags or options of some file are about to change. */
void netpollchanged(void);
/* The last read has left nothing, and nothing has come since netpollbegin: not worth a try.
 * For a stream without boundaries. */
bool netpolldrained(const struct pollstate *ps);
/* A read has taken something; `all`: less than it asked for. */
void netpolltook(const struct pollstate *ps, bool all);
/* The call has written something. */
void netpollwrote(int fd, const struct pollstate *ps);
/* The call that netpollwait returned 0 for did not have to wait again: there may be
 * more for the next waiter. */
void netpollpass(int dir, const struct pollstate *ps);
/* What the layer above has learned of the file; forgotten when it is closed. */
uint32_t netpollhints(const struct pollstate *ps);
uint32_t netpollhintsof(int fd); /* without netpollbegin */
void netpollhint(const struct pollstate *ps, uint32_t hint);
void netpollunhint(int fd);

/* One file of several that a G waits for: fd and writes are the caller's to set. */
struct pollnode {
	int fd;
	bool writes; /* room is of interest, too */
	uint32_t *fired;
	struct polldesc *pd;
	struct pollnode *next, **link;
};
/* Wait until look() says that one of them is ready. It is called with all signals put
 * off, must not block, and looks at the files themselves. 0: it said so; -ETIMEDOUT;
 * -ECANCELED; -EINTR: a handler will have run, or gsighandled() is not `handled` any
 * more; -ENOSYS: no poller. */
int netpollgroup(struct pollnode *nodes, uint32_t n, bool (*look)(void *),
		 void *arg, uint32_t handled, int64_t deadline);

/* fd is still the file of netpollbegin, as far as is known. */
bool netpollsame(const struct pollstate *ps);

/* fd is about to be closed, or to become another file: who waits for it ends. */
void netpollclose(int fd);
/* Something was done to fd that no event tells of: who waits for it looks again. */
void netpollkick(int fd);
/* fd has just been made. */
void netpollopen(int fd);
/* The same for [first, last]. Returns the lowest number in it that is the poller's own,
 * UINT32_MAX if there is none. */
uint32_t netpollcloserange(uint32_t first, uint32_t last);
/* fd is the poller's own, which the program has not made and must not close. */
bool netpollown(int fd);
/* fd, if it is the poller's own, is to be free for the program's use. */
void netpollmove(int fd);

/* connect(2) of a tcp socket without waiting, whatever its flags. 0; -EINPROGRESS: the
 * connection is under way, see netpollwait; -ENOSYS: nothing was done; another -E. */
int uringconnect(int fd, const void *addr, uint32_t len);

/* ---- calls that block in the kernel ---------------------------------------- */

/* Around a call that may block: the P can be taken meanwhile. Not nested: the first
 * exitsyscall ends it, and a second entersyscall before it does nothing. False: there was
 * no P to leave, and then exitsyscall may be left out. */
bool entersyscall(void);
/* The same for one that surely blocks: the P is handed on at once. */
void entersyscallblock(void);
/* The caller has no P to lose: it may as well block. */
bool gforeign(void);
/* The caller is an event loop: it serves many files, and waits for all of them. If it
 * computes in calls for so long that its P is taken, it is better off as a kernel thread. */
void gloops(void);
/* As entersyscallblock, if the caller is alone on its P and not too many wait so: for
 * a wait, to `until` at most, that costs least in place. False: nothing was done. */
bool entersyscallwait(int64_t until);
/* The same for a sleep, if no M need be awake for others before it ends. */
bool entersyscallsleep(int64_t until);
/* A system call in such a wait: its result, or -E. -EINTR, too, if *unless is set, or is set
 * and gattention called, before it ends. */
long gsyscall(const uint32_t *unless, long n, long a, long b, long c, long d,
	      long e, long f);
/* A system call that does not wait: its result, or -E. */
long gsyscallnow(long n, long a, long b, long c, long d, long e, long f);
/* That wait is over, after exitsyscall; or is left by a jump. */
void leavesyscallwait(void);
void exitsyscall(void);

#endif
