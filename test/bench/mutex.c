/*
 * mutex - threads that take one mutex and count, for a time; one thread: uncontended.
 * Fairness is the count of the thread that was served least, to the mean.
 */
#include "bench.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gate gate = GATE;
static atomic_bool stop;
static long total;

struct worker {
	_Alignas(64) long served;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	gate_pass(&gate);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		pthread_mutex_lock(&lock);
		total++;
		pthread_mutex_unlock(&lock);
		w->served++;
	}
	return NULL;
}

static void uncontended(long n)
{
	for (long i = 0; i < n; i++) {
		pthread_mutex_lock(&lock);
		total++;
		pthread_mutex_unlock(&lock);
	}
}

static void *beside(void *arg)
{
	gate_pass(&gate);
	return arg;
}

int main(int argc, char **argv)
{
	struct worker *workers;
	pthread_t *threads;
	long n, ms, least;
	int64_t t;

	begin(argc, argv);
	n = number("threads", 1);
	ms = number("ms", 200);
	params_done();
	if (n <= 1) {
		/* A second thread, parked: libc counts on there being none. */
		threads = start(1, beside, NULL, 0);
		gate_await(&gate, 1);
		put("lock_unlock", per_unit(uncontended, ms), "ns");
		gate_open(&gate);
		join(threads, 1);
		return done();
	}
	workers = memory(n, sizeof(*workers) + 64);
	workers = (void *)(((uintptr_t)workers + 63) & ~(uintptr_t)63);
	threads = start(n, work, workers, sizeof(*workers));
	t = gate_run(&gate, n, ms, &stop);
	join(threads, n);
	put("locks", total * 1e9 / (now() - t), "ops/s");
	least = workers[0].served;
	for (long i = 1; i < n; i++)
		least = workers[i].served < least ? workers[i].served : least;
	put("fairness", (double)least * n / total, "");
	return done();
}
