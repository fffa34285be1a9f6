/*
 * create - pthread_create with every attribute: stack size, the caller's own
 * stack, guard, detach state, scheduling, signal mask, affinity, defaults.
 */
#include "check.h"
#include <alloca.h>
#include <semaphore.h>
#include <sys/mman.h>

static void *echo(void *arg)
{
	return arg;
}

static void arguments(void)
{
	long i;

	section("arguments");
	for (i = 0; i < 500; i++)
		CHECK_EQ((long)join(start(echo, (void *)i)), i);
}

/*
 * glibc writes the handle before the thread starts, and programs that read it
 * in the thread work by that.
 */
static pthread_t handle;
static void *own_handle(void *arg)
{
	(void)arg;
	return (void *)(long)pthread_equal(handle, pthread_self());
}

static void handle_first(void)
{
	int i;
	void *same;

	section("handle is stored before the thread runs");
	for (i = 0; i < 200; i++) {
		memset(&handle, 0, sizeof(handle));
		OK(pthread_create(&handle, NULL, own_handle, NULL));
		OK(pthread_join(handle, &same));
		CHECK(same);
	}
}

static void bad_attributes(void)
{
	pthread_attr_t a;
	int v;
	size_t size;

	section("attributes refused");
	OK(pthread_attr_init(&a));
	RET(EINVAL, pthread_attr_setstacksize(&a, PTHREAD_STACK_MIN - 1));
	RET(EINVAL, pthread_attr_setstack(&a, &a, PTHREAD_STACK_MIN - 1));
	RET(EINVAL, pthread_attr_setdetachstate(&a, 17));
	RET(EINVAL, pthread_attr_setinheritsched(&a, 17));
	RET(EINVAL, pthread_attr_setschedpolicy(&a, 17));
	RET(EINVAL, pthread_attr_setscope(&a, 17));
	RET(ENOTSUP, pthread_attr_setscope(&a, PTHREAD_SCOPE_PROCESS));
	OK(pthread_attr_setscope(&a, PTHREAD_SCOPE_SYSTEM));
	OK(pthread_attr_getdetachstate(&a, &v));
	CHECK_EQ(v, PTHREAD_CREATE_JOINABLE);
	OK(pthread_attr_getinheritsched(&a, &v));
	CHECK_EQ(v, PTHREAD_INHERIT_SCHED);
	OK(pthread_attr_getguardsize(&a, &size));
	CHECK_EQ(size, sysconf(_SC_PAGESIZE));
	OK(pthread_attr_destroy(&a));
}

/* All of it but what libc may need itself. */
static void *use_stack(void *arg)
{
	size_t size = (size_t)arg - (16 << 10), i;
	volatile char *p = alloca(size);

	for (i = 0; i < size; i += 512)
		p[i] = (char)i;
	for (i = 0; i < size; i += 512)
		CHECK(p[i] == (char)i);
	return arg;
}

static void stack_sizes(void)
{
	static const size_t sizes[] = {
		64 << 10, 100000, 256 << 10, 1 << 20, 8 << 20, 32 << 20,
	};
	pthread_attr_t a;
	pthread_t t;
	size_t i, got;

	section("stack sizes");
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		OK(pthread_attr_init(&a));
		OK(pthread_attr_setstacksize(&a, sizes[i]));
		OK(pthread_attr_getstacksize(&a, &got));
		CHECK_EQ(got, sizes[i]);
		OK(pthread_create(&t, &a, use_stack, (void *)sizes[i]));
		OK(pthread_attr_destroy(&a));
		CHECK(join(t) == (void *)sizes[i]);
	}
}

#define OWN_STACK 16384
struct own {
	char *base;
	size_t size;
	pthread_barrier_t *gate;
	sem_t *go;
};

static void *on_own_stack(void *arg)
{
	struct own *o = arg;
	char *here = stack_here();
	volatile char local[2048];

	local[0] = local[2047] = 1;
	CHECK(here > o->base && here < o->base + o->size);
	CHECK((char *)local > o->base && (char *)local < o->base + o->size);
	if (o->gate)
		pthread_barrier_wait(o->gate);
	sched_yield();
	if (o->go)
		CHECK(sem_wait(o->go) == 0);
	CHECK(local[0] == 1 && local[2047] == 1);
	return here;
}

