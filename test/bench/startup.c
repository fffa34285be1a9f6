/* startup - begins so many threads, joins them, and ends: see its wall-clock time. */
#include "bench.h"

static void *nothing(void *arg)
{
	return arg;
}

int main(int argc, char **argv)
{
	long n;

	begin(argc, argv);
	n = number("threads", 1);
	params_done();
	join(start(n, nothing, NULL, 0), n);
	return 0;
}
