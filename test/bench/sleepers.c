/*
 * sleepers - threads that sleep "us" again and again, for a time; how many wake-ups a
 * second, and how late.  With hogs, threads that compute beside them.
 */
#include "bench.h"

static struct gate gate = GATE;
static atomic_bool stop;
static long us;

static void *sleeper(void *arg)
{
	struct samples *late = arg;

	gate_pass(&gate);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		int64_t due = now() + us * 1000;

		sleep_ns(us * 1000);
		sample(late, now() - due);
	}
	return NULL;
}

static void *hog(void *arg)
{
	volatile unsigned long n = 0;

	gate_pass(&gate);
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		n++;
	return arg;
}

int main(int argc, char **argv)
{
	struct samples *late, all = { 0 };
	long n, hogs, ms;
	pthread_t *threads, *h;
	int64_t t;

	begin(argc, argv);
	n = number("threads", 1000);
	hogs = number("hogs", 0);
	us = number("us", 1000);
	ms = number("ms", 500);
	params_done();
	late = memory(n, sizeof(*late));
	for (long i = 0; i < n; i++)
		samples_room(&late[i], 1000 * ms / (us ? us : 1) + 1);
	threads = start(n, sleeper, late, sizeof(*late));
	h = start(hogs, hog, NULL, 0);
	t = gate_run(&gate, n + hogs, ms, &stop);
	join(h, hogs);
	join(threads, n);
	t = now() - t;
	for (long i = 0; i < n; i++)
		samples_add(&all, &late[i]);
	put("wakeups", all.n * 1e9 / t, "wakeups/s");
	put("late_p50", percentile(&all, 50), "ns");
	put("late_p99", percentile(&all, 99), "ns");
	return done();
}
