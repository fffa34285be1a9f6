/*
 * tasks - a hundred threads wait at once; told to count, it prints how many
 * kernel threads the process has meanwhile.
 *
 * tasks [count]
 */
#include "check.h"

enum { N = 100 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int here, go;

static void *waits(void *arg)
{
	OK(pthread_mutex_lock(&lock));
	here++;
	while (!go)
		OK(pthread_cond_wait(&cond, &lock));
	OK(pthread_mutex_unlock(&lock));
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t[N];
	int i;

	for (i = 0; i < N; i++)
		t[i] = start(waits, NULL);
	YIELD_UNTIL(LOAD(here) == N);
	/* Whoever counted up holds the mutex until it waits. */
	OK(pthread_mutex_lock(&lock));
	if (argc > 1 && strcmp(argv[1], "count") == 0)
		printf("%d\n", kernel_threads());
	go = 1;
	OK(pthread_cond_broadcast(&cond));
	OK(pthread_mutex_unlock(&lock));
	for (i = 0; i < N; i++)
		join(t[i]);
	printf("done\n");
	return 0;
}
