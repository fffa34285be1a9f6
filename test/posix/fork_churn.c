/*
 * fork_churn - fork over and over while other threads are inside whatever has
 * a lock: malloc, the list of open files, stdio, the environment, locales, the
 * time zone, the program's own.  Each child must allocate, print, start and
 * join threads and fork again: one that inherits a lock or a scheduler in the
 * middle of something hangs, once in some hundred times.
 *
 * fork_churn [forks]
 */
#include "check.h"
#include <locale.h>

enum { CREW = 6, FORKERS = 4 };
static long forks = 1000;
static int stop, heads;

/* ---- The threads that keep everything locked ----------------------------- */

/* Mostly inside of it, but not all of the processor. */
static void breathe(unsigned i)
{
	struct timespec t = { 0, 100000 };

	if (i % 8 == 0)
		nanosleep(&t, NULL);
	else if (i % 2 == 0)
		sched_yield();
}

static void *allocates(void *arg)
{
	unsigned seed = (unsigned)(long)arg, i, k, n;
	char *block[32] = { 0 };

	for (i = 0; !LOAD(stop); i++) {
		for (k = 0; k < 20; k++) {
			char **b = &block[rand_r(&seed) % 32];

			n = rand_r(&seed) % (k ? 5000 : 200000) + 1;
			if (k % 3 == 0) {
				free(*b);
				*b = malloc(n);
			} else {
				*b = realloc(*b, n);
			}
			CHECK(*b != NULL);
			(*b)[0] = (*b)[n - 1] = 1;
		}
		breathe(i);
	}
	for (k = 0; k < 32; k++)
		free(block[k]);
	return NULL;
}

static void *opens(void *arg)
{
	unsigned i;
	FILE *f;

	for (i = 0; !LOAD(stop); i++) {
		f = fopen("/dev/null", "w");
		CHECK(f != NULL);
		CHECK(fprintf(f, "%d %s\n", i, "text") > 0);
		CHECK(fclose(f) == 0);
		breathe(i);
	}
	return arg;
}

/* To stdout, which is /dev/null here. */
static void *prints(void *arg)
{
	unsigned i, k;

	for (i = 0; !LOAD(stop); i++) {
		for (k = 0; k < 20; k++)
			CHECK(printf("%d %f %s\n", i, i / 7., "text") > 0);
		CHECK(fflush(stdout) == 0);
		breathe(i);
	}
	return arg;
}