static void own_stacks(void)
{
	enum { N = 200 };
	static char still[OWN_STACK] __attribute__((aligned(64)));
	static struct own own[N];
	static pthread_t t[N];
	pthread_barrier_t gate;
	pthread_attr_t a;
	sem_t go;
	void *addr;
	size_t size;
	int i, j;

	section("stacks of the caller, alive together");
	OK(pthread_barrier_init(&gate, NULL, N + 1));
	CHECK(sem_init(&go, 0, 0) == 0);
	OK(pthread_attr_init(&a));
	for (i = 0; i < N; i++) {
		own[i].size = OWN_STACK;
		own[i].base = aligned_alloc(64, OWN_STACK);
		CHECK(own[i].base);
		own[i].gate = &gate;
		own[i].go = &go;
		OK(pthread_attr_setstack(&a, own[i].base, OWN_STACK));
		OK(pthread_attr_getstack(&a, &addr, &size));
		CHECK(addr == own[i].base && size == OWN_STACK);
		OK(pthread_create(&t[i], &a, on_own_stack, &own[i]));
	}
	pthread_barrier_wait(&gate);
	for (i = 0; i < N; i++)
		CHECK(sem_post(&go) == 0);
	for (i = 0; i < N; i++) {
		join(t[i]);
		free(own[i].base);
	}
	OK(pthread_barrier_destroy(&gate));

	/* The owner may take it back at once: nobody may touch it any more. */
	section("stacks of the caller, unmapped after join");
	for (i = 0; i < 300; i++) {
		struct own o = { 0 };

		o.size = OWN_STACK;
		o.base = mmap(NULL, o.size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(o.base != MAP_FAILED);
		OK(pthread_attr_setstack(&a, o.base, o.size));
		OK(pthread_create(&t[0], &a, on_own_stack, &o));
		join(t[0]);
		CHECK(munmap(o.base, o.size) == 0);
	}

	section("one stack for many threads, in turn");
	for (i = 0; i < 300; i++) {
		struct own o = { still, sizeof(still), NULL, NULL };

		OK(pthread_attr_setstack(&a, still, sizeof(still)));
		OK(pthread_create(&t[0], &a, on_own_stack, &o));
		join(t[0]);
		memset(still, i, sizeof(still));
		sched_yield();
		for (j = 0; j < OWN_STACK; j++)
			CHECK(still[j] == (char)i);
	}
	OK(pthread_attr_destroy(&a));
	CHECK(sem_destroy(&go) == 0);
}

static void *guard_of_self(void *arg)
{
	pthread_attr_t a;
	size_t guard;

	(void)arg;
	CHECK_EQ(pthread_getattr_np(pthread_self(), &a), 0);
	CHECK_EQ(pthread_attr_getguardsize(&a, &guard), 0);
	CHECK_EQ(pthread_attr_destroy(&a), 0);
	return (void *)guard;
}

static void guards(void)
{
	static const size_t sizes[] = { 0, 1, 4096, 65536 };
	pthread_attr_t a;
	pthread_t t;
	size_t i, got;

	section("guard sizes");
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		OK(pthread_attr_init(&a));
		OK(pthread_attr_setguardsize(&a, sizes[i]));
		OK(pthread_attr_getguardsize(&a, &got));
		CHECK_EQ(got, sizes[i]);
		OK(pthread_create(&t, &a, guard_of_self, NULL));
		OK(pthread_attr_destroy(&a));
		/* What the system made of it may be rounded to pages. */
		got = (size_t)join(t);
		CHECK(got >= sizes[i] && got <= sizes[i] + 4096);
	}
}

static sem_t hold;
static int detached_done;
static void *held(void *arg)
{
	(void)arg;
	CHECK(sem_wait(&hold) == 0);
	ADD(detached_done, 1);
	return NULL;
}

static void detached(void)
{
	pthread_attr_t a;
	pthread_t t;
	int v;

	section("created detached");
	CHECK(sem_init(&hold, 0, 0) == 0);
	OK(pthread_attr_init(&a));
	OK(pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED));
	OK(pthread_attr_getdetachstate(&a, &v));
	CHECK_EQ(v, PTHREAD_CREATE_DETACHED);
	OK(pthread_create(&t, &a, held, NULL));
	RET(EINVAL, pthread_join(t, NULL));
	RET(EINVAL, pthread_detach(t));
	CHECK(sem_post(&hold) == 0);
	YIELD_UNTIL(LOAD(detached_done) == 1);
	OK(pthread_attr_destroy(&a));
}

static void *own_policy(void *arg)
{
	struct sched_param p;
	int policy;

	(void)arg;
	CHECK_EQ(pthread_getschedparam(pthread_self(), &policy, &p), 0);
	return (void *)(long)(policy * 1000 + p.sched_priority);
}

static void scheduling(void)
{
	struct sched_param p = { .sched_priority = 0 };
	pthread_attr_t a;
	pthread_t t;
	int ret;

	section("explicit scheduling");
	OK(pthread_attr_init(&a));
	OK(pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED));
	OK(pthread_attr_setschedpolicy(&a, SCHED_OTHER));
	OK(pthread_attr_setschedparam(&a, &p));
	OK(pthread_create(&t, &a, own_policy, NULL));
	CHECK_EQ((long)join(t), SCHED_OTHER * 1000);

	/* A priority that the policy does not have. */
	OK(pthread_attr_setschedpolicy(&a, SCHED_FIFO));
	p.sched_priority = 1000;
	RET(EINVAL, pthread_attr_setschedparam(&a, &p));

	/* Real-time needs a privilege; with it, the thread must have it. */
	p.sched_priority = 2;
	OK(pthread_attr_setschedparam(&a, &p));
	ret = pthread_create(&t, &a, own_policy, NULL);
	CHECK(ret == 0 || ret == EPERM);
	if (ret == 0)
		CHECK_EQ((long)join(t), SCHED_FIFO * 1000 + 2);

	/* Inherited: what the attribute says besides does not count. */
	OK(pthread_attr_setinheritsched(&a, PTHREAD_INHERIT_SCHED));
	OK(pthread_create(&t, &a, own_policy, NULL));
	CHECK_EQ((long)join(t), SCHED_OTHER * 1000);
	OK(pthread_attr_destroy(&a));
}

