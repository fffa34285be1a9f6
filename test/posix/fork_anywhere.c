/*
 * fork_anywhere - fork from wherever a thread can be: a kernel thread of its
 * own, signal handlers, coroutines, destructors, cleanup and fork handlers,
 * callbacks of the C library's, threads that the C library has made; by fork
 * and by what is below it.  The child is the forking thread, alone, and must
 * be able to do all that a process can: threads, waits, signals from outside,
 * forks of its own.  Meanwhile other threads compute, wait and lock.
 *
 * fork_anywhere [rounds]
 */
#include "sigcheck.h"
#include <poll.h>
#include <semaphore.h>
#include <sys/mman.h>

static __thread long mine;
static pthread_key_t key;
static const char *place; /* for what fails */

/* ---- What a child does --------------------------------------------------- */

static sem_t signalled;
static void on_signal(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	CHECK(sem_post(&signalled) == 0);
}

struct team {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int there, go, fd[2];
};

static void *member(void *arg)
{
	struct team *team = arg;
	char c;

	CHECK_EQ(mine, 0);
	mine = 1;
	CHECK_EQ(pthread_setspecific(key, NULL), 0);
	OK(pthread_mutex_lock(&team->lock));
	team->there++;
	OK(pthread_cond_broadcast(&team->cond));
	while (!team->go)
		OK(pthread_cond_wait(&team->cond, &team->lock));
	OK(pthread_mutex_unlock(&team->lock));
	usleep(50);
	CHECK(read(team->fd[0], &c, 1) == 1);
	return arg;
}

static void threads_work(void)
{
	struct team team = { .lock = PTHREAD_MUTEX_INITIALIZER,
			     .cond = PTHREAD_COND_INITIALIZER };
	pthread_t t[3];
	int i;

	CHECK(pipe(team.fd) == 0);
	for (i = 0; i < 3; i++)
		t[i] = start(member, &team);
	OK(pthread_mutex_lock(&team.lock));
	while (team.there < 3)
		OK(pthread_cond_wait(&team.cond, &team.lock));
	team.go = 1;
	OK(pthread_cond_broadcast(&team.cond));
	OK(pthread_mutex_unlock(&team.lock));
	usleep(200);
	CHECK(write(team.fd[1], "abc", 3) == 3);
	for (i = 0; i < 3; i++)
		CHECK(join(t[i]) == &team);
	close(team.fd[0]);
	close(team.fd[1]);
}

static void *sleeps(void *arg)
{
	while (sem_wait(arg) < 0)
		CHECK_EQ(errno, EINTR);
	return arg;
}

/* From another process, while all threads here wait. */
static void signals_work(void)
{
	pid_t me = getpid(), pid;
	pthread_t t;
	sem_t sem;

	CHECK(sem_init(&signalled, 0, 0) == 0 && sem_init(&sem, 0, 0) == 0);
	install_with(SIGUSR1, on_signal, SA_RESTART, SET());
	unblock(SIGUSR1);
	t = start(sleeps, &sem);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		usleep(500);
		_exit(kill(me, SIGUSR1) ? 1 : 4);
	}
	sleeps(&signalled);
	reap(pid, 4);
	CHECK(sem_post(&sem) == 0);
	CHECK(join(t) == &sem);
}

static void *forks_again(void *arg)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK_EQ(mine, 0);
		threads_work();
		_exit(6);
	}
	reap(pid, 6);
	return arg;
}

static void as_child(long was, pthread_t self)
{
	sigset_t pending;

	alarm(40); /* it may be in a group of its own */
	CHECK(pthread_equal(self, pthread_self()));
	CHECK_EQ(mine, was);
	CHECK_EQ(syscall(SYS_gettid), getpid());
	CHECK(sigpending(&pending) == 0);
	CHECK(!sigismember(&pending, SIGUSR2));
	threads_work();
	CHECK_EQ(gettid(), getpid());
	signals_work();
	CHECK(join(start(forks_again, &key)) == &key);
	_exit(9);
}

/* ---- The ways ------------------------------------------------------------ */

static int raw; /* by which call */

static int clone_child(void *arg)
{
	as_child(*(long *)arg, pthread_self());
	return 0;
}

static pid_t by_clone(long *was)
{
	size_t size = 256 << 10;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	CHECK(stack != MAP_FAILED);
	pid = clone(clone_child, stack + size, SIGCHLD, was);
	munmap(stack, size);
	return pid;
}

