/*
 * skynet - each thread makes ten, down to the leaves, which give their number; the sum
 * comes back up.  ns a thread.
 */
#include "bench.h"

struct node {
	long first, leaves, sum;
};

static void *grow(void *arg)
{
	struct node *me = arg, child[10];
	pthread_t *threads;

	if (me->leaves == 1) {
		me->sum = me->first;
		return NULL;
	}
	for (int i = 0; i < 10; i++)
		child[i] = (struct node){ me->first + i * (me->leaves / 10),
					  me->leaves / 10, 0 };
	threads = start(10, grow, child, sizeof(*child));
	join(threads, 10);
	me->sum = 0;
	for (int i = 0; i < 10; i++)
		me->sum += child[i].sum;
	return NULL;
}

int main(int argc, char **argv)
{
	struct node root = { 0 };
	long threads = 0, power;
	int64_t t;

	begin(argc, argv);
	root.leaves = number("leaves", 1000);
	params_done();
	for (power = 1; power < root.leaves; power *= 10)
		threads += power * 10;
	if (power != root.leaves) {
		fprintf(stderr, "leaves=%ld: a power of 10\n", root.leaves);
		return 2;
	}
	t = now();
	grow(&root);
	t = now() - t;
	if (root.sum != root.leaves * (root.leaves - 1) / 2) {
		fprintf(stderr, "the sum is %ld\n", root.sum);
		return 1;
	}
	put("thread", (double)t / (threads ? threads : 1), "ns");
	return done();
}
