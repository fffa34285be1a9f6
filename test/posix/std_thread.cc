/*
 * std_thread - the C++ library's threads: thread, async, promise and future,
 * condition_variable, all mutexes, call_once, thread_local, packaged_task,
 * atomics' wait built from them.
 */
#include "check.h"
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <numeric>
#include <queue>
#include <set>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
static const int N = 30;

static void threads()
{
	std::vector<std::thread> t;
	std::set<std::thread::id> ids;
	std::mutex m;
	long sum = 0;

	section("thread");
	for (int i = 0; i < N; i++)
		t.emplace_back([&, i] {
			std::lock_guard<std::mutex> lock(m);
			sum += i;
			ids.insert(std::this_thread::get_id());
			std::this_thread::yield();
		});
	for (auto &x : t) {
		CHECK(x.joinable());
		x.join();
		CHECK(!x.joinable());
	}
	CHECK_EQ(sum, N * (N - 1) / 2);
	/* Identities may be used again, so only at least one. */
	CHECK(!ids.empty());
	CHECK(std::thread::hardware_concurrency() >= 1);
	try {
		t[0].join();
		CHECK(!"joined twice");
	} catch (const std::system_error &e) {
		CHECK(e.code() == std::errc::invalid_argument);
	}
}

/* Waits and wake-ups know each other even if no file can be opened to find out whose
 * memory they are at. */
static void no_files()
{
	struct rlimit was, none;

	CHECK(getrlimit(RLIMIT_NOFILE, &was) == 0);
	none = was;
	none.rlim_cur = 0;
	section("promise without a file");
	for (int i = 0; i < 200; i++) {
		std::promise<int> there, back;
		std::future<int> f = there.get_future();
		std::thread t([&] { back.set_value(f.get() + 1); });
		CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
		sched_yield();
		there.set_value(i);
		CHECK_EQ(back.get_future().get(), i + 1);
		CHECK(setrlimit(RLIMIT_NOFILE, &was) == 0);
		t.join();
	}
}

static void futures()
{
	std::vector<std::future<int>> f;

	section("async");
	for (int i = 0; i < N; i++)
		f.push_back(std::async(std::launch::async, [i] {
			std::this_thread::yield();
			if (i % 10 == 9)
				throw std::runtime_error("nine");
			return i * i;
		}));
	for (int i = 0; i < N; i++) {
		try {
			CHECK_EQ(f[i].get(), i * i);
			CHECK(i % 10 != 9);
		} catch (const std::runtime_error &) {
			CHECK_EQ(i % 10, 9);
		}
	}
	auto lazy = std::async(std::launch::deferred, [] { return 5; });
	CHECK(lazy.wait_for(0s) == std::future_status::deferred);
	CHECK_EQ(lazy.get(), 5);

	section("promise");
	std::promise<std::string> p;
	auto shared = p.get_future().share();
	std::vector<std::thread> t;
	for (int i = 0; i < N; i++)
		t.emplace_back([shared] { CHECK(shared.get() == "kept"); });
	CHECK(shared.wait_for(2ms) == std::future_status::timeout);
	CHECK(shared.wait_until(std::chrono::system_clock::now() + 2ms) ==
	      std::future_status::timeout);
	p.set_value("kept");
	for (auto &x : t)
		x.join();
	std::future<int> broken;
	{
		std::promise<int> gone;
		broken = gone.get_future();
	}
	try {
		broken.get();
		CHECK(!"a broken promise has a value");
	} catch (const std::future_error &e) {
		CHECK(e.code() == std::future_errc::broken_promise);
	}
	std::packaged_task<int(int)> task([](int x) { return x + 1; });
	auto result = task.get_future();
	std::thread runner(std::move(task), 6);
	CHECK_EQ(result.get(), 7);
	runner.join();
	std::promise<int> at_exit;
	auto late = at_exit.get_future();
	std::thread([&] { at_exit.set_value_at_thread_exit(8); }).join();
	CHECK_EQ(late.get(), 8);
}

