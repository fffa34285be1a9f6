/*
 * once_cxx - std::call_once: an exception leaves the flag unset and the next
 * caller runs it; local statics guard themselves the same way.
 */
#include "check.h"
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

static std::once_flag flag;
static int runs, failures, done;

static void caller()
{
	try {
		std::call_once(flag, [] {
			int n = ADD(runs, 1);

			sched_yield();
			if (n <= 5)
				throw std::runtime_error("not yet");
			STORE(done, 1);
		});
		CHECK_EQ(LOAD(done), 1);
	} catch (const std::runtime_error &) {
		ADD(failures, 1);
	}
}

static int built, refused;
struct costly {
	int value;
	costly() : value(42)
	{
		int n = ADD(built, 1);

		for (int i = 0; i < 10; i++)
			sched_yield();
		usleep(500);
		if (n <= 3)
			throw n;
	}
};

static void local_static()
{
	try {
		static costly c;
		CHECK_EQ(c.value, 42);
	} catch (int n) {
		CHECK(n <= 3);
		ADD(refused, 1);
	}
}

static void all(void (*fn)())
{
	std::vector<std::thread> t;

	for (int i = 0; i < 50; i++)
		t.emplace_back(fn);
	for (auto &x : t)
		x.join();
}

int main()
{
	section("call_once");
	all(caller);
	CHECK_EQ(runs, 6);
	CHECK_EQ(failures, 5);
	section("local static");
	all(local_static);
	CHECK_EQ(built, 4);
	CHECK_EQ(refused, 3);
	return 0;
}
