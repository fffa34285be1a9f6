/* ring - a token goes round a ring of threads by semaphores; ns a hop. */
#include "bench.h"

static sem_t *sems;
static long nthreads, rounds;
static atomic_long here;

static void *pass_on(void *arg)
{
	long me = (sem_t *)arg - sems;

	atomic_fetch_add(&here, 1);
	for (long i = 0; i < rounds; i++) {
		while (sem_wait(&sems[me]))
			;
		sem_post(&sems[(me + 1) % nthreads]);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t *threads;
	int64_t t, ms;

	begin(argc, argv);
	nthreads = number("threads", 1000);
	ms = number("ms", 200);
	params_done();
	sems = memory(nthreads, sizeof(*sems));
	for (long i = 0; i < nthreads; i++)
		sem_init(&sems[i], 0, 0);
	/* The start of the threads is not to count: they are there, then it goes. */
	for (rounds = 1;; rounds *= 4) {
		atomic_store(&here, 0);
		threads = start(nthreads, pass_on, sems, sizeof(*sems));
		do
			sleep_ns(20000000); /* the last one to its semaphore */
		while (atomic_load(&here) < nthreads);
		t = now();
		sem_post(&sems[0]);
		join(threads, nthreads);
		t = now() - t;
		/* The last one posted to the first, who has gone. */
		sem_wait(&sems[0]);
		if (t >= ms * 1000000)
			break;
	}
	put("hop", (double)t / (rounds * nthreads), "ns");
	return done();
}
