/* create_join - threads made and joined, "batch" alive at a time; ns a thread. */
#include "bench.h"

static long batch;
static pthread_t *threads;

static void *nothing(void *arg)
{
	return arg;
}

static void create_join(long batches)
{
	while (batches-- > 0) {
		for (long i = 0; i < batch; i++)
			must(pthread_create(&threads[i], NULL, nothing, NULL),
			     "pthread_create");
		for (long i = 0; i < batch; i++)
			must(pthread_join(threads[i], NULL), "pthread_join");
	}
}

int main(int argc, char **argv)
{
	long ms;

	begin(argc, argv);
	batch = number("batch", 1);
	ms = number("ms", 200);
	params_done();
	threads = memory(batch, sizeof(*threads));
	put("create_join", per_unit(create_join, ms) / batch, "ns");
	return done();
}
