/*
 * names - pthread_setname_np and pthread_getname_np: own and others' names,
 * their limits, inheritance, and prctl's view of the same.
 */
#include "check.h"
#include <semaphore.h>
#include <sys/prctl.h>

static sem_t gate, ready;

static void *named(void *arg)
{
	char name[16], mine[16];
	int i;

	snprintf(mine, sizeof(mine), "worker-%ld", (long)arg);
	CHECK_EQ(pthread_setname_np(pthread_self(), mine), 0);
	for (i = 0; i < 10; i++) {
		sched_yield();
		CHECK_EQ(pthread_getname_np(pthread_self(), name, 16), 0);
		CHECK(strcmp(name, mine) == 0);
		CHECK(prctl(PR_GET_NAME, name) == 0);
		CHECK(strcmp(name, mine) == 0);
	}
	return NULL;
}

static void *waits(void *arg)
{
	char name[16];

	CHECK_EQ(pthread_getname_np(pthread_self(), name, 16), 0);
	CHECK(strcmp(name, arg) == 0);
	CHECK(sem_post(&ready) == 0);
	CHECK(sem_wait(&gate) == 0);
	CHECK_EQ(pthread_getname_np(pthread_self(), name, 16), 0);
	CHECK(strcmp(name, "given") == 0);
	CHECK(prctl(PR_SET_NAME, "by-prctl") == 0);
	CHECK_EQ(pthread_getname_np(pthread_self(), name, 16), 0);
	CHECK(strcmp(name, "by-prctl") == 0);
	return NULL;
}

int main(void)
{
	enum { N = 50 };
	pthread_t t[N];
	char name[32];
	long i;

	CHECK(sem_init(&gate, 0, 0) == 0 && sem_init(&ready, 0, 0) == 0);
	section("main");
	CHECK_EQ(pthread_getname_np(pthread_self(), name, sizeof(name)), 0);
	CHECK(strcmp(name, "names") == 0);
	CHECK_EQ(pthread_setname_np(pthread_self(), "fifteen-letters"), 0);
	CHECK_EQ(pthread_getname_np(pthread_self(), name, 16), 0);
	CHECK(strcmp(name, "fifteen-letters") == 0);

	section("limits");
	RET(ERANGE, pthread_setname_np(pthread_self(), "sixteen--letters"));
	RET(ERANGE, pthread_getname_np(pthread_self(), name, 15));
	RET(ERANGE, pthread_getname_np(pthread_self(), name, 0));

	section("own names");
	for (i = 0; i < N; i++)
		t[i] = start(named, (void *)i);
	for (i = 0; i < N; i++)
		join(t[i]);
	CHECK_EQ(pthread_getname_np(pthread_self(), name, 16), 0);
	CHECK(strcmp(name, "fifteen-letters") == 0);

	section("inherited, and set from outside");
	t[0] = start(waits, "fifteen-letters");
	CHECK(sem_wait(&ready) == 0);
	CHECK_EQ(pthread_getname_np(t[0], name, 16), 0);
	CHECK(strcmp(name, "fifteen-letters") == 0);
	CHECK_EQ(pthread_setname_np(t[0], "given"), 0);
	CHECK_EQ(pthread_getname_np(t[0], name, 16), 0);
	CHECK(strcmp(name, "given") == 0);
	RET(ERANGE, pthread_setname_np(t[0], "sixteen--letters"));
	CHECK(sem_post(&gate) == 0);
	join(t[0]);
	return 0;
}
