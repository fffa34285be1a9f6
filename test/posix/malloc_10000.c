/*
 * malloc_10000 - ten thousand threads alive at once, each with blocks of its
 * own from malloc; blocks are freed by their maker or by another thread.
 *
 * malloc_10000 [threads]
 */
#include "check.h"

enum { BLOCKS = 6 };
struct work {
	unsigned char *block[BLOCKS];
	size_t size[BLOCKS];
};
static struct work *work;
static long n;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long alive, opened;

static void fill(struct work *w, int k, unsigned seed)
{
	static const size_t sizes[] = { 24, 100, 1000, 40, 5000, 16 };
	size_t i;

	w->size[k] = sizes[k] + seed % 64;
	w->block[k] = malloc(w->size[k]);
	CHECK(w->block[k] != NULL);
	for (i = 0; i < w->size[k]; i++)
		w->block[k][i] = (unsigned char)(seed + k + i);
}

static void check(struct work *w, int k, unsigned seed)
{
	size_t i;

	for (i = 0; i < w->size[k]; i++)
		CHECK(w->block[k][i] == (unsigned char)(seed + k + i));
	free(w->block[k]);
}

static void *uses(void *arg)
{
	long me = (long)arg;
	int k;

	for (k = 0; k < BLOCKS; k++)
		fill(&work[me], k, me);
	OK(pthread_mutex_lock(&lock));
	if (++alive == n)
		OK(pthread_cond_broadcast(&cond));
	while (alive < n)
		OK(pthread_cond_wait(&cond, &lock));
	OK(pthread_mutex_unlock(&lock));
	/* Half of its own, half of its neighbour's. */
	for (k = 0; k < BLOCKS; k += 2)
		check(&work[me], k, me);
	sched_yield();
	for (k = 1; k < BLOCKS; k += 2)
		check(&work[(me + 1) % n], k, (me + 1) % n);
	for (k = 0; k < BLOCKS; k += 2)
		fill(&work[me], k, me + 5);
	sched_yield();
	for (k = 0; k < BLOCKS; k += 2)
		check(&work[me], k, me + 5);
	ADD(opened, 1);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t *t;
	long i;

	n = argc > 1 ? atol(argv[1]) : 10000;
	work = calloc(n, sizeof(*work));
	t = calloc(n, sizeof(*t));
	CHECK(work && t);
	section("all alive at once");
	for (i = 0; i < n; i++)
		t[i] = start_small(uses, (void *)i);
	for (i = 0; i < n; i++)
		join(t[i]);
	CHECK_EQ(opened, n);
	free(t);
	free(work);
	return 0;
}
