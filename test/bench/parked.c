/*
 * parked - what a thread costs that waits: memory of the process (resident, page
 * tables), all memory, with the kernel's (stacks, slabs: the whole machine's, so on a
 * quiet one), and the time until it has been made, has run and is parked; has been woken;
 * and has been joined.
 */
#include "bench.h"

static struct gate gate = GATE;
static atomic_long not_woken;
static sem_t all_woken;

static void *park(void *arg)
{
	gate_pass(&gate);
	if (atomic_fetch_sub(&not_woken, 1) == 1)
		sem_post(&all_woken);
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
	long n, stack, own_before, kernel_before, own_more, kernel_more;
	int64_t begun, parked, opened, woken;
	pthread_t *threads;

	begin(argc, argv);
	n = number("threads", 1000);
	stack = number("stack", 0); /* KiB */
	params_done();
	sem_init(&all_woken, 0, 0);
	atomic_store(&not_woken, n);
	own_before = own();
	kernel_before = kernel();
	begun = now();
	threads = start_sized(n, park, NULL, 0, stack);
	gate_await(&gate, n);
	parked = now();
	own_more = own() - own_before;
	kernel_more = kernel() - kernel_before;
	opened = now();
	gate_open(&gate);
	while (sem_wait(&all_woken))
		;
	woken = now();
	join(threads, n);
	put("create", (double)(parked - begun) / n, "ns");
	put("wake", (double)(woken - opened) / n, "ns");
	put("join", (double)(now() - woken) / n, "ns");
	put("memory", (double)own_more / n, "KiB");
	put("all_memory", (double)(own_more + kernel_more) / n, "KiB");
	return done();
}
