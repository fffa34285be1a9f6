/*
 * blocking_cxx - an exception, and the end of a thread, leave a function that
 * GMP_SHIM_BLOCKING names.
 */
#include "check.h"
extern "C" {
#include "blocking.h"
}
#include <thread>

static int throws(int v)
{
	throw v;
}

static int ends(int)
{
	pthread_exit(nullptr);
}

static int same(int v)
{
	return v;
}

static void caught()
{
	for (int i = 0; i < 100; i++) {
		int got = -1;

		try {
			blk_call(throws, i);
		} catch (int v) {
			got = v;
		}
		CHECK_EQ(got, i);
		CHECK_EQ(blk_call(same, i), i + 1);
	}
}

static void *ended(void *arg)
{
	blk_call(ends, 0);
	return arg;
}

int main()
{
	section("alone");
	caught();
	section("in threads");
	std::thread a(caught), b(caught);
	a.join();
	b.join();
	section("the end of a thread");
	for (int i = 0; i < 20; i++) {
		char arg;

		CHECK(join(start(ended, &arg)) == NULL);
	}
	caught();
	return 0;
}
