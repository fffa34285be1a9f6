/*
 * odd_threads - threads that the program has not made: libc runs callbacks of
 * timers, asynchronous reads and writes, name look-ups and message queues in
 * threads of its own, and raw clone makes some that no library knows.  From all
 * of them the program uses what its own threads use, too: locks, conditions,
 * semaphores, pipes, threads, keys.  Nothing is lost, and counts balance.
 *
 * odd_threads [callbacks of each kind]
 */
#include "check.h"
#include <aio.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <netdb.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { CROWD = 3, CHUNK = 6000, TIMERS = 8, LIST = 4, RAW_STACK = 64 << 10 };

static long rounds = 260;

/* ---- What callbacks share with the program's threads --------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t owned = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static long locked, shared; /* by lock, by rwlock */
static long mine, theirs;   /* how often each had it */

static pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked_one = PTHREAD_COND_INITIALIZER;
static pthread_cond_t answered_one = PTHREAD_COND_INITIALIZER;
static long asked, answered;

static sem_t request, reply;
static int question[2], echo[2], narrow[2];
static long poured;

static pthread_key_t key;
static long keyed, destroyed;
static long called; /* callbacks that have ended */
static int stop;
static __thread long own;

/* Two rounds of destructors, and they may wait as well. */
static void destroy(void *value)
{
	long *n = value;

	OK(pthread_mutex_lock(&lock));
	locked++;
	theirs++;
	OK(pthread_mutex_unlock(&lock));
	if (--*n > 0) {
		OK(pthread_setspecific(key, value));
		return;
	}
	free(value);
	ADD(destroyed, 1);
}

static void *locks(void *arg)
{
	(void)arg;
	while (!LOAD(stop)) {
		OK(pthread_mutex_lock(&lock));
		locked++;
		mine++;
		if (mine % 8 == 0)
			sched_yield();
		OK(pthread_mutex_unlock(&lock));
		if (mine % 64 == 0)
			usleep(50);
		else
			sched_yield();
	}
	return NULL;
}

static void *answers(void *arg)
{
	OK(pthread_mutex_lock(&asking));
	for (;;) {
		while (asked == answered && !LOAD(stop))
			OK(pthread_cond_wait(&asked_one, &asking));
		if (asked == answered)
			break;
		answered = asked;
		OK(pthread_cond_broadcast(&answered_one));
	}
	OK(pthread_mutex_unlock(&asking));
	return arg;
}

static void *replies(void *arg)
{
	for (;;) {
		CHECK(sem_wait(&request) == 0);
		if (LOAD(stop))
			return arg;
		CHECK(sem_post(&reply) == 0);
	}
}

static void *echoes(void *arg)
{
	char c;

	while (read(question[0], &c, 1) == 1)
		CHECK_EQ(write(echo[1], &c, 1), 1);
	return arg;
}

static void *pours(void *arg)
{
	char buf[1000];
	ssize_t n;

	while ((n = read(narrow[0], buf, sizeof(buf))) > 0)
		poured += n;
	return arg;
}

static void *child(void *arg)
{
	long *n = arg;

	own += *n;
	OK(pthread_mutex_lock(&lock));
	locked++;
	theirs++;
	OK(pthread_mutex_unlock(&lock));
	*n += own;
	return n;
}

/* ---- A callback ---------------------------------------------------------- */

static void uses_locks(void)
{
	long before;

	OK(pthread_mutex_lock(&lock));
	locked++;
	theirs++;
	sched_yield();
	OK(pthread_mutex_unlock(&lock));
	OK(pthread_rwlock_wrlock(&rwlock));
	before = ++shared;
	OK(pthread_rwlock_unlock(&rwlock));
	OK(pthread_rwlock_rdlock(&rwlock));
	CHECK(shared >= before);
	OK(pthread_rwlock_unlock(&rwlock));
}

static void uses_waits(void)
{
	struct timespec end = far_off(CLOCK_REALTIME);
	long me;

	OK(pthread_mutex_lock(&asking));
	me = ++asked;
	OK(pthread_cond_signal(&asked_one));
	while (answered < me)
		OK(me % 2 ? pthread_cond_wait(&answered_one, &asking) :
			    pthread_cond_timedwait(&answered_one, &asking,
						   &end));
	OK(pthread_mutex_unlock(&asking));
	CHECK(sem_post(&request) == 0);
	CHECK(sem_wait(&reply) == 0);
	usleep(1);
}

