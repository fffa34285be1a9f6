/*
 * backtrace_cxx - exceptions in threads: thrown and caught at many depths,
 * nested, rethrown and carried to another thread, with yields in catch blocks
 * and destructors, so that many threads are amid handling one at a time.
 */
#include "check.h"
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct yields {
	~yields()
	{
		sched_yield();
		CHECK_EQ(std::uncaught_exceptions(), 1);
	}
};

static void thrower(int depth);
static void (*volatile deeper)(int) = thrower;
static void thrower(int depth)
{
	yields y;

	if (depth == 0)
		throw std::runtime_error("at the bottom");
	deeper(depth - 1);
}

static void nested(int id)
{
	for (int i = 0; i < 20; i++) {
		std::string trace;

		try {
			try {
				deeper(i % 8);
			} catch (const std::exception &outer) {
				sched_yield();
				try {
					throw id * 100 + i;
				} catch (int inner) {
					sched_yield();
					CHECK_EQ(inner, id * 100 + i);
					trace += "i";
				}
				CHECK_EQ(std::uncaught_exceptions(), 0);
				CHECK(std::string(outer.what()) ==
				      "at the bottom");
				trace += "o";
				throw;
			}
		} catch (const std::runtime_error &again) {
			CHECK(std::string(again.what()) == "at the bottom");
			trace += "r";
		}
		CHECK(trace == "ior");
		CHECK(std::current_exception() == nullptr);
	}
}

int main()
{
	std::vector<std::thread> t;
	std::vector<std::exception_ptr> carried(50);

	section("nested, with yields");
	for (int i = 0; i < 50; i++)
		t.emplace_back(nested, i);
	for (auto &x : t)
		x.join();
	t.clear();

	section("carried to another thread");
	for (int i = 0; i < 50; i++)
		t.emplace_back([&carried, i] {
			try {
				throw std::to_string(i);
			} catch (...) {
				carried[i] = std::current_exception();
			}
		});
	for (auto &x : t)
		x.join();
	for (int i = 0; i < 50; i++) {
		try {
			std::rethrow_exception(carried[i]);
		} catch (const std::string &s) {
			CHECK(s == std::to_string(i));
		}
	}
	return 0;
}