static void fork_here(void)
{
	pthread_t self = pthread_self();
	long was = mine;
	pid_t pid;

	CHECK(sigpending(&(sigset_t){ 0 }) == 0);
	switch (raw) {
	case 1:
		pid = _Fork();
		break;
	case 2:
		pid = (pid_t)syscall(SYS_fork);
		break;
	case 3:
		pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		break;
	case 4:
		pid = by_clone(&was);
		break;
	default:
		pid = fork();
	}
	CHECK(pid >= 0);
	if (pid == 0)
		as_child(was, self);
	reap(pid, 9);
	CHECK_EQ(mine, was);
}

/* ---- The places ---------------------------------------------------------- */

static void *plain(void *arg)
{
	mine = 20;
	/* pending for this thread: not for its child */
	block(SIGUSR2);
	CHECK(raise(SIGUSR2) == 0);
	fork_here();
	return arg;
}

static void *wired(void *arg)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t robust;

	mine = 21;
	OK(pthread_mutexattr_init(&attr));
	OK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
	OK(pthread_mutex_init(&robust, &attr));
	OK(pthread_mutex_lock(&robust));
	fork_here();
	OK(pthread_mutex_unlock(&robust));
	fork_here();
	return arg;
}

static int spinning, forked;
static void forks_in_handler(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	fork_here();
	STORE(forked, 1);
}

static void *computes(void *arg)
{
	volatile unsigned long n = 0;
	stack_t ss = { .ss_sp = arg, .ss_size = 256 << 10 };

	mine = 22;
	CHECK(!arg || sigaltstack(&ss, NULL) == 0);
	STORE(spinning, 1);
	while (!LOAD(forked))
		n++;
	CHECK_EQ(mine, 22);
	ss.ss_flags = SS_DISABLE;
	CHECK(!arg || sigaltstack(&ss, NULL) == 0);
	return arg;
}

static void *parks(void *arg)
{
	mine = 23;
	STORE(spinning, 1);
	while (!LOAD(forked))
		pause();
	STORE(spinning, 0);
	return arg;
}

static void in_handlers(void)
{
	thread_fn *const fn[] = { computes, computes, parks };
	char *alt = malloc(256 << 10);
	pthread_t t;
	int i;

	install_with(SIGUSR1, forks_in_handler, SA_ONSTACK, SET());
	for (i = 0; i < 3; i++) {
		STORE(spinning, 0);
		STORE(forked, 0);
		t = start(fn[i], i == 1 ? alt : NULL);
		NAP_UNTIL(LOAD(spinning));
		/* just before a pause, even the handler's end: it would sleep for good */
		do {
			CHECK(pthread_kill(t, SIGUSR1) == 0);
			usleep(20000);
		} while (i == 2 && LOAD(spinning));
		join(t);
	}
	STORE(forked, 0);
	CHECK(raise(SIGUSR1) == 0);
	CHECK_EQ(LOAD(forked), 1);
	free(alt);
}

static ucontext_t back, routine;
static void *coroutine(void *arg)
{
	size_t size = 256 << 10;
	char *stack = malloc(size);

	mine = 24;
	CHECK(getcontext(&routine) == 0);
	routine.uc_stack.ss_sp = stack;
	routine.uc_stack.ss_size = size;
	routine.uc_link = &back;
	makecontext(&routine, fork_here, 0);
	CHECK(swapcontext(&back, &routine) == 0);
	free(stack);
	return arg;
}

static void destroys(void *arg)
{
	CHECK(arg == &key);
	fork_here();
}

static void cleans(void *arg)
{
	(void)arg;
	fork_here();
}

