/*
 * idle - threads that have nothing to do but look at something once a second, as many
 * programs' do: the share of a CPU that takes.
 */
#include "bench.h"

static struct gate gate = GATE;
static atomic_bool stop;
static long period;

static void *look(void *arg)
{
	gate_pass(&gate);
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		sleep_ns(period * 1000000);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t *threads;
	int64_t t, cpu;
	long n, ms;

	begin(argc, argv);
	n = number("threads", 1000);
	period = number("period", 1000);
	ms = number("ms", 2000);
	params_done();
	threads = start(n, look, NULL, 0);
	gate_await(&gate, n);
	gate_open(&gate);
	sleep_ns(period * 1000000); /* its starting is over */
	t = now();
	cpu = cpu_ns();
	sleep_ns(ms * 1000000);
	cpu = cpu_ns() - cpu;
	put("cpu", 100.0 * cpu / (now() - t), "%");
	atomic_store(&stop, true);
	join(threads, n);
	return done();
}
