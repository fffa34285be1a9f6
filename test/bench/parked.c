/*
 * parked - what a thread costs that waits: memory of the process (resident, page
 * tables) and of the kernel (stacks, slabs: the whole machine's, so on a quiet one),
 * and the time to make it, to wake it and to join it.
 */
#include "bench.h"

static struct gate gate = GATE;

static void *park(void *arg)
{
	gate_pass(&gate);
	return arg;
}

static long kib(const char *file, const char *name)
{
	char line[256];
	long value = 0;
	FILE *f = fopen(file, "re");

	if (!f)
		die(file);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			value = atol(line + strlen(name));
	fclose(f);
	return value;
}

static long own(void)
{
	return kib("/proc/self/status", "VmRSS:") +
	       kib("/proc/self/status", "VmPTE:");
}

static long kernel(void)
{
	return kib("/proc/meminfo", "KernelStack:") +
	       kib("/proc/meminfo", "Slab:");
}

int main(int argc, char **argv)
{
	long n, own_before, kernel_before;
	pthread_t *threads;
	int64_t t;

	begin(argc, argv);
	n = number("threads", 1000);
	params_done();
	own_before = own();
	kernel_before = kernel();
	t = now();
	threads = start(n, park, NULL, 0);
	gate_await(&gate, n);
	put("create", (double)(now() - t) / n, "ns");
	put("memory", (double)(own() - own_before) / n, "KiB");
	put("kernel_memory", (double)(kernel() - kernel_before) / n, "KiB");
	t = now();
	gate_open(&gate);
	join(threads, n);
	put("wake_and_join", (double)(now() - t) / n, "ns");
	return done();
}
