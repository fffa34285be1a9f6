/*
 * stdio_pipe - 64 threads print to one FILE on a pipe that is full most of the
 * time: they block in libc, with the FILE's lock held, until a last thread
 * empties it.
 */
#include "check.h"
#include <fcntl.h>

enum { WRITERS = 64, LINES = 60 };
static FILE *out;
static int next[WRITERS];

static void *prints(void *arg)
{
	long me = (long)arg;
	int i;

	for (i = 0; i < LINES; i++)
		CHECK(fprintf(out, "%ld %d %0100d\n", me, i, 7) > 0);
	return NULL;
}

static void *drains(void *arg)
{
	FILE *in = fdopen(*(int *)arg, "r");
	char line[256];
	int who, i, filler;
	long lines = 0;

	CHECK(in != NULL);
	while (fgets(line, sizeof(line), in)) {
		CHECK(sscanf(line, "%d %d %d", &who, &i, &filler) == 3);
		CHECK(who >= 0 && who < WRITERS && filler == 7);
		CHECK_EQ(i, next[who]);
		next[who]++;
		if (++lines % 64 == 0)
			usleep(50);
	}
	CHECK(fclose(in) == 0);
	return (void *)lines;
}

int main(void)
{
	pthread_t t[WRITERS], drain;
	int fd[2], round;
	long i;

	for (round = 0; round < 2; round++) {
		printf("%s\n", round ? "line by line" : "buffered");
		fflush(stdout);
		memset(next, 0, sizeof(next));
		CHECK(pipe(fd) == 0);
		/* Smallest there is, so that it fills at once. */
		CHECK(fcntl(fd[1], F_SETPIPE_SZ, 4096) > 0);
		out = fdopen(fd[1], "w");
		CHECK(out != NULL);
		CHECK(setvbuf(out, NULL, round ? _IOLBF : _IOFBF, 4096) == 0);
		for (i = 0; i < WRITERS; i++)
			t[i] = start(prints, (void *)i);
		for (i = 0; i < 50; i++)
			sched_yield();
		drain = start(drains, &fd[0]);
		for (i = 0; i < WRITERS; i++)
			join(t[i]);
		CHECK(fclose(out) == 0);
		CHECK_EQ((long)join(drain), WRITERS * LINES);
	}
	return 0;
}
