/* rwlock - threads that read under a lock, and write in so many of 100 cases. */
#include "bench.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct gate gate = GATE;
static atomic_bool stop;
static atomic_long total;
static long value, writes;

static void *work(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg | 1;
	long n = 0, seen = 0;

	gate_pass(&gate);
	for (; !atomic_load_explicit(&stop, memory_order_relaxed); n++) {
		seed = seed * 1664525 + 1013904223;
		if ((seed >> 16) % 100 < (unsigned)writes) {
			pthread_rwlock_wrlock(&lock);
			value++;
		} else {
			pthread_rwlock_rdlock(&lock);
			seen += value;
		}
		pthread_rwlock_unlock(&lock);
	}
	atomic_fetch_add(&total, n);
	return (void *)seen;
}

int main(int argc, char **argv)
{
	pthread_t *threads;
	long n, ms;
	int64_t t;
	char seeds[1] = "";

	begin(argc, argv);
	n = number("threads", 8);
	writes = number("writes", 1);
	ms = number("ms", 200);
	params_done();
	threads = start(n, work, seeds, 7919);
	t = gate_run(&gate, n, ms, &stop);
	join(threads, n);
	put("locks", total * 1e9 / (now() - t), "ops/s");
	return done();
}
