/*
 * event_loops - threads that wait for events each by an epoll of its own, wake nobody, and
 * compute in calls, as servers with some event loops do.
 *
 * event_loops [rounds]
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOPS 3
#define SIZE  (1 << 20)

static int rounds = 3000;

static void *loop(void *arg)
{
	int files = epoll_create1(0), event = eventfd(1, 0);
	struct epoll_event ev = { .events = EPOLLIN };
	FILE *out = tmpfile();
	char *block = malloc(SIZE);
	long done = 0;

	(void)arg;
	if (!out || !block || epoll_ctl(files, EPOLL_CTL_ADD, event, &ev))
		exit(1);
	memset(block, 7, SIZE);
	for (; done < rounds; done++)
		if (epoll_wait(files, &ev, 1, -1) != 1 ||
		    pwrite(fileno(out), block, SIZE, 0) != SIZE)
			break;
	free(block);
	fclose(out);
	close(event);
	close(files);
	return (void *)done;
}

int main(int argc, char **argv)
{
	pthread_t threads[LOOPS];
	void *done;

	if (argc > 1)
		rounds = atoi(argv[1]);
	for (int i = 0; i < LOOPS; i++)
		if (pthread_create(&threads[i], NULL, loop, NULL))
			return 1;
	for (int i = 0; i < LOOPS; i++) {
		pthread_join(threads[i], &done);
		printf("%ld rounds\n", (long)done);
	}
	return 0;
}
