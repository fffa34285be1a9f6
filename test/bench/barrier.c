/* barrier - threads of OpenMP that meet at a barrier again and again; ns a meeting. */
#include "bench.h"
#include <omp.h>

static int threads;

static void meet(long n)
{
#pragma omp parallel num_threads(threads)
	for (long i = 0; i < n; i++) {
#pragma omp barrier
	}
}

int main(int argc, char **argv)
{
	long ms;

	begin(argc, argv);
	threads = number("threads", 8);
	ms = number("ms", 200);
	params_done();
	omp_set_dynamic(0);
	put("barrier", per_unit(meet, ms), "ns");
	return done();
}
