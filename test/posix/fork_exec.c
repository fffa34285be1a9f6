/*
 * fork_exec - fork from several threads at once, with and without exec, while
 * others allocate, print and lock: the child has one thread, can make new
 * ones, and sees the fork handlers in order.
 */
#include "check.h"
#include <semaphore.h>

enum { FORKERS = 4, FORKS = 8, BUSY = 4 };
static int stop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t atfork_lock = PTHREAD_MUTEX_INITIALIZER;

static void *allocates(void *arg)
{
	unsigned seed = (unsigned)(long)arg;
	void *block[32] = { 0 };
	int i;

	while (!LOAD(stop)) {
		i = rand_r(&seed) % 32;
		free(block[i]);
		block[i] = malloc(rand_r(&seed) % 5000 + 1);
		CHECK(block[i] != NULL);
		if (i == 0) {
			/* libc's list of open files has a lock as well. */
			FILE *f = fopen("/dev/null", "w");

			CHECK(f != NULL);
			fprintf(f, "x\n");
			fclose(f);
			sched_yield();
		}
	}
	for (i = 0; i < 32; i++)
		free(block[i]);
	return NULL;
}

static __thread int mine;
static void *child_thread(void *arg)
{
	void *p = malloc(100000);

	CHECK(p != NULL);
	free(p);
	CHECK_EQ(mine, 0);
	sched_yield();
	pthread_mutex_lock(&lock);
	++*(int *)arg;
	pthread_mutex_unlock(&lock);
	return arg;
}

static void child(int id, pthread_t self)
{
	pthread_t t[5];
	sem_t sem;
	int i, n = 0;

	/* The thread that forked is the one there is, with all it had. */
	CHECK(pthread_equal(self, pthread_self()));
	CHECK_EQ(mine, id);
	pthread_mutex_init(&lock, NULL);
	for (i = 0; i < 5; i++)
		t[i] = start(child_thread, &n);
	for (i = 0; i < 5; i++)
		CHECK(join(t[i]) == &n);
	CHECK_EQ(n, 5);
	CHECK(sem_init(&sem, 0, 1) == 0 && sem_wait(&sem) == 0);
	usleep(100);
	CHECK_EQ(mine, id);
}

static void *forks(void *arg)
{
	int id = (int)(long)arg + 1, i;
	pthread_t self = pthread_self();
	pid_t pid, grandchild;

	mine = id;
	for (i = 0; i < FORKS; i++) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			if (i % 4 == 1) {
				execl("/bin/sh", "sh", "-c", "exit 9",
				      (char *)0);
				_exit(1);
			}
			if (i % 4 == 2) {
				execl("/does/not/exist", "x", (char *)0);
				CHECK_EQ(errno, ENOENT);
			}
			child(id, self);
			if (i % 4 == 3) {
				/* A child of the child. */
				grandchild = fork();
				CHECK(grandchild >= 0);
				if (grandchild == 0) {
					child(id, self);
					_exit(3);
				}
				reap(grandchild, 3);
			}
			_exit(id);
		}
		reap(pid, i % 4 == 1 ? 9 : id);
		CHECK_EQ(mine, id);
		CHECK(pthread_equal(self, pthread_self()));
	}
	return NULL;
}

static __thread char order[16];
static __thread int steps;
static void note(char c)
{
	order[steps++ % 16] = c;
}
static void prepare1(void)
{
	note('1');
}
static void prepare2(void)
{
	note('2');
	pthread_mutex_lock(&atfork_lock);
}
static void parent1(void)
{
	note('a');
}
static void parent2(void)
{
	pthread_mutex_unlock(&atfork_lock);
	note('b');
}
static void child1(void)
{
	note('A');
}
static void child2(void)
{
	pthread_mutex_unlock(&atfork_lock);
	note('B');
}

static void *handlers(void *arg)
{
	pid_t pid;
	int i;

	for (i = 0; i < 5; i++) {
		memset(order, 0, sizeof(order));
		steps = 0;
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			/* Prepare in reverse, the others as registered. */
			CHECK(strcmp(order, "21AB") == 0);
			CHECK_EQ(pthread_mutex_trylock(&atfork_lock), 0);
			_exit(0);
		}
		CHECK(strcmp(order, "21ab") == 0);
		reap(pid, 0);
	}
	return arg;
}

int main(void)
{
	pthread_t busy[BUSY], t[FORKERS];
	pid_t pid;
	long i;

	section("fork before any thread");
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		child(0, pthread_self());
		_exit(5);
	}
	reap(pid, 5);

	section("from several threads while others allocate");
	for (i = 0; i < BUSY; i++)
		busy[i] = start(allocates, (void *)i);
	for (i = 0; i < FORKERS; i++)
		t[i] = start(forks, (void *)i);
	for (i = 0; i < FORKERS; i++)
		join(t[i]);

	section("handlers");
	OK(pthread_atfork(prepare1, parent1, child1));
	OK(pthread_atfork(prepare2, parent2, child2));
	for (i = 0; i < FORKERS; i++)
		t[i] = start(handlers, NULL);
	for (i = 0; i < FORKERS; i++)
		join(t[i]);
	STORE(stop, 1);
	for (i = 0; i < BUSY; i++)
		join(busy[i]);

	section("the child outlives by exit");
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		/* Not _exit: with atexit and all. */
		fclose(stdout);
		exit(6);
	}
	reap(pid, 6);
	section("the child ends by pthread_exit");
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		pthread_exit(NULL);
	reap(pid, 0);
	return 0;
}