static void *leaves(void *arg)
{
	mine = 25;
	CHECK_EQ(pthread_setspecific(key, &key), 0);
	pthread_cleanup_push(cleans, NULL);
	pthread_exit(arg);
	pthread_cleanup_pop(0);
	return NULL;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *in_once(void *arg)
{
	mine = 26;
	OK(pthread_once(&once, fork_here));
	return arg;
}

static ssize_t cookie_write(void *cookie, const char *data, size_t size)
{
	(void)cookie, (void)data;
	fork_here();
	return (ssize_t)size;
}

static void *in_stream(void *arg)
{
	cookie_io_functions_t io = { .write = cookie_write };
	FILE *f = fopencookie(arg, "w", io);

	mine = 27;
	CHECK(f != NULL);
	CHECK(setvbuf(f, NULL, _IONBF, 0) == 0);
	CHECK(fputs("x", f) >= 0);
	CHECK(fclose(f) == 0);
	return arg;
}

/* Of the C library's own thread, which has nothing of ours. */
static sem_t notified;
static void notify(union sigval value)
{
	mine = value.sival_int;
	fork_here();
	mine = 0;
	CHECK(sem_post(&notified) == 0);
}

static void *in_notify(void *arg)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD };
	struct itimerspec soon = { .it_value = { 0, 1000000 } };
	timer_t timer;

	ev.sigev_value.sival_int = 28;
	ev.sigev_notify_function = notify;
	CHECK(sem_init(&notified, 0, 0) == 0);
	CHECK(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
	CHECK(timer_settime(timer, 0, &soon, NULL) == 0);
	sleeps(&notified);
	CHECK(timer_delete(timer) == 0);
	return arg;
}

/* A signal for a child that has hardly begun. */
static int struck;
static void strikes(int sig, siginfo_t *si, void *context)
{
	(void)sig, (void)si, (void)context;
	STORE(struck, 1);
}

static void *strikes_early(void *arg)
{
	pid_t pid;
	int i;

	install_with(SIGUSR1, strikes, SA_RESTART, SET());
	for (i = 0; i < 30; i++) {
		pid = i % 2 ? fork() : (pid_t)syscall(SYS_fork);
		CHECK(pid >= 0);
		if (pid == 0) {
			alarm(40);
			while (!LOAD(struck))
				usleep(50);
			_exit(9);
		}
		CHECK(kill(pid, SIGUSR1) == 0);
		reap(pid, 9);
	}
	return arg;
}

/* In a fork handler: another fork. */
static __thread int in_fork_handler, nested;
static void prepares(void)
{
	if (!nested || in_fork_handler)
		return;
	in_fork_handler = 1;
	fork_here();
	in_fork_handler = 0;
}

static void *nests(void *arg)
{
	pid_t pid;

	mine = 29;
	nested = 1;
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		nested = 0;
		as_child(29, pthread_self());
	}
	nested = 0;
	reap(pid, 9);
	return arg;
}

/* ---- Those that keep on meanwhile ---------------------------------------- */

static int stop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *load(void *arg)
{
	volatile unsigned long n = 0;
	struct timespec t = { 0, 200000 };

	while (!LOAD(stop)) {
		OK(pthread_mutex_lock(&lock));
		free(malloc(5000));
		OK(pthread_mutex_unlock(&lock));
		if (arg)
			nanosleep(&t, NULL);
		else
			for (n = 0; n < 20000; n++)
				;
		sched_yield();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		thread_fn *fn;
	} places[] = { { "a thread", plain },
		       { "a thread with a kernel thread of its own", wired },
		       { "a coroutine", coroutine },
		       { "cleanup and destructors", leaves },
		       { "pthread_once", in_once },
		       { "a stream's function", in_stream },
		       { "a timer's thread", in_notify },
		       { "a fork handler", nests },
		       { "a signal at once", strikes_early } };
	int rounds = argc > 1 ? atoi(argv[1]) : 3, i, k;
	pthread_t t[3];

	OK(pthread_key_create(&key, destroys));
	OK(pthread_atfork(prepares, NULL, NULL));
	section("main, before any thread");
	fork_here();
	for (i = 0; i < 3; i++)
		t[i] = start(load, i ? t : NULL);
	for (i = 0; i < rounds; i++) {
		for (k = 0; k < (int)(sizeof(places) / sizeof(places[0]));
		     k++) {
			place = places[k].name;
			if (i == 0)
				section(place);
			once = PTHREAD_ONCE_INIT;
			join(start(places[k].fn, t));
		}
		if (i == 0)
			section("handlers of signals");
		in_handlers();
		if (i == 0)
			section("main, beside others");
		fork_here();
		for (raw = 1; raw <= 4; raw++) {
			fork_here();
			join(start(plain, t));
		}
		raw = 0;
	}
	STORE(stop, 1);
	for (i = 0; i < 3; i++)
		join(t[i]);
	fork_here();
	return 0;
}