static void *settles(void *arg)
{
	struct tm tm;
	time_t t;
	locale_t l;
	unsigned i;

	for (i = 0; !LOAD(stop); i++) {
		CHECK(setenv("FORK_CHURN", i & 1 ? "a" : "b", 1) == 0);
		CHECK(getenv("FORK_CHURN") != NULL);
		t = 86400 * (time_t)i;
		CHECK(localtime_r(&t, &tm) == &tm && mktime(&tm) == t);
		l = newlocale(LC_ALL_MASK, i & 1 ? "C" : "C.UTF-8", NULL);
		if (l)
			freelocale(l);
		breathe(i);
	}
	return arg;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn;
static void *alternates(void *arg)
{
	int me = (int)(long)arg;
	unsigned i;

	for (i = 0; !LOAD(stop); i++) {
		OK(pthread_mutex_lock(&lock));
		while (turn != me && !LOAD(stop))
			OK(pthread_cond_wait(&cond, &lock));
		turn = !me;
		OK(pthread_cond_broadcast(&cond));
		OK(pthread_mutex_unlock(&lock));
		breathe(i);
	}
	OK(pthread_mutex_lock(&lock));
	OK(pthread_cond_broadcast(&cond));
	OK(pthread_mutex_unlock(&lock));
	return NULL;
}

static void *naps(void *arg)
{
	struct timespec t = { 0, 30000 };

	while (!LOAD(stop))
		nanosleep(&t, NULL);
	return arg;
}

/* The two are equal whenever the guard is free, in children as well. */
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static long twin[2];
static void *guards(void *arg)
{
	unsigned i;

	for (i = 0; !LOAD(stop); i++) {
		OK(pthread_mutex_lock(&guard));
		twin[0]++;
		if (i % 4 == 0)
			sched_yield();
		twin[1]++;
		OK(pthread_mutex_unlock(&guard));
		breathe(i);
	}
	return arg;
}

/* ---- Fork handlers: they count under the guard --------------------------- */

static long prepared, in_parent, in_child;
static void prepare(void)
{
	free(malloc(100));
	OK(pthread_mutex_lock(&guard));
	prepared++;
}
static void parent(void)
{
	in_parent++;
	OK(pthread_mutex_unlock(&guard));
}
static void child(void)
{
	in_child++;
	OK(pthread_mutex_unlock(&guard));
	free(malloc(100));
}

static void check_counts(int generation)
{
	OK(pthread_mutex_lock(&guard));
	CHECK_EQ(in_child, generation);
	CHECK_EQ(prepared, in_parent + in_child);
	CHECK_EQ(twin[0], twin[1]);
	OK(pthread_mutex_unlock(&guard));
}

/* ---- What a child does --------------------------------------------------- */

static struct crew {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	FILE *out;
	int turn;
} crew;
static __thread int mine = 7;
static __thread char area[3000];
static pthread_key_t key;
static int gone;

static void leaves(void *value)
{
	CHECK(value == &mine);
	ADD(gone, 1);
}

static void *member(void *arg)
{
	int me = (int)(long)arg, i;
	volatile char deep[300000];
	char *p = malloc(100 + 40000 * me);

	CHECK(p != NULL);
	CHECK_EQ(mine, 7);
	for (i = 0; i < (int)sizeof(area); i++)
		CHECK(area[i] == 0);
	mine = me;
	memset(area, me + 1, sizeof(area));
	for (i = 0; i < (int)sizeof(deep); i += 50000)
		deep[i] = (char)me;
	CHECK_EQ(pthread_setspecific(key, &mine), 0);
	OK(pthread_mutex_lock(&crew.lock));
	while (crew.turn != me)
		OK(pthread_cond_wait(&crew.cond, &crew.lock));
	crew.turn++;
	fprintf(crew.out, "%d\n", me);
	OK(pthread_cond_broadcast(&crew.cond));
	OK(pthread_mutex_unlock(&crew.lock));
	sched_yield();
	CHECK_EQ(mine, me);
	CHECK(area[0] == me + 1 && area[sizeof(area) - 1] == me + 1);
	for (i = 0; i < (int)sizeof(deep); i += 50000)
		CHECK(deep[i] == me);
	free(p);
	return &crew;
}

static void run_crew(FILE *out, int size)
{
	/* MB; 0 is the default. */
	static const int stack[CREW] = { 0, 8, 4, 12, 8, 0 };
	pthread_t t[CREW];
	pthread_attr_t attr;
	int i;

	OK(pthread_mutex_init(&crew.lock, NULL));
	OK(pthread_cond_init(&crew.cond, NULL));
	crew.out = out;
	crew.turn = gone = 0;
	OK(pthread_attr_init(&attr));
	for (i = 0; i < size; i++) {
		if (stack[i])
			OK(pthread_attr_setstacksize(&attr, stack[i] << 20));
		CHECK_EQ(pthread_create(&t[i], stack[i] ? &attr : NULL, member,
					(void *)(long)i),
			 0);
	}
	OK(pthread_attr_destroy(&attr));
	for (i = 0; i < size; i++)
		CHECK(join(t[i]) == &crew);
	CHECK_EQ(crew.turn, size);
	CHECK_EQ(LOAD(gone), size);
}

static void grandchild(FILE *out)
{
	pid_t pid;

	CHECK(fflush(out) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		check_counts(2);
		run_crew(out, 2);
		fprintf(out, "grandchild\n");
		CHECK(fclose(out) == 0);
		_exit(99);
	}
	reap(pid, 99);
}

static void as_child(int fd, int id, pthread_t self)
{
	FILE *out = fdopen(fd, "w");
	char *p = malloc(1000000), *q = malloc(50);

	CHECK(out != NULL && p != NULL && q != NULL);
	CHECK(pthread_equal(self, pthread_self()));
	CHECK_EQ(mine, 1000 + id);
	check_counts(1);
	fprintf(out, "child %d\n", id);
	/* With no other thread in it so far, and when it has had some. */
	if (id % 8 == 3)
		grandchild(out);
	run_crew(out, CREW);
	if (id % 8 == 7)
		grandchild(out);
	free(p);
	free(q);
	fprintf(out, "end\n");
	CHECK(fclose(out) == 0);
	CHECK_EQ(mine, 1000 + id);
	_exit(id % 50);
}

/* All that it and its child print. */
static void expected(char *text, int id)
{
	static const char crew_text[] = "0\n1\n2\n3\n4\n5\n",
			  grandchild_text[] = "0\n1\ngrandchild\n";

	sprintf(text, "child %d\n%s%s%send\n", id,
		id % 8 == 3 ? grandchild_text : "", crew_text,
		id % 8 == 7 ? grandchild_text : "");
}

static void one_fork(int id)
{
	char want[200], got[200];
	int fd[2], n = 0, ret;
	pthread_t self = pthread_self();
	pid_t pid;

	CHECK(pipe(fd) == 0);
	mine = 1000 + id;
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		close(fd[0]);
		as_child(fd[1], id, self);
	}
	close(fd[1]);
	while ((ret = read(fd[0], got + n, sizeof(got) - 1 - n)) > 0)
		n += ret;
	CHECK_EQ(ret, 0);
	close(fd[0]);
	got[n] = 0;
	reap(pid, id % 50);
	expected(want, id);
	if (strcmp(got, want))
		check_fail(__FILE__, __LINE__, "the child printed\n%s\nnot\n%s",
			   got, want);
	CHECK_EQ(mine, 1000 + id);
}

