/*
 * create_million - threads made and joined one after another, by the
 * thousands: neither memory nor address space may grow with their number.
 *
 * create_million [threads]
 */
#include "check.h"

static void *touches(void *arg)
{
	volatile char local[4096];
	void *p = malloc(100);

	local[0] = local[4095] = 1;
	CHECK(p != NULL);
	free(p);
	errno = 3;
	return (char *)arg + local[0];
}

static void statm(long *vsz, long *rss)
{
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f != NULL);
	CHECK(fscanf(f, "%ld %ld", vsz, rss) == 2);
	CHECK(fclose(f) == 0);
}

static void many(long n)
{
	pthread_t t[8];
	long i, k;

	/* Mostly one alive, at times eight. */
	for (i = 0; i < n; i++) {
		if (i % 64 || i + 8 > n) {
			CHECK(join(start(touches, (void *)i)) ==
			      (void *)(i + 1));
			continue;
		}
		for (k = 0; k < 8; k++)
			t[k] = start(touches, (void *)(i + k));
		for (k = 0; k < 8; k++)
			CHECK(join(t[k]) == (void *)(i + k + 1));
		i += 7;
	}
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 20000;
	long vsz0, rss0, vsz1, rss1;

	section("warm-up");
	many(2000);
	statm(&vsz0, &rss0);
	section("many");
	many(n);
	statm(&vsz1, &rss1);
	fprintf(stderr, "pages: vsz %ld to %ld, rss %ld to %ld\n", vsz0, vsz1,
		rss0, rss1);
	/*
	 * In pages.  Threads that met in malloc late may add arenas, eight for
	 * a processor at most, each with 128 MB of addresses.
	 */
	CHECK(rss1 - rss0 < 1000);
	CHECK(vsz1 - vsz0 < 100000 + 8 * sysconf(_SC_NPROCESSORS_ONLN) * 32768);
	return 0;
}
