/*
 * sem_named - named semaphores: open, close, unlink, their errors, and use by
 * threads of several processes.
 */
#include "check.h"
#include <fcntl.h>
#include <semaphore.h>
#include <sys/mman.h>

enum { PROCS = 3, THREADS = 4, EACH = 100 };
static sem_t *gate;
static long *counter;
static int *inside;

static void *counts(void *arg)
{
	int i;

	for (i = 0; i < EACH; i++) {
		while (sem_wait(gate) < 0)
			CHECK_EQ(errno, EINTR);
		CHECK_EQ(ADD(*inside, 1), 1);
		++*counter;
		if (i % 32 == 0)
			sched_yield();
		CHECK_EQ(ADD(*inside, -1), 0);
		CHECK(sem_post(gate) == 0);
	}
	return arg;
}

int main(void)
{
	struct timespec soon;
	char name[64], too_long[512];
	pid_t pid[PROCS];
	sem_t *other;
	int i, v;

	snprintf(name, sizeof(name), "/posix-test-%d", (int)getpid());
	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[0] = '/';
	too_long[sizeof(too_long) - 1] = 0;
	section("errors");
	errno = 0;
	CHECK(sem_open(name, 0) == SEM_FAILED && errno == ENOENT);
	/* POSIX has the first; glibc takes it for a bad name. */
	CHECK(sem_open(too_long, O_CREAT, 0600, 1) == SEM_FAILED &&
	      (errno == ENAMETOOLONG || errno == EINVAL));
	CHECK(sem_open(name, O_CREAT, 0600, (unsigned)SEM_VALUE_MAX + 1) ==
		      SEM_FAILED &&
	      errno == EINVAL);
	ERR(ENOENT, sem_unlink(name));

	gate = sem_open(name, O_CREAT | O_EXCL, 0600, 1);
	if (gate == SEM_FAILED && (errno == ENOSYS || errno == EACCES))
		return 77;
	CHECK(gate != SEM_FAILED);
	CHECK(sem_open(name, O_CREAT | O_EXCL, 0600, 1) == SEM_FAILED &&
	      errno == EEXIST);
	other = sem_open(name, 0);
	CHECK(other == gate);
	CHECK(sem_getvalue(other, &v) == 0 && v == 1);
	CHECK(sem_close(other) == 0);
	CHECK(sem_trywait(gate) == 0);
	ERR(EAGAIN, sem_trywait(gate));
	soon = in_ms(CLOCK_REALTIME, 3);
	ERR(ETIMEDOUT, sem_timedwait(gate, &soon));
	CHECK(sem_post(gate) == 0);

	section("threads of processes");
	counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(counter != MAP_FAILED);
	inside = (int *)(counter + 1);
	for (i = 0; i < PROCS; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (pid[i] == 0) {
			/* Half of them open it anew. */
			if (i & 1) {
				CHECK(sem_close(gate) == 0);
				gate = sem_open(name, 0);
				CHECK(gate != SEM_FAILED);
			}
			run_threads(THREADS, counts);
			_exit(0);
		}
	}
	run_threads(THREADS, counts);
	for (i = 0; i < PROCS; i++)
		reap(pid[i], 0);
	CHECK_EQ(*counter, (PROCS + 1) * THREADS * EACH);

	section("unlink");
	CHECK(sem_unlink(name) == 0);
	ERR(ENOENT, sem_unlink(name));
	CHECK(sem_open(name, 0) == SEM_FAILED && errno == ENOENT);
	/* Still there for those who have it open. */
	CHECK(sem_wait(gate) == 0);
	CHECK(sem_post(gate) == 0);
	CHECK(sem_close(gate) == 0);
	return 0;
}