static void uses_files(void)
{
	static const char zeroes[CHUNK];
	char c = 'q';

	CHECK_EQ(write(question[1], &c, 1), 1);
	c = 0;
	CHECK_EQ(read(echo[0], &c, 1), 1);
	CHECK_EQ(c, 'q');
	/* More than goes in at once. */
	CHECK_EQ(write(narrow[1], zeroes, CHUNK), CHUNK);
}

static void uses_threads(void)
{
	long n = 7;

	CHECK(join(start(child, &n)) == &n);
	CHECK_EQ(n, 14);
}

/* A thread may be called once or, where libc keeps it, again. */
static void uses_key(void)
{
	long *n = pthread_getspecific(key);

	if (!n) {
		n = malloc(sizeof(*n));
		CHECK(n);
		ADD(keyed, 1);
	}
	*n = 2;
	OK(pthread_setspecific(key, n));
	CHECK(pthread_getspecific(key) == n);
}

static void work(sem_t *finished)
{
	pthread_t self = pthread_self();
	long was = ++own;

	errno = ERRNO_MARK;
	uses_key();
	uses_locks();
	uses_waits();
	uses_files();
	uses_threads();
	CHECK_EQ(errno, ERRNO_MARK);
	CHECK(pthread_equal(self, pthread_self()));
	CHECK_EQ(own, was);
	CHECK(pthread_getspecific(key));
	ADD(called, 1);
	CHECK(sem_post(finished) == 0);
}

static void called_back(union sigval v)
{
	work(v.sival_ptr);
}

static struct sigevent event(sem_t *finished)
{
	return (struct sigevent){ .sigev_notify = SIGEV_THREAD,
				  .sigev_notify_function = called_back,
				  .sigev_value.sival_ptr = finished };
}

/* So many callbacks have been. */
static void finishes(sem_t *finished, long n)
{
	while (n-- > 0)
		while (sem_wait(finished))
			CHECK_EQ(errno, EINTR);
}

/* ---- timer_create -------------------------------------------------------- */

static void timers(sem_t *finished)
{
	struct itimerspec soon = { .it_value = { 0, 100000 } };
	struct sigevent ev = event(finished);
	timer_t timer[TIMERS];
	long i, k;

	for (i = 0; i < TIMERS; i++)
		CHECK(timer_create(CLOCK_MONOTONIC, &ev, &timer[i]) == 0);
	for (k = 0; k < rounds; k += TIMERS) {
		for (i = 0; i < TIMERS; i++)
			CHECK(timer_settime(timer[i], 0, &soon, NULL) == 0);
		/* Each is set again when all have come. */
		finishes(finished, TIMERS);
	}
	for (i = 0; i < TIMERS; i++)
		CHECK(timer_delete(timer[i]) == 0);
}

/* ---- aio ----------------------------------------------------------------- */

static void is_done(struct aiocb *cb, long n)
{
	int e;

	/* The callback may come first. */
	YIELD_UNTIL((e = aio_error(cb)) != EINPROGRESS);
	CHECK_EQ(e, 0);
	CHECK_EQ(aio_return(cb), n);
}

/* Reads wait for what is written, both are told by a callback. */
static void aio_callbacks(sem_t *finished)
{
	struct aiocb in, out;
	char from[16] = "asynchronously", to[16];
	int fd[2];
	long k;

	CHECK(pipe(fd) == 0);
	for (k = 0; k < rounds; k += 2) {
		in = (struct aiocb){ .aio_fildes = fd[0],
				     .aio_buf = to,
				     .aio_nbytes = sizeof(to),
				     .aio_sigevent = event(finished) };
		out = in;
		out.aio_fildes = fd[1];
		out.aio_buf = from;
		memset(to, 0, sizeof(to));
		CHECK(aio_read(&in) == 0);
		CHECK(aio_write(&out) == 0);
		finishes(finished, 2);
		is_done(&in, sizeof(to));
		is_done(&out, sizeof(from));
		CHECK(memcmp(from, to, sizeof(to)) == 0);
	}
	CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
}

