/*
 * pipe_full - a thousand threads print into one pipe that is full until one
 * more thread, made last, empties it slowly: nothing but the scheduler can let
 * it run.  Through one FILE they block on its lock, with the holder in the
 * kernel; with a call each, all of them block in the kernel; and behind a
 * thread that sleeps with the FILEs locked.  Every line arrives whole and once.
 *
 * "nobody" gives up root when some of the threads exist already, and with it
 * may give up to see in /proc what its own threads do.
 *
 * pipe_full [threads] [nobody]
 */
#include "check.h"
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

enum { LINES = 3, FILES = 4, EARLY = 20, KINDS = 3 };
static const char *const kinds[KINDS] = { "one FILE", "a call each",
					  "behind flockfile" };
static long threads = 1000;
static int nobody;
static int fd[2], kind;
static FILE *file[FILES];
static unsigned char *seen;
static int held, ready, go;

/* Line k of a thread: its length differs, its end says that it is whole. */
static int compose(char *text, int size, long who, int k)
{
	return snprintf(text, size, "%ld %d %0*ld.", who, k,
			20 + (int)(who * 7 + k * 31) % 100, who + k);
}

static void *prints(void *arg)
{
	long me = (long)arg;
	char text[200];
	int k;

	ADD(ready, 1);
	YIELD_UNTIL(LOAD(go));
	for (k = 0; k < LINES; k++) {
		compose(text, sizeof(text) - 1, me, k);
		if (kind == 0) {
			CHECK(fprintf(file[0], "%s\n", text) > 0);
		} else if (kind == 1) {
			CHECK(dprintf(fd[1], "%s\n", text) > 0);
		} else {
			strcat(text, "\n");
			CHECK(fputs(text, file[me % FILES]) >= 0);
		}
	}
	return NULL;
}

/* Nobody else's line may come between its two in a FILE. */
static void *holds(void *arg)
{
	long i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < FILES; i++)
			flockfile(file[i]);
		STORE(held, 1);
		for (i = 0; i < FILES; i++)
			CHECK(fputs_unlocked("hold\n", file[i]) >= 0);
		usleep(10000);
		for (i = 0; i < FILES; i++)
			CHECK(fputs_unlocked("free\n", file[i]) >= 0);
		for (i = 0; i < FILES; i++)
			funlockfile(file[i]);
		sched_yield();
	}
	return arg;
}

static void *drains(void *arg)
{
	long lines = 0, want = threads * LINES, who;
	char line[256], text[256];
	int k, holding = 0;
	FILE *in;

	in = fdopen(fd[0], "r");
	CHECK(in != NULL);
	/* Filled up before the others came. */
	while (fgets(line, sizeof(line), in) && line[0] == '#')
		;
	do {
		CHECK(line[strlen(line) - 1] == '\n');
		line[strlen(line) - 1] = 0;
		if (strcmp(line, "hold") == 0) {
			holding++;
			continue;
		}
		if (strcmp(line, "free") == 0) {
			holding--;
			continue;
		}
		/* All FILEs of one line buffer and all locked: none at all. */
		CHECK_EQ(holding, 0);
		CHECK(sscanf(line, "%ld %d", &who, &k) == 2);
		CHECK(who >= 0 && who < threads && k >= 0 && k < LINES);
		compose(text, sizeof(text), who, k);
		if (strcmp(line, text))
			check_fail(__FILE__, __LINE__, "\"%s\" is not \"%s\"",
				   line, text);
		/* Each thread's in order, so each once. */
		CHECK_EQ(seen[who], k);
		seen[who]++;
		if (++lines % 64 == 0)
			usleep(100);
	} while (fgets(line, sizeof(line), in));
	CHECK_EQ(holding, 0);
	CHECK_EQ(lines, want);
	CHECK(fclose(in) == 0);
	return arg;
}

/* Not one byte more goes in. */
static void fill(void)
{
	int flags = fcntl(fd[1], F_GETFL);

	CHECK(fcntl(fd[1], F_SETFL, flags | O_NONBLOCK) == 0);
	while (write(fd[1], "#\n", 2) == 2)
		;
	CHECK_EQ(errno, EAGAIN);
	CHECK(fcntl(fd[1], F_SETFL, flags) == 0);
}

static void give_up_root(void)
{
	CHECK(setgid(65534) == 0);
	CHECK(setuid(65534) == 0);
	ERR(EPERM, setuid(0));
	nobody = 0;
}

static void run(pthread_t *t)
{
	pthread_t drain, holder = 0;
	long i;

	section(kinds[kind]);
	memset(seen, 0, threads);
	held = ready = go = 0;
	CHECK(pipe(fd) == 0);
	/* Smallest there is. */
	CHECK(fcntl(fd[1], F_SETPIPE_SZ, 4096) > 0);
	fill();
	for (i = 0; i < FILES; i++) {
		file[i] = fdopen(dup(fd[1]), "w");
		CHECK(file[i] != NULL);
		CHECK(setvbuf(file[i], NULL, _IOLBF, 4096) == 0);
	}
	for (i = 0; i < threads; i++) {
		if (nobody && i == EARLY)
			give_up_root();
		t[i] = start_small(prints, (void *)i);
	}
	YIELD_UNTIL(LOAD(ready) == threads);
	if (kind == 2) {
		holder = start_small(holds, NULL);
		YIELD_UNTIL(LOAD(held));
	}
	STORE(go, 1);
	/* Long enough for them all to be where they block. */
	for (i = 0; i < 50; i++)
		usleep(200);
	drain = start_small(drains, NULL);
	if (kind == 2)
		join(holder);
	for (i = 0; i < threads; i++)
		join(t[i]);
	for (i = 0; i < FILES; i++)
		CHECK(fclose(file[i]) == 0);
	close(fd[1]);
	join(drain);
}

int main(int argc, char **argv)
{
	struct rlimit rl;
	pthread_t *t;
	int i;

	/* Also as one argument: "200 nobody". */
	for (i = 1; i < argc; i++) {
		if (atol(argv[i]) > 0)
			threads = atol(argv[i]);
		if (strstr(argv[i], "nobody"))
			nobody = 1;
	}
	if (nobody && geteuid() != 0)
		return 77;
	/* A kernel thread each, natively. */
	if (nobody && getrlimit(RLIMIT_NPROC, &rl) == 0 &&
	    rl.rlim_cur < (rlim_t)threads * 2)
		return 77;
	t = calloc(threads, sizeof(*t));
	seen = calloc(threads, 1);
	CHECK(t != NULL && seen != NULL);
	for (kind = 0; kind < KINDS; kind++)
		run(t);
	free(t);
	free(seen);
	return 0;
}