static void conditions()
{
	std::queue<int> q;
	std::mutex m;
	std::condition_variable c;
	std::condition_variable_any any;
	std::vector<std::thread> t;
	std::atomic<long> sum{ 0 };
	bool closed = false;

	section("condition_variable");
	for (int i = 0; i < N; i++)
		t.emplace_back([&] {
			for (;;) {
				std::unique_lock<std::mutex> lock(m);
				c.wait(lock,
				       [&] { return closed || !q.empty(); });
				if (q.empty())
					return;
				sum += q.front();
				q.pop();
			}
		});
	for (int i = 1; i <= 2000; i++) {
		{
			std::lock_guard<std::mutex> lock(m);
			q.push(i);
		}
		c.notify_one();
	}
	{
		std::lock_guard<std::mutex> lock(m);
		closed = true;
	}
	c.notify_all();
	for (auto &x : t)
		x.join();
	t.clear();
	CHECK_EQ(sum.load(), 2000 * 2001 / 2);
	{
		std::unique_lock<std::mutex> lock(m);
		auto until = std::chrono::steady_clock::now() + 3ms;
		CHECK(c.wait_until(lock, until) == std::cv_status::timeout);
		CHECK(std::chrono::steady_clock::now() >= until);
		CHECK(!c.wait_for(lock, 2ms, [] { return false; }));
		CHECK(lock.owns_lock());
	}

	section("condition_variable_any");
	std::shared_timed_mutex sm;
	bool go = false;
	for (int i = 0; i < N; i++)
		t.emplace_back([&] {
			std::shared_lock<std::shared_timed_mutex> lock(sm);
			any.wait(lock, [&] { return go; });
		});
	{
		std::unique_lock<std::shared_timed_mutex> lock(sm);
		go = true;
	}
	any.notify_all();
	for (auto &x : t)
		x.join();
}

static void mutexes()
{
	std::recursive_mutex r;
	std::timed_mutex tm;
	std::recursive_timed_mutex rt;
	std::shared_mutex s;
	std::shared_timed_mutex st;
	std::vector<std::thread> t;
	long a = 0, b = 0;

	section("mutexes");
	for (int i = 0; i < N; i++)
		t.emplace_back([&, i] {
			for (int k = 0; k < 50; k++) {
				std::lock_guard<std::recursive_mutex> l1(r);
				std::lock_guard<std::recursive_mutex> l2(r);
				CHECK(rt.try_lock_for(600s));
				CHECK(rt.try_lock());
				rt.unlock();
				rt.unlock();
				CHECK(tm.try_lock_for(600s));
				tm.unlock();
				if ((i + k) % 4 == 0) {
					std::unique_lock<std::shared_mutex> w(
						s);
					a++;
					std::this_thread::yield();
					b++;
				} else {
					std::shared_lock<std::shared_mutex> l(
						s);
					CHECK_EQ(a, b);
				}
				CHECK(st.try_lock_shared_for(600s));
				st.unlock_shared();
			}
		});
	for (auto &x : t)
		x.join();
	t.clear();
	CHECK_EQ(a, b);
	std::mutex m1, m2;
	for (int i = 0; i < N; i++)
		t.emplace_back([&, i] {
			/* Both orders: the library avoids the deadlock. */
			for (int k = 0; k < 50; k++) {
				if (i & 1) {
					std::scoped_lock l(m1, m2);
					a++;
				} else {
					std::scoped_lock l(m2, m1);
					a++;
				}
			}
		});
	for (auto &x : t)
		x.join();
	t.clear();
	CHECK_EQ(a, b + N * 50);
	tm.lock();
	std::thread([&] {
		CHECK(!tm.try_lock());
		CHECK(!tm.try_lock_for(2ms));
		CHECK(!tm.try_lock_until(std::chrono::system_clock::now()));
	}).join();
	tm.unlock();
}

static thread_local int count = 5;
static void locals()
{
	std::vector<std::thread> t;
	std::once_flag once;
	std::atomic<int> runs{ 0 };

	section("thread_local, once, sleep");
	for (int i = 0; i < N; i++)
		t.emplace_back([&, i] {
			CHECK_EQ(count, 5);
			count += i;
			std::call_once(once, [&] { runs++; });
			auto until = std::chrono::steady_clock::now() + 1ms;
			std::this_thread::sleep_until(until);
			CHECK(std::chrono::steady_clock::now() >= until);
			std::this_thread::sleep_for(100us);
			CHECK_EQ(count, 5 + i);
		});
	for (auto &x : t)
		x.join();
	CHECK_EQ(runs.load(), 1);
	CHECK_EQ(count, 5);
}

int main()
{
	threads();
	futures();
	no_files();
	conditions();
	mutexes();
	locals();
	return 0;
}