/* Waited for by the program's threads; the last time round by a callback. */
static void aio_lists(sem_t *finished)
{
	struct aiocb cb[LIST], *list[LIST];
	struct sigevent ev = event(finished);
	char to[LIST];
	int fd[LIST][2], i;
	long k;

	for (i = 0; i < LIST; i++)
		CHECK(pipe(fd[i]) == 0);
	for (k = 0; k < rounds / 4; k++) {
		for (i = 0; i < LIST; i++) {
			cb[i] = (struct aiocb){ .aio_fildes = fd[i / 2][i % 2],
						.aio_buf = &to[i],
						.aio_nbytes = 1,
						.aio_lio_opcode =
							i % 2 ? LIO_WRITE :
								LIO_READ,
						.aio_sigevent.sigev_notify =
							SIGEV_NONE };
			list[i] = &cb[i];
			to[i] = (char)('a' + i);
		}
		CHECK(lio_listio(k % 2 ? LIO_WAIT : LIO_NOWAIT, list, LIST,
				 k % 2 ? NULL : &ev) == 0);
		for (i = 0; i < LIST && k % 2 == 0; i++)
			while (aio_error(&cb[i]) == EINPROGRESS) {
				const struct aiocb *one[] = { &cb[i] };

				CHECK(aio_suspend(one, 1, NULL) == 0 ||
				      errno == EINTR);
			}
		for (i = 0; i < LIST; i++)
			is_done(&cb[i], 1);
		CHECK(to[0] == 'b' && to[2] == 'd');
		if (k % 2 == 0)
			finishes(finished, 1);
	}
	for (i = 0; i < LIST; i++)
		CHECK(close(fd[i][0]) == 0 && close(fd[i][1]) == 0);
}

/* ---- getaddrinfo_a ------------------------------------------------------- */

static void names(sem_t *finished)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST,
				  .ai_socktype = SOCK_STREAM };
	struct sigevent ev = event(finished);
	struct gaicb cb[LIST], *list[LIST];
	int i, e;
	long k;

	for (k = 0; k < rounds; k++) {
		for (i = 0; i < LIST; i++) {
			cb[i] = (struct gaicb){ .ar_name = i % 2 ? "::1" :
								   "127.0.0.1",
						.ar_request = &hints };
			list[i] = &cb[i];
		}
		CHECK_EQ(getaddrinfo_a(k % 3 ? GAI_NOWAIT : GAI_WAIT, list,
				       LIST, k % 3 ? &ev : NULL), 0);
		for (i = 0; i < LIST && k % 3 == 1; i++)
			while (gai_error(&cb[i]) == EAI_INPROGRESS) {
				const struct gaicb *one[] = { &cb[i] };

				e = gai_suspend(one, 1, NULL);
				CHECK(e == 0 || e == EAI_ALLDONE ||
				      e == EAI_INTR);
			}
		for (i = 0; i < LIST; i++) {
			YIELD_UNTIL((e = gai_error(&cb[i])) !=
				    EAI_INPROGRESS);
			CHECK_EQ(e, 0);
			CHECK_EQ(cb[i].ar_result->ai_family,
				 i % 2 ? AF_INET6 : AF_INET);
			freeaddrinfo(cb[i].ar_result);
		}
		if (k % 3)
			finishes(finished, 1);
	}
}

/* ---- mq_notify ----------------------------------------------------------- */

static mqd_t queue;
static long taken;

static void arrived(union sigval v)
{
	struct sigevent ev = event(v.sival_ptr);
	char buf[8];

	/* Before the queue is empty, or none is told of the next. */
	ev.sigev_notify_function = arrived;
	CHECK(mq_notify(queue, &ev) == 0);
	while (mq_receive(queue, buf, sizeof(buf), NULL) >= 0)
		ADD(taken, 1);
	CHECK_EQ(errno, EAGAIN);
	work(v.sival_ptr);
}

static void queues(sem_t *finished)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	struct sigevent ev = event(finished);
	char name[64];
	long k;

	snprintf(name, sizeof(name), "/odd_threads.%d", (int)getpid());
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600,
			&attr);
	if (queue == (mqd_t)-1 && (errno == ENOSYS || errno == EACCES))
		return;
	CHECK(queue != (mqd_t)-1);
	CHECK(mq_unlink(name) == 0);
	ev.sigev_notify_function = arrived;
	CHECK(mq_notify(queue, &ev) == 0);
	for (k = 1; k <= rounds; k++) {
		CHECK(mq_send(queue, "m", 1, 0) == 0);
		finishes(finished, 1);
		CHECK_EQ(LOAD(taken), k);
	}
	CHECK(mq_notify(queue, NULL) == 0);
	CHECK(mq_close(queue) == 0);
}

/* ---- raw clone ----------------------------------------------------------- */

#define THREAD_FLAGS                                                           \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |    \
	 CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

