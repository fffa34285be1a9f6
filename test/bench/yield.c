/* yield - threads that do nothing but yield; ns a yield. */
#include "bench.h"

static struct gate gate = GATE;
static long each;

static void *yields(void *arg)
{
	gate_pass(&gate);
	for (long i = 0; i < each; i++)
		sched_yield();
	return arg;
}

int main(int argc, char **argv)
{
	long n, total;
	pthread_t *threads;
	int64_t t;

	begin(argc, argv);
	n = number("threads", 2);
	total = number("yields", 1000000);
	params_done();
	each = total / n + 1;
	threads = start(n, yields, NULL, 0);
	gate_await(&gate, n);
	t = now();
	gate_open(&gate);
	join(threads, n);
	put("yield", (double)(now() - t) / (each * n), "ns");
	return done();
}