static void *many_forks(void *arg)
{
	long i, n = (long)arg;

	for (i = 0; i < n; i++)
		one_fork((int)i);
	return NULL;
}

static void *nothing(void *arg)
{
	return arg;
}

int main(int argc, char **argv)
{
	static thread_fn *const fn[] = { allocates,  allocates, opens,
					 prints,     settles,	alternates,
					 alternates, naps,	guards };
	enum { BUSY = sizeof(fn) / sizeof(fn[0]) };
	pthread_t busy[BUSY], t[FORKERS];
	long i;

	if (argc > 1)
		forks = atol(argv[1]);
	heads = dup(1);
	CHECK(heads >= 0);
	CHECK(freopen("/dev/null", "w", stdout) != NULL);
	CHECK(setenv("FORK_CHURN", "", 1) == 0);
	OK(pthread_key_create(&key, leaves));
	OK(pthread_atfork(prepare, parent, child));

	dprintf(heads, "before any thread\n");
	many_forks((void *)8);

	dprintf(heads, "from a thread\n");
	for (i = 0; i < BUSY; i++)
		busy[i] = start(fn[i], (void *)(i & 1));
	join(start(many_forks, (void *)(forks / 2)));

	dprintf(heads, "from several threads at once\n");
	for (i = 0; i < FORKERS; i++)
		t[i] = start(many_forks, (void *)(forks / 16 + 1));
	for (i = 0; i < FORKERS; i++)
		join(t[i]);

	dprintf(heads, "from main, which joins\n");
	for (i = 0; i < forks / 4; i++) {
		CHECK(join(start(nothing, &forks)) == &forks);
		one_fork((int)i);
	}

	STORE(stop, 1);
	for (i = 0; i < BUSY; i++)
		join(busy[i]);
	check_counts(0);
	CHECK_EQ(prepared,
		 8 + forks / 2 + FORKERS * (forks / 16 + 1) + forks / 4);
	return 0;
}