/*
 * Runs fn(arg) in a new thread, which is not on this stack; *tid is 0 once it
 * is gone, and a futex that all can wait for.
 */
__attribute__((naked, noinline)) static long
clone_raw(UNUSED unsigned long flags, UNUSED void *stack, UNUSED int *tid,
	  UNUSED void *tls, UNUSED void (*fn)(void *), UNUSED void *arg)
{
	__asm__("movq %rdx, %r10\n\t" /* child's tid; the parent's is rdx */
		"movq %r8, %r11\n\t"
		"movq %rcx, %r8\n\t"
		"movq %r9, -8(%rsi)\n\t"
		"movq %r11, -16(%rsi)\n\t"
		"subq $16, %rsi\n\t"
		"movl $56, %eax\n\t"
		"syscall\n\t"
		"testq %rax, %rax\n\t"
		"jnz 1f\n\t"
		"xorl %ebp, %ebp\n\t"
		"popq %rax\n\t"
		"popq %rdi\n\t"
		"callq *%rax\n\t"
		"movl $60, %eax\n\t"
		"xorl %edi, %edi\n\t"
		"syscall\n\t"
		"hlt\n"
		"1:\tret");
}

static void gone(int *tid)
{
	int n;

	while ((n = LOAD(*tid)))
		syscall(SYS_futex, tid, FUTEX_WAIT, n, NULL);
}

struct raw {
	char *stack;
	int fd[2], tid;
	long n;
};

