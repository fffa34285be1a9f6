/*
 * exit_cxx - pthread_exit through C++ frames: destructors run innermost first,
 * catch (...) sees it and rethrows, catch of a type does not, thread_local
 * objects are destroyed afterwards.
 */
#include "guard.h"
#include <stdexcept>
#include <string>

static int tls_destroyed;
struct tls_object {
	int seen = 0;
	~tls_object()
	{
		/* All frames have been left before it goes. */
		if (seen)
			CHECK_EQ(used, seen);
		ADD(tls_destroyed, 1);
	}
};
static thread_local tls_object object;

static void deep(int n, void *value);
/* Through a pointer: the compiler need not know that this recurses. */
static void (*volatile deeper)(int, void *) = deep;
static void deep(int n, void *value)
{
	guard g(n);
	std::string on_heap(100, 'x');

	if (n == 5)
		pthread_exit(value);
	deeper(n + 1, value);
	CHECK(on_heap[0] != 'x');
}

static void *plain(void *arg)
{
	object.seen = 5;
	deep(1, arg);
	return nullptr;
}

static void *catches(void *arg)
{
	object.seen = 7;
	guard outer(100);
	try {
		try {
			deep(1, arg);
		} catch (const std::exception &) {
			CHECK(!"not an exception");
		}
	} catch (...) {
		CHECK_EQ(used, 5);
		guard inner(50);
		throw;
	}
	return nullptr;
}

/* A thrown exception meanwhile, in a destructor's own frames. */
struct throws_inside {
	~throws_inside()
	{
		try {
			throw std::runtime_error("inside");
		} catch (const std::runtime_error &e) {
			CHECK(std::string(e.what()) == "inside");
			order[used++] = 9;
		}
	}
};

static void *nested(void *arg)
{
	object.seen = 2;
	guard g(1);
	throws_inside t;
	pthread_exit(arg);
}

static void expect(void *(*fn)(void *), int n)
{
	static const int threads = 50;
	pthread_t t[threads];
	long i;

	STORE(tls_destroyed, 0);
	for (i = 0; i < threads; i++)
		t[i] = start(fn, (void *)(i + n));
	for (i = 0; i < threads; i++)
		CHECK_EQ((long)join(t[i]), i + n);
	CHECK_EQ(LOAD(tls_destroyed), threads);
}

int main()
{
	section("destructors");
	expect(plain, 1000);
	section("catch and rethrow");
	expect(catches, 2000);
	section("exceptions inside destructors");
	expect(nested, 3000);
	return 0;
}
