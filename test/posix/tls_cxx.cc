/*
 * tls_cxx - thread_local objects with constructors and destructors: built in
 * each thread that uses them, destroyed at its end in reverse, before the
 * destructors of keys; at_thread_exit notifications.
 */
#include "check.h"
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

static int built, destroyed, order_errors;
static thread_local int depth;

struct object {
	std::string name;
	int place;
	object() : name("object of a thread, too long for inline"), place(0)
	{
		ADD(built, 1);
		place = ++depth;
		sched_yield();
	}
	~object()
	{
		/* The last one built goes first. */
		if (depth-- != place)
			ADD(order_errors, 1);
		sched_yield();
		CHECK(name.size() > 15);
		name.clear();
		ADD(destroyed, 1);
	}
};

static thread_local object first, second;
static thread_local std::vector<int> numbers{ 1, 2, 3 };
static pthread_key_t key;
static int key_late;

static void key_destructor(void *v)
{
	/* C++ objects are gone by now. */
	if (depth == 0)
		ADD(key_late, 1);
	(void)v;
}

static void uses(int n)
{
	CHECK(numbers.size() == 3);
	pthread_setspecific(key, &key);
	numbers.push_back(n);
	if (n & 1) {
		CHECK(second.place == 1);
		CHECK(first.place == 2);
	} else {
		CHECK(first.place > 0);
		CHECK(second.place > 0);
	}
	static thread_local object inner;
	sched_yield();
	CHECK(inner.place == 3);
	CHECK(numbers.size() == 4 && numbers[3] == n);
}

/* Built by the destructor of another, so after the thread's own code. */
static int late_built;
struct late {
	int alive;
	late() : alive(1)
	{
		ADD(late_built, 1);
	}
	~late()
	{
		CHECK(alive);
		ADD(late_built, 1000);
	}
};
struct builds_late {
	int x = 0;
	~builds_late()
	{
		static thread_local late l;
		CHECK(l.alive);
	}
};
static thread_local builds_late trigger;

int main()
{
	std::vector<std::thread> t;
	std::mutex m;
	std::condition_variable c;
	int ready = 0;

	CHECK_EQ(pthread_key_create(&key, key_destructor), 0);
	section("built and destroyed in every thread");
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 50; i++)
			t.emplace_back(uses, i * 2);
		for (auto &x : t)
			x.join();
		t.clear();
	}
	CHECK_EQ(built, 500 * 3);
	CHECK_EQ(destroyed, 500 * 3);
	CHECK_EQ(order_errors, 0);
	CHECK_EQ(key_late, 500);

	section("built while others are destroyed");
	for (int i = 0; i < 20; i++)
		t.emplace_back([] { trigger.x = 1; });
	for (auto &x : t)
		x.join();
	t.clear();
	/* Any use of one may have built all those of this file. */
	CHECK(late_built % 1000 >= 20);
	CHECK_EQ(late_built / 1000, late_built % 1000);

	section("notify at thread exit");
	for (int i = 0; i < 20; i++)
		t.emplace_back([&] {
			std::unique_lock<std::mutex> lock(m);
			ready++;
			std::notify_all_at_thread_exit(c, std::move(lock));
		});
	{
		std::unique_lock<std::mutex> lock(m);
		c.wait(lock, [&] { return ready == 20; });
	}
	for (auto &x : t)
		x.join();
	return 0;
}
