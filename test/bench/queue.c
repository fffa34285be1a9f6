/*
 * queue - producers and consumers of a bounded queue with a mutex and two conditions;
 * ns an item.
 */
#include "bench.h"

enum { ROOM = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER;
static long items[ROOM], head, tail, each, taken, sum;
static bool over;

static void *produce(void *arg)
{
	for (long i = 1; i <= each; i++) {
		pthread_mutex_lock(&lock);
		while (tail - head == ROOM)
			pthread_cond_wait(&not_full, &lock);
		items[tail++ % ROOM] = i;
		pthread_cond_signal(&not_empty);
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

static void *consume(void *arg)
{
	for (;;) {
		pthread_mutex_lock(&lock);
		while (tail == head && !over)
			pthread_cond_wait(&not_empty, &lock);
		if (tail == head) {
			pthread_mutex_unlock(&lock);
			return arg;
		}
		sum += items[head++ % ROOM];
		taken++;
		pthread_cond_signal(&not_full);
		pthread_mutex_unlock(&lock);
	}
}

int main(int argc, char **argv)
{
	long producers, consumers, total;
	pthread_t *p, *c;
	int64_t t;

	begin(argc, argv);
	producers = number("producers", 4);
	consumers = number("consumers", 4);
	total = number("items", 100000);
	params_done();
	each = total / producers;
	t = now();
	c = start(consumers, consume, NULL, 0);
	p = start(producers, produce, NULL, 0);
	join(p, producers);
	pthread_mutex_lock(&lock);
	over = true;
	pthread_cond_broadcast(&not_empty);
	pthread_mutex_unlock(&lock);
	join(c, consumers);
	t = now() - t;
	if (taken != each * producers ||
	    sum != producers * each * (each + 1) / 2) {
		fprintf(stderr, "items were lost or came twice\n");
		return 1;
	}
	put("item", (double)t / taken, "ns");
	return done();
}
