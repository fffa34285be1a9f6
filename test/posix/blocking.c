/*
 * blocking - calls of a library through every kind of reference, which
 * GMP_SHIM_BLOCKING may or may not have changed: values, errno, threads that
 * block in them, libraries opened at run time by their own RUNPATH, fork.
 *
 * This one looks its functions up as they are called; blocking_now is the same,
 * bound at start and read-only then.
 */
#include "check.h"
#include "blocking.h"
#include <dlfcn.h>
#include <math.h>

static char folder[4096];

static void *open_here(const char *name)
{
	char path[4200];
	void *lib;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		check_fail(__FILE__, __LINE__, "%s", dlerror());
	CHECK(dlerror() == NULL);
	return lib;
}

static void *find(void *lib, const char *name)
{
	void *f = dlsym(lib, name);

	if (!f)
		check_fail(__FILE__, __LINE__, "%s", dlerror());
	return f;
}

static int mapped(const char *what)
{
	char line[4400];
	FILE *f = fopen("/proc/self/maps", "r");
	int found = 0;

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		found |= strstr(line, what) != NULL;
	fclose(f);
	return found;
}

static void values(void)
{
	int before = blk_v_calls();
	char c[2];

	CHECK_EQ(blk_b(-5), -6);
	CHECK_EQ(blk_b(-128), 127);
	CHECK_EQ(blk_B(254), 255);
	CHECK_EQ(blk_B(255), 0);
	CHECK_EQ(blk_h(-300), -301);
	CHECK_EQ(blk_h(-32768), 32767);
	CHECK_EQ(blk_H(65534), 65535);
	CHECK_EQ(blk_H(65535), 0);
	CHECK_EQ(blk_i(-70000), -70001);
	CHECK_EQ(blk_i(INT_MIN + 1), INT_MIN);
	CHECK_EQ(blk_I(4294967294u), 4294967295u);
	CHECK_EQ(blk_I(4294967295u), 0);
	CHECK_EQ(blk_l(INT64_MIN + 1), INT64_MIN);
	CHECK(blk_L(UINT64_MAX - 1) == UINT64_MAX);
	CHECK(blk_f(-1.0f) == -1.0f / 3);
	CHECK(isinf(blk_f(INFINITY)));
	CHECK(blk_d(1e300) == 1e300 / 3);
	CHECK(isnan(blk_d(NAN)));
	CHECK(blk_D(1e4000L) == 1e4000L / 3);
	CHECK(blk_p(c) == c + 1);
	CHECK(blk_not(true) == false);
	CHECK(blk_not(false) == true);
	blk_v();
	CHECK_EQ(blk_v_calls(), before + 1);
	CHECK(blk_many(-1, 200, -300, 60000, -70000, 4000000000u,
		       -5000000000000, 1ull << 63, -1.5f, 2.25, -3.125L,
		       (void *)-1000l, 4.5f, -5.5, 6.5f, -7.5, 8.5f, -9.5,
		       10.5f, -11.5, -12) ==
	      -1 + 2 * 200 - 3 * 300 + 4 * 60000 - 5 * 70000.0L +
		      6 * 4000000000.0L - 7 * 5000000000000.0L +
		      8.0L * (1ull << 63) - 9 * 1.5f + 10 * 2.25 -
		      11 * 3.125L - 12 * 1000.0L + 13 * 4.5f - 14 * 5.5 +
		      15 * 6.5f - 16 * 7.5 + 17 * 8.5f - 18 * 9.5 +
		      19 * 10.5f - 20 * 11.5 - 21 * 12);
	ERR(EDOM, blk_errno(EDOM));
	ERR(0, blk_errno(0));
}

static void *values_often(void *arg)
{
	for (int i = 0; i < 100; i++) {
		values();
		if (i % 10 == 0)
			sched_yield();
	}
	return arg;
}

static int wait_end, write_end, ticks;

static void *waiter(void *arg)
{
	int (*fn)(int) = (int (*)(int))arg;

	for (int i = 0; i < 10; i++)
		CHECK_EQ(fn(wait_end), 'a' + i);
	return NULL;
}

static void *ticker(void *arg)
{
	for (int i = 0; i < 10; i++) {
		char c = 'a' + i;

		/* The other one is in its call, or gets there meanwhile. */
		for (int k = 0; k < 20; k++) {
			ADD(ticks, 1);
			sched_yield();
			usleep(50);
		}
		CHECK(write(write_end, &c, 1) == 1);
	}
	return arg;
}