static long kernel(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

/* Its thread pointer is its maker's, so nothing of libc's is allowed. */
__attribute__((no_stack_protector)) static void bare(void *arg)
{
	struct raw *r = arg;
	char c;

	/* Blocks until the maker has gone on, maybe on another CPU. */
	if (kernel(SYS_read, r->fd[0], (long)&c, 1) == 1 && c == 'b')
		__atomic_add_fetch(&r->n, 1, __ATOMIC_SEQ_CST);
}

static void make_raw(struct raw *r)
{
	r->stack = mmap(NULL, RAW_STACK, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(r->stack != MAP_FAILED);
	CHECK(pipe(r->fd) == 0);
	r->n = 0;
}

static void end_raw(struct raw *r)
{
	gone(&r->tid);
	CHECK(close(r->fd[0]) == 0 && close(r->fd[1]) == 0);
	CHECK(munmap(r->stack, RAW_STACK) == 0);
}

static void *makes_bare(void *arg)
{
	struct raw r;
	long k;

	for (k = 0; k < rounds / 4; k++) {
		make_raw(&r);
		CHECK(clone_raw(THREAD_FLAGS, r.stack + RAW_STACK, &r.tid,
				NULL, bare, &r) > 0);
		own++;
		errno = ERRNO_MARK;
		uses_locks();
		CHECK_EQ(errno, ERRNO_MARK);
		CHECK_EQ(write(r.fd[1], "b", 1), 1);
		end_raw(&r);
		CHECK_EQ(r.n, 1);
	}
	CHECK_EQ(own, rounds / 4);
	return arg;
}

static void raw_threads(sem_t *unused)
{
	pthread_t t[CROWD];
	int i;

	(void)unused;
	for (i = 0; i < CROWD; i++)
		t[i] = start(makes_bare, NULL);
	for (i = 0; i < CROWD; i++)
		join(t[i]);
}

/*
 * With thread-local storage of its own, as libc's loader makes it, a thread can
 * call what needs no more of libc than that.
 */
static void storied(void *arg)
{
	struct raw *r = arg;
	char c;

	own++;
	errno = 0;
	OK(pthread_mutex_lock(&lock));
	locked++;
	theirs++;
	OK(pthread_mutex_unlock(&lock));
	CHECK(sem_post(&request) == 0);
	CHECK(sem_wait(&reply) == 0);
	CHECK_EQ(read(r->fd[0], &c, 1), 1);
	CHECK_EQ(c, 's');
	CHECK_EQ(own, 1);
	ADD(r->n, 1);
}

/* It ends without a word to anybody, as all of them do. */
static void brief(void *arg)
{
	struct raw *r = arg;

	own++;
	OK(pthread_mutex_lock(&owned)); /* a number of its own */
	OK(pthread_mutex_lock(&owned));
	OK(pthread_mutex_unlock(&owned));
	OK(pthread_mutex_unlock(&owned));
	CHECK_EQ(own, 1);
	r->n++;
}

/* One after the other, n of them. */
static void with_storage(long n, void (*fn)(void *))
{
	/* Not for programs: but there are some that call it. */
	void *(*make)(void *) = (void *(*)(void *))dlsym(RTLD_DEFAULT,
							 "_dl_allocate_tls");
	void (*end)(void *, int) = (void (*)(void *, int))dlsym(
		RTLD_DEFAULT, "_dl_deallocate_tls");
	enum { HEADER = 4096 }; /* what lies at and above the thread pointer */
	uintptr_t guards[2];
	struct raw r;
	char **tp;
	long k;

	if (!make || !end)
		return;
	__asm__("movq %%fs:0x28, %0" : "=r"(guards[0]));
	__asm__("movq %%fs:0x30, %0" : "=r"(guards[1]));
	make_raw(&r);
	for (k = 1; k <= n; k++) {
		tp = make(NULL);
		CHECK(tp);
		tp[0] = tp[2] = (char *)tp;
		memcpy(&tp[5], guards, sizeof(guards));
		CHECK(clone_raw(THREAD_FLAGS | CLONE_SETTLS,
				r.stack + RAW_STACK, &r.tid, tp, fn, &r) > 0);
		if (fn == storied)
			CHECK_EQ(write(r.fd[1], "s", 1), 1);
		gone(&r.tid);
		CHECK_EQ(LOAD(r.n), k);
		end(tp, 1);
	}
	end_raw(&r);
}

static void threads_with_storage(sem_t *unused)
{
	(void)unused;
	with_storage(rounds / 4, storied);
}

/* ---- All of them --------------------------------------------------------- */

static const struct kind {
	const char *name;
	void (*run)(sem_t *finished);
} kinds[] = {
	{ "timers", timers },
	{ "asynchronous reads and writes", aio_callbacks },
	{ "lists of them", aio_lists },
	{ "names", names },
	{ "queues", queues },
	{ "raw threads", raw_threads },
	{ "raw threads with storage", threads_with_storage },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void *runs(void *arg)
{
	const struct kind *kind = arg;
	sem_t finished;

	CHECK(sem_init(&finished, 0, 0) == 0);
	kind->run(&finished);
	CHECK(sem_trywait(&finished) < 0);
	CHECK(sem_destroy(&finished) == 0);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t crowd[CROWD], server[4], t[KINDS];
	long i;

	if (argc > 1)
		rounds = atol(argv[1]);
	CHECK(sem_init(&request, 0, 0) == 0 && sem_init(&reply, 0, 0) == 0);
	CHECK(pipe(question) == 0 && pipe(echo) == 0 && pipe(narrow) == 0);
	CHECK(fcntl(narrow[1], F_SETPIPE_SZ, 4096) > 0);
	OK(pthread_key_create(&key, destroy));
	for (i = 0; i < CROWD; i++)
		crowd[i] = start(locks, NULL);
	server[0] = start(answers, NULL);
	server[1] = start(replies, NULL);
	server[2] = start(echoes, NULL);
	server[3] = start(pours, NULL);
	for (i = 0; i < KINDS; i++) {
		section(kinds[i].name);
		/* Some of them from the main thread. */
		if (i % 2)
			runs((void *)&kinds[i]);
		else
			join(start(runs, (void *)&kinds[i]));
	}
	/* More than can be alive at once. */
	section("twelve thousand with storage");
	with_storage(12000, brief);
	section("all at once");
	taken = 0;
	rounds = rounds / 4 + 1;
	for (i = 0; i < KINDS; i++)
		t[i] = start(runs, (void *)&kinds[i]);
	for (i = 0; i < KINDS; i++)
		join(t[i]);
	/* Threads of libc's end a little after their last callback. */
	YIELD_UNTIL(LOAD(destroyed) == LOAD(keyed));
	STORE(stop, 1);
	OK(pthread_mutex_lock(&asking));
	OK(pthread_cond_signal(&asked_one));
	OK(pthread_mutex_unlock(&asking));
	CHECK(sem_post(&request) == 0);
	CHECK(close(question[1]) == 0 && close(narrow[1]) == 0);
	for (i = 0; i < 4; i++)
		join(server[i]);
	for (i = 0; i < CROWD; i++)
		join(crowd[i]);
	CHECK_EQ(locked, mine + theirs);
	CHECK_EQ(asked, called);
	CHECK_EQ(answered, called);
	CHECK_EQ(poured, called * CHUNK);
	printf("all balances\n");
	return 0;
}