static void *own_mask(void *arg)
{
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, arg), 0);
	return NULL;
}

static void signal_mask(void)
{
	pthread_attr_t a;
	sigset_t want, got;
	pthread_t t;
	int s;

	section("signal mask attribute");
	sigemptyset(&want);
	OK(pthread_attr_init(&a));
	RET(PTHREAD_ATTR_NO_SIGMASK_NP, pthread_attr_getsigmask_np(&a, &got));
	sigaddset(&want, SIGUSR1);
	sigaddset(&want, SIGRTMIN + 3);
	OK(pthread_attr_setsigmask_np(&a, &want));
	OK(pthread_attr_getsigmask_np(&a, &got));
	OK(pthread_create(&t, &a, own_mask, &got));
	join(t);
	for (s = 1; s < NSIG; s++)
		CHECK(sigismember(&want, s) == sigismember(&got, s));
	/* Its creator's is as before. */
	own_mask(&got);
	CHECK(!sigismember(&got, SIGUSR1));
	OK(pthread_attr_setsigmask_np(&a, NULL));
	RET(PTHREAD_ATTR_NO_SIGMASK_NP, pthread_attr_getsigmask_np(&a, &got));
	OK(pthread_attr_destroy(&a));
}

static void *own_cpus(void *arg)
{
	CHECK_EQ(pthread_getaffinity_np(pthread_self(), sizeof(cpu_set_t), arg),
		 0);
	return NULL;
}

static void affinity(void)
{
	pthread_attr_t a;
	cpu_set_t all, one, got;
	pthread_t t;
	int cpu;

	section("affinity attribute");
	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	for (cpu = 0; !CPU_ISSET(cpu, &all); cpu++)
		;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	OK(pthread_attr_init(&a));
	OK(pthread_attr_setaffinity_np(&a, sizeof(one), &one));
	OK(pthread_attr_getaffinity_np(&a, sizeof(got), &got));
	CHECK(CPU_EQUAL(&one, &got));
	OK(pthread_create(&t, &a, own_cpus, &got));
	join(t);
	CHECK(CPU_EQUAL(&one, &got));
	OK(pthread_attr_setaffinity_np(&a, sizeof(all), &all));
	OK(pthread_create(&t, &a, own_cpus, &got));
	join(t);
	CHECK(CPU_EQUAL(&all, &got));

	/* No such processor: no thread. */
	if (sysconf(_SC_NPROCESSORS_CONF) < 1000) {
		CPU_ZERO(&one);
		CPU_SET(1000, &one);
		OK(pthread_attr_setaffinity_np(&a, sizeof(one), &one));
		CHECK_EQ(pthread_create(&t, &a, echo, NULL), EINVAL);
	}
	OK(pthread_attr_destroy(&a));
}

static void too_much(void)
{
	pthread_attr_t a;
	pthread_t t;

	section("no memory for the stack");
	OK(pthread_attr_init(&a));
	OK(pthread_attr_setstacksize(&a, (size_t)1 << 46));
	CHECK_EQ(pthread_create(&t, &a, echo, NULL), EAGAIN);
	OK(pthread_attr_destroy(&a));
	CHECK(join(start(echo, &a)) == &a);
}

static void *own_stack_size(void *arg)
{
	pthread_attr_t a;
	size_t size;

	(void)arg;
	CHECK_EQ(pthread_getattr_np(pthread_self(), &a), 0);
	CHECK_EQ(pthread_attr_getstacksize(&a, &size), 0);
	CHECK_EQ(pthread_attr_destroy(&a), 0);
	return (void *)size;
}

static void defaults(void)
{
	pthread_attr_t old, a;
	size_t size;

	section("default attributes");
	OK(pthread_getattr_default_np(&old));
	OK(pthread_attr_init(&a));
	OK(pthread_attr_setstacksize(&a, 3 << 20));
	OK(pthread_setattr_default_np(&a));
	OK(pthread_attr_destroy(&a));
	OK(pthread_getattr_default_np(&a));
	OK(pthread_attr_getstacksize(&a, &size));
	CHECK_EQ(size, 3 << 20);
	size = (size_t)join(start(own_stack_size, NULL));
	/* glibc may give one from its cache, which is larger. */
	CHECK(size > (2 << 20));
	OK(pthread_attr_destroy(&a));
	OK(pthread_setattr_default_np(&old));
	OK(pthread_attr_destroy(&old));
}

int main(void)
{
	arguments();
	handle_first();
	bad_attributes();
	stack_sizes();
	own_stacks();
	guards();
	detached();
	scheduling();
	signal_mask();
	affinity();
	too_much();
	defaults();
	return 0;
}