/* A thread that blocks in the call does not stop another. */
static void waits(int (*fn)(int))
{
	pthread_t w, t;
	int fds[2];

	CHECK(pipe(fds) == 0);
	wait_end = fds[0];
	write_end = fds[1];
	w = start(waiter, (void *)fn);
	t = start(ticker, NULL);
	join(w);
	join(t);
	close(fds[0]);
	close(fds[1]);
}

static int add_one(int v)
{
	return v + 1;
}

static void opened(void)
{
	void *near, *far, *lib;
	int (*call)(int), (*pointers)(int);
	void *(*open)(const char *), *(*next)(const char *);
	void **stack;
	int depth, found = 0;

	near = open_here("libblocking_near.so");
	call = (int (*)(int))find(near, "near_call");
	CHECK_EQ(call(-5), -6);
	pointers = (int (*)(int))find(near, "near_pointers");
	errno = 0;
	CHECK_EQ(pointers(ERANGE), -2);
	CHECK_EQ(errno, ERANGE);

	/* By its name alone, which only near's RUNPATH resolves. */
	CHECK(!dlopen("libblocking_far.so", RTLD_NOW));
	CHECK(strstr(dlerror(), "libblocking_far.so"));
	open = (void *(*)(const char *))find(near, "near_open");
	CHECK(!open("libblocking_nowhere.so"));
	CHECK(strstr(dlerror(), "libblocking_nowhere.so"));
	CHECK(dlerror() == NULL);
	far = open("libblocking_far.so");
	if (!far)
		check_fail(__FILE__, __LINE__, "%s", dlerror());
	CHECK(dlerror() == NULL);
	call = (int (*)(int))find(far, "far_call");
	CHECK_EQ(call(-5), -12);
	CHECK_EQ(call(-6), -14);

	/* From the constructor, through dlopen, to this function. */
	stack = find(far, "far_stack");
	depth = *(int *)find(far, "far_depth");
	CHECK(depth > 3 && depth < 64);
	for (int i = 0; i < depth; i++)
		found |= (char *)stack[i] > (char *)opened &&
			 (char *)stack[i] < (char *)opened + 4096;
	CHECK(found);

	/* One function, whichever way it is found. */
	CHECK(dlsym(RTLD_DEFAULT, "blk_i") == (void *)blk_i);
	next = (void *(*)(const char *))find(near, "near_next");
	lib = dlopen("libblocking.so", RTLD_NOW | RTLD_NOLOAD);
	CHECK(lib);
	CHECK(dlsym(lib, "blk_i") == (void *)blk_i);
	CHECK(next("blk_i") == (void *)blk_i);
	CHECK_EQ(((int (*)(int))next("blk_i"))(7), 6);
	CHECK(!dlsym(lib, "blk_none"));
	CHECK(strstr(dlerror(), "blk_none"));
	CHECK(dlclose(lib) == 0);
	CHECK(dlclose(far) == 0);
	far = open("libblocking_far.so");
	CHECK(far);
	call = (int (*)(int))find(far, "far_call");
	CHECK_EQ(call(-5), -12);
	CHECK(dlclose(far) == 0);
	CHECK(dlclose(near) == 0);
}

static void *opens(void *arg)
{
	for (int i = 0; i < 20; i++) {
		void *near = open_here("libblocking_near.so");

		CHECK_EQ(((int (*)(int))find(near, "near_call"))(-5), -6);
		CHECK(dlclose(near) == 0);
	}
	return arg;
}

int main(void)
{
	pthread_t t[8];
	ssize_t n;
	pid_t pid;

	n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	CHECK(n > 0);
	*strrchr(folder, '/') = 0;
	/* Without the setting it costs nothing. */
	CHECK_EQ(mapped("libffi"), getenv("GMP_SHIM_BLOCKING") != NULL);

	section("before there are threads");
	values();
	CHECK_EQ(blk_call(add_one, 5), 7);

	section("in threads");
	for (int i = 0; i < 8; i++)
		t[i] = start(values_often, NULL);
	for (int i = 0; i < 8; i++)
		join(t[i]);

	section("blocked");
	waits(blk_wait);
	CHECK_EQ(ticks, 200);
	section("blocked below another");
	waits(blk_nested);
	CHECK_EQ(ticks, 400);

	section("opened libraries");
	opened();
	section("opened by several");
	for (int i = 0; i < 8; i++)
		t[i] = start(opens, NULL);
	for (int i = 0; i < 8; i++)
		join(t[i]);

	section("child");
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		values();
		waits(blk_wait);
		opened();
		_exit(0);
	}
	reap(pid, 0);
	values();
	return 0;
}
