/*
 * spawn - posix_spawn, system and popen from many threads at once, and vfork
 * with exec.
 */
#include "check.h"
#include <fcntl.h>
#include <spawn.h>

extern char **environ;
enum { N = 6, TIMES = 4 };

static void *spawns(void *arg)
{
	long me = (long)arg;
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	char command[64], got[64];
	sigset_t mask;
	int i, fd[2];
	ssize_t n;
	pid_t pid;

	for (i = 0; i < TIMES; i++) {
		char *argv[] = { "sh", "-c", command, NULL };

		CHECK(pipe2(fd, O_CLOEXEC) == 0);
		snprintf(command, sizeof(command), "echo %ld; exit %d", me, i);
		CHECK_EQ(posix_spawn_file_actions_init(&fa), 0);
		CHECK_EQ(posix_spawn_file_actions_adddup2(&fa, fd[1], 1), 0);
		CHECK_EQ(posix_spawnattr_init(&attr), 0);
		sigemptyset(&mask);
		CHECK_EQ(posix_spawnattr_setsigmask(&attr, &mask), 0);
		CHECK_EQ(
			posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK),
			0);
		CHECK_EQ(
			posix_spawn(&pid, "/bin/sh", &fa, &attr, argv, environ),
			0);
		posix_spawn_file_actions_destroy(&fa);
		posix_spawnattr_destroy(&attr);
		close(fd[1]);
		n = read(fd[0], got, sizeof(got) - 1);
		CHECK(n > 0);
		got[n] = 0;
		CHECK_EQ(atol(got), me);
		close(fd[0]);
		reap(pid, i);
		CHECK_EQ(posix_spawn(&pid, "/does/not/exist", NULL, NULL, argv,
				     environ),
			 ENOENT);
	}
	return NULL;
}

static void *systems(void *arg)
{
	char command[64];
	int i, status;

	for (i = 0; i < TIMES; i++) {
		snprintf(command, sizeof(command), "exit %d",
			 (int)(long)arg + i);
		status = system(command);
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), (long)arg + i);
	}
	CHECK(system(NULL) != 0);
	return NULL;
}

static void *popens(void *arg)
{
	char command[64], line[64];
	FILE *f;
	int i, status;

	for (i = 0; i < TIMES; i++) {
		snprintf(command, sizeof(command), "echo one; echo %ld; exit 4",
			 (long)arg + i);
		f = popen(command, "r");
		CHECK(f != NULL);
		CHECK(fgets(line, sizeof(line), f) && !strcmp(line, "one\n"));
		sched_yield();
		CHECK(fgets(line, sizeof(line), f));
		CHECK_EQ(atol(line), (long)arg + i);
		CHECK(!fgets(line, sizeof(line), f));
		status = pclose(f);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 4);
	}
	f = popen("read x; test \"$x\" = hello", "w");
	CHECK(f != NULL);
	fprintf(f, "hello\n");
	CHECK_EQ(pclose(f), 0);
	return NULL;
}

static void *vforks(void *arg)
{
	volatile int i;

	for (i = 0; i < TIMES; i++) {
		pid_t pid = vfork();

		CHECK(pid >= 0);
		if (pid == 0) {
			if (i & 1)
				_exit(7);
			execl("/bin/sh", "sh", "-c", "exit 7", (char *)0);
			_exit(1);
		}
		reap(pid, 7);
	}
	return arg;
}

/* Others have to run while a child is waited for. */
static int token;
static void *waits_long(void *arg)
{
	int status = system("sleep 0.05");

	CHECK_EQ(status, 0);
	ADD(token, 1);
	return arg;
}

int main(void)
{
	static thread_fn *const fn[] = { spawns, systems, popens, vforks };
	pthread_t t[4][N];
	long i, k, n;

	for (k = 0; k < 4; k++) {
		section((const char *const[]){ "posix_spawn", "system", "popen",
					       "vfork" }[k]);
		for (i = 0; i < N; i++)
			t[k][i] = start(fn[k], (void *)(i + 1));
		for (i = 0; i < N; i++)
			join(t[k][i]);
	}
	section("all mixed");
	for (k = 0; k < 4; k++)
		for (i = 0; i < N; i++)
			t[k][i] = start(fn[k], (void *)(i + 1));
	for (k = 0; k < 4; k++)
		for (i = 0; i < N; i++)
			join(t[k][i]);
	section("others run while children are waited for");
	for (i = 0; i < N; i++)
		t[0][i] = start(waits_long, NULL);
	for (n = 0; LOAD(token) < N; n++)
		sched_yield();
	for (i = 0; i < N; i++)
		join(t[0][i]);
	return 0;
}
