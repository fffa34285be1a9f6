/*
 * fan_out - threads made, all alive at once, and joined; the first time, and once
 * stacks have been used.
 */
#include "bench.h"

static void *pass(void *gate)
{
	gate_pass(gate);
	return NULL;
}

static double fan_out(long n)
{
	struct gate gate = GATE;
	int64_t t = now();
	pthread_t *threads = start(n, pass, &gate, 0);

	gate_await(&gate, n);
	gate_open(&gate);
	join(threads, n);
	return (double)(now() - t) / n;
}

int main(int argc, char **argv)
{
	long n, again;

	begin(argc, argv);
	n = number("threads", 1000);
	again = number("again", 3);
	params_done();
	put("cold", fan_out(n), "ns");
	for (double warm, best = 0; again-- > 0;) {
		warm = fan_out(n);
		best = best == 0 || warm < best ? warm : best;
		if (again == 0)
			put("warm", best, "ns");
	}
	return done();
}
