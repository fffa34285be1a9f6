/*
 * stdio - many threads print to one FILE: every line arrives whole and once,
 * with and without a buffer; flockfile holds several calls together, over
 * yields too; reading one FILE from many threads loses nothing.
 */
#include "check.h"

enum { THREADS = 24, LINES = 200 };
static FILE *f;

static void *prints(void *arg)
{
	long me = (long)arg;
	int i;

	for (i = 0; i < LINES; i++) {
		if (i % 3 == 0) {
			CHECK(fprintf(f, "%ld %d abcdefghijklmnop\n", me, i) >
			      0);
		} else if (i % 3 == 1) {
			char line[64];

			sprintf(line, "%ld %d abcdefghijklmnop\n", me, i);
			CHECK(fputs(line, f) >= 0);
		} else {
			flockfile(f);
			CHECK(fprintf(f, "%ld ", me) > 0);
			sched_yield();
			if (i % 60 == 2)
				usleep(10);
			CHECK(fprintf(f, "%d", i) > 0);
			CHECK(putc_unlocked(' ', f) == ' ');
			CHECK(fputs("abcdefghijklmnop\n", f) >= 0);
			funlockfile(f);
		}
	}
	return NULL;
}

static int next[THREADS];
static void verify(void)
{
	char line[256], rest[256];
	int lines = 0, who, i;

	memset(next, 0, sizeof(next));
	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		CHECK(sscanf(line, "%d %d %s", &who, &i, rest) == 3);
		CHECK(who >= 0 && who < THREADS);
		CHECK_EQ(i, next[who]);
		next[who]++;
		CHECK(strcmp(rest, "abcdefghijklmnop") == 0);
		lines++;
	}
	CHECK_EQ(lines, THREADS * LINES);
}

static long lines_read;
static void *reads(void *arg)
{
	char line[256], *got;
	size_t n;

	(void)arg;
	while ((got = fgets(line, sizeof(line), f))) {
		n = strlen(got);
		CHECK(n > 18 && got[n - 1] == '\n');
		CHECK(strcmp(got + n - 17, "abcdefghijklmnop\n") == 0);
		if (ADD(lines_read, 1) % 16 == 0)
			sched_yield();
	}
	return NULL;
}

static void *tries(void *arg)
{
	CHECK(ftrylockfile(f) != 0);
	return arg;
}

static void run(thread_fn *fn)
{
	pthread_t t[THREADS];
	long i;

	for (i = 0; i < THREADS; i++)
		t[i] = start(fn, (void *)i);
	for (i = 0; i < THREADS; i++)
		join(t[i]);
}

int main(void)
{
	static const int modes[] = { _IOFBF, _IOLBF, _IONBF };
	int i;

	for (i = 0; i < 3; i++) {
		printf("mode %d\n", i);
		fflush(stdout);
		f = tmpfile();
		CHECK(f != NULL);
		CHECK(setvbuf(f, NULL, modes[i], 512) == 0);
		run(prints);
		CHECK(fflush(f) == 0);
		verify();
		rewind(f);
		lines_read = 0;
		run(reads);
		CHECK_EQ(lines_read, THREADS * LINES);
		CHECK(fclose(f) == 0);
	}
	section("recursive");
	f = tmpfile();
	CHECK(f != NULL);
	flockfile(f);
	flockfile(f);
	CHECK(ftrylockfile(f) == 0);
	join(start(tries, NULL));
	funlockfile(f);
	funlockfile(f);
	join(start(tries, NULL));
	funlockfile(f);
	CHECK(ftrylockfile(f) == 0);
	funlockfile(f);
	CHECK(fclose(f) == 0);
	return 0;
}
