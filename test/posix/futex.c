/*
 * futex - the system call as libraries make it, through syscall(): wait and
 * wake with their bitset forms, requeue, timeouts, counts and errors, with and
 * without the private flag, on private memory and between processes.
 */
#include "check.h"
#include <linux/futex.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static int flag; /* FUTEX_PRIVATE_FLAG or nothing, for all below */

static long futex(int *addr, int op, int val, const struct timespec *t,
		  int *addr2, unsigned val3)
{
	return syscall(SYS_futex, addr, op | flag, val, t, addr2, val3);
}

struct words {
	int a, b, waiting, woken;
};
static struct words local, *w = &local;

/* Waits until the word has changed, however often it is woken. */
static void *waits(void *arg)
{
	(void)arg;
	ADD(w->waiting, 1);
	while (LOAD(w->a) == 0)
		if (futex(&w->a, FUTEX_WAIT, 0, NULL, NULL, 0) < 0)
			CHECK(errno == EAGAIN || errno == EINTR);
	ADD(w->woken, 1);
	return NULL;
}

static void errors(void)
{
	struct timespec t = { 0, 3000000 }, end, bad = { 0, 1000000000 };

	w->a = 5;
	ERR(EAGAIN, futex(&w->a, FUTEX_WAIT, 4, NULL, NULL, 0));
	end = in_ms(CLOCK_MONOTONIC, 3);
	ERR(ETIMEDOUT, futex(&w->a, FUTEX_WAIT, 5, &t, NULL, 0));
	CHECK(reached(CLOCK_MONOTONIC, &end));
	ERR(EINVAL, futex(&w->a, FUTEX_WAIT, 5, &bad, NULL, 0));
	bad.tv_nsec = -1;
	ERR(EINVAL, futex(&w->a, FUTEX_WAIT, 5, &bad, NULL, 0));
	/* The bitset form has an absolute time, on either clock. */
	end = in_ms(CLOCK_MONOTONIC, 3);
	ERR(ETIMEDOUT, futex(&w->a, FUTEX_WAIT_BITSET, 5, &end, NULL, ~0u));
	CHECK(reached(CLOCK_MONOTONIC, &end));
	end = in_ms(CLOCK_REALTIME, 3);
	ERR(ETIMEDOUT, futex(&w->a, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5,
			     &end, NULL, ~0u));
	CHECK(reached(CLOCK_REALTIME, &end));
	end = in_ms(CLOCK_MONOTONIC, -5);
	ERR(ETIMEDOUT, futex(&w->a, FUTEX_WAIT_BITSET, 5, &end, NULL, ~0u));
	ERR(EAGAIN, futex(&w->a, FUTEX_WAIT_BITSET, 6, &end, NULL, ~0u));
	ERR(EINVAL, futex(&w->a, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0));
	ERR(EINVAL, futex(&w->a, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
	ERR(EINVAL,
	    futex((int *)((char *)&w->a + 1), FUTEX_WAIT, 5, NULL, NULL, 0));
	ERR(EAGAIN, futex(&w->a, FUTEX_CMP_REQUEUE, 1, (void *)1L, &w->b, 6));
	ERR(ENOSYS, futex(&w->a, 99, 0, NULL, NULL, 0));
	CHECK_EQ(futex(&w->a, FUTEX_WAKE, 100, NULL, NULL, 0), 0);
	CHECK_EQ(futex(&w->a, FUTEX_WAKE_BITSET, 9, NULL, NULL, 1), 0);
	CHECK_EQ(futex(&w->a, FUTEX_REQUEUE, 1, (void *)1L, &w->b, 0), 0);
	CHECK_EQ(futex(&w->a, FUTEX_CMP_REQUEUE, 1, (void *)1L, &w->b, 5), 0);
}

/* Exact counts need all of them asleep: each is woken once and returns. */
enum { N = 12 };
static sem_t returned;
static void *sleeps(void *arg)
{
	int set = (int)(long)arg;

	ADD(w->waiting, 1);
	if (set)
		CHECK_EQ(futex(&w->a, FUTEX_WAIT_BITSET, 0, NULL, NULL, set),
			 0);
	else
		CHECK_EQ(futex(&w->a, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
	ADD(w->woken, 1);
	CHECK(sem_post(&returned) == 0);
	return NULL;
}

/*
 * That all are asleep shows only in a wake; so requeue them all to a word and
 * back, which counts them and wakes nobody.  Who is moved in the kernel and gets
 * a signal begins its call anew, at the first word: look again.
 */
static void all_asleep(int n)
{
	int got, back;

	YIELD_UNTIL(LOAD(w->waiting) == n);
	for (;;) {
		got = futex(&w->a, FUTEX_CMP_REQUEUE, 0, (void *)1000L, &w->b,
			    0);
		CHECK(got >= 0 && got <= n);
		back = futex(&w->b, FUTEX_REQUEUE, 0, (void *)1000L, &w->a, 0);
		CHECK(back >= 0 && back <= got);
		if (back == n)
			break;
		sched_yield();
	}
}

static void returned_are(int n)
{
	while (n--)
		while (sem_wait(&returned) < 0)
			CHECK_EQ(errno, EINTR);
	CHECK(sem_trywait(&returned) < 0);
}

static void counts(void)
{
	pthread_t t[N];
	long i;

	memset(w, 0, sizeof(*w));
	for (i = 0; i < N; i++)
		t[i] = start(sleeps, NULL);
	all_asleep(N);
	CHECK_EQ(futex(&w->a, FUTEX_WAKE, 0, NULL, NULL, 0) <= 1, 1);
	/* The kernel wakes one for a count of zero, so this much is sure. */
	CHECK_EQ(futex(&w->a, FUTEX_WAKE, 3, NULL, NULL, 0), 3);
	CHECK(futex(&w->a, FUTEX_WAKE, INT_MAX, NULL, NULL, 0) >= N - 4);
	for (i = 0; i < N; i++)
		join(t[i]);
	returned_are(N);

	section("bitsets");
	memset(w, 0, sizeof(*w));
	for (i = 0; i < N; i++)
		t[i] = start(sleeps, (void *)(1L << i % 3));
	all_asleep(N);
	CHECK_EQ(futex(&w->a, FUTEX_WAKE_BITSET, 100, NULL, NULL, 8), 0);
	CHECK_EQ(futex(&w->a, FUTEX_WAKE_BITSET, 100, NULL, NULL, 2), N / 3);
	returned_are(N / 3);
	CHECK_EQ(futex(&w->a, FUTEX_WAKE_BITSET, 1, NULL, NULL, 5), 1);
	returned_are(1);
	CHECK_EQ(futex(&w->a, FUTEX_WAKE, 100, NULL, NULL, 0), N - N / 3 - 1);
	for (i = 0; i < N; i++)
		join(t[i]);
	returned_are(N - N / 3 - 1);

	section("requeue");
	memset(w, 0, sizeof(*w));
	for (i = 0; i < N; i++)
		t[i] = start(sleeps, NULL);
	all_asleep(N);
	/* REQUEUE counts the woken, CMP_REQUEUE those moved as well. */
	CHECK_EQ(futex(&w->a, FUTEX_CMP_REQUEUE, 2, (void *)3L, &w->b, 0), 5);
	returned_are(2);
	CHECK_EQ(futex(&w->b, FUTEX_WAKE, 100, NULL, NULL, 0), 3);
	returned_are(3);
	i = futex(&w->a, FUTEX_REQUEUE, 1, (void *)100L, &w->b, 0);
	CHECK(i == 1 || i == N - 5);
	returned_are(1);
	CHECK_EQ(futex(&w->a, FUTEX_WAKE, 100, NULL, NULL, 0), 0);
	CHECK_EQ(futex(&w->b, FUTEX_WAKE, 2, NULL, NULL, 0), 2);
	returned_are(2);
	CHECK_EQ(futex(&w->b, FUTEX_WAKE, 100, NULL, NULL, 0), N - 8);
	for (i = 0; i < N; i++)
		join(t[i]);
	returned_are(N - 8);

	section("wake at two words");
	memset(w, 0, sizeof(*w));
	for (i = 0; i < N; i++)
		t[i] = start(sleeps, NULL);
	all_asleep(N);
	CHECK_EQ(futex(&w->a, FUTEX_CMP_REQUEUE, 0, (void *)3L, &w->b, 0), 3);
	CHECK_EQ(futex(&w->a, FUTEX_WAKE_OP, 1, (void *)2L, &w->b,
		       FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 0)), 3);
	returned_are(3);
	CHECK_EQ(w->b, 5);
	/* the shifted form; it does not compare, so the second is left alone */
	CHECK_EQ(futex(&w->a, FUTEX_WAKE_OP, 1, (void *)2L, &w->b,
		       FUTEX_OP((FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT), 3,
				FUTEX_OP_CMP_LT, 5)), 1);
	returned_are(1);
	CHECK_EQ(w->b, 13);
	/* arguments have a sign */
	CHECK_EQ(futex(&w->a, FUTEX_WAKE_OP, 1, (void *)2L, &w->b,
		       FUTEX_OP(FUTEX_OP_SET, -1, FUTEX_OP_CMP_GT, -2)), 2);
	returned_are(2);
	CHECK_EQ(w->b, -1);
	ERR(ENOSYS, futex(&w->a, FUTEX_WAKE_OP, 1, (void *)1L, &w->b,
			  FUTEX_OP(6, 1, FUTEX_OP_CMP_EQ, 0)));
	CHECK_EQ(futex(&w->a, FUTEX_WAKE, 100, NULL, NULL, 0), N - 6);
	for (i = 0; i < N; i++)
		join(t[i]);
	returned_are(N - 6);
}

/* The three-state lock of many a library, and its waiters. */
static long counter;
static void lock(int *word)
{
	int c = 0;

	if (__atomic_compare_exchange_n(word, &c, 1, 0, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		return;
	while (__atomic_exchange_n(word, 2, __ATOMIC_SEQ_CST) != 0)
		futex(word, FUTEX_WAIT, 2, NULL, NULL, 0);
}

static void unlock(int *word)
{
	if (__atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST) == 2)
		futex(word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void *locks(void *arg)
{
	int i;

	for (i = 0; i < 500; i++) {
		lock(&w->a);
		counter++;
		if (i % 50 == 0)
			sched_yield();
		unlock(&w->a);
	}
	return arg;
}

static void one_memory(const char *what)
{
	pthread_t t[N];
	int i;

	printf("%s, %s flag\n", what, flag ? "private" : "no");
	section("errors");
	errors();
	section("counts");
	counts();
	section("lock");
	memset(w, 0, sizeof(*w));
	counter = 0;
	for (i = 0; i < N; i++)
		t[i] = start(locks, NULL);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(counter, N * 500);
	section("wake all");
	memset(w, 0, sizeof(*w));
	for (i = 0; i < N; i++)
		t[i] = start(waits, NULL);
	YIELD_UNTIL(LOAD(w->waiting) == N);
	STORE(w->a, 1);
	CHECK(futex(&w->a, FUTEX_WAKE, INT_MAX, NULL, NULL, 0) <= N);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(w->woken, N);
}

/* Threads of a child, woken by threads here, and the reverse. */
static void between_processes(void)
{
	pthread_t t[N];
	pid_t pid;
	int i;

	memset(w, 0, sizeof(*w));
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	for (i = 0; i < N; i++)
		t[i] = start(waits, NULL);
	if (pid == 0) {
		for (i = 0; i < N; i++)
			join(t[i]);
		_exit(0);
	}
	YIELD_UNTIL(LOAD(w->waiting) == 2 * N);
	STORE(w->a, 1);
	CHECK(futex(&w->a, FUTEX_WAKE, INT_MAX, NULL, NULL, 0) <= 2 * N);
	for (i = 0; i < N; i++)
		join(t[i]);
	reap(pid, 0);
	CHECK_EQ(w->woken, 2 * N);
}

/* Another mapping in place of one, by MAP_FIXED, by munmap and mmap, by mremap and by a
 * system call that nobody sees. */
static void replaced(void *p)
{
	long len = 4096, rw = PROT_READ | PROT_WRITE, got;
	void *far;
	int i;

	for (i = 0; i < 4; i++) {
		w = mmap(p, len, rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			 -1, 0);
		CHECK(w == p);
		counts();
		if (i == 1)
			CHECK(munmap(p, len) == 0);
		if (i == 2) {
			far = mmap(NULL, len, rw, MAP_SHARED | MAP_ANONYMOUS,
				   -1, 0);
			CHECK(mremap(far, len, len,
				     MREMAP_MAYMOVE | MREMAP_FIXED, p) == p);
		} else if (i == 3) {
			register long r10 __asm__("r10") =
				MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;
			register long r8 __asm__("r8") = -1;
			register long r9 __asm__("r9") = 0;

			__asm__ volatile("syscall"
					 : "=a"(got)
					 : "0"(SYS_mmap), "D"(p), "S"(len),
					   "d"(rw), "r"(r10), "r"(r8), "r"(r9)
					 : "rcx", "r11", "memory");
			CHECK(got == (long)p);
		} else {
			CHECK(mmap(p, len, rw,
				   MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1,
				   0) == p);
		}
		between_processes();
	}
}

int main(void)
{
	pthread_t t[N];
	void *private, *shared;
	pid_t pid;
	int i;

	CHECK(sem_init(&returned, 0, 0) == 0);
	private = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(private != MAP_FAILED && shared != MAP_FAILED);
	flag = FUTEX_PRIVATE_FLAG;
	one_memory("static memory");
	w = private;
	one_memory("private mapping");
	flag = 0;
	one_memory("private mapping");
	w = &local;
	one_memory("static memory");
	w = shared;
	one_memory("shared mapping");

	section("between processes");
	between_processes();
	section("another mapping");
	replaced(private);
	w = shared;

	section("lock between processes");
	memset(w, 0, sizeof(*w));
	pid = fork();
	CHECK(pid >= 0);
	for (i = 0; i < N; i++)
		t[i] = start(locks, NULL);
	for (i = 0; i < N; i++)
		join(t[i]);
	if (pid == 0)
		_exit(0);
	reap(pid, 0);
	return 0;
}
