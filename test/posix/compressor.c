/*
 * compressor - workers each compute on a block for longer than a slice; main reads the
 * blocks and writes what they have made, as compressors of files do.
 *
 * compressor [blocks]: prints the sum of all. compressor quiet: main makes no such calls.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 4
#define BLOCK	4096
#define PASSES	100000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t given = PTHREAD_COND_INITIALIZER,
		      made = PTHREAD_COND_INITIALIZER;
static struct worker {
	pthread_t thread;
	enum { FREE, FULL, DONE, LAST } state;
	uint32_t block[BLOCK / 4];
} workers[WORKERS];

static void compute(uint32_t *block)
{
	uint32_t x = 1;

	for (int pass = 0; pass < PASSES; pass++)
		for (int i = 0; i < BLOCK / 4; i++)
			block[i] = x = x * 1664525 + block[i];
}

static void *work(void *arg)
{
	struct worker *w = arg;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (w->state == FREE || w->state == DONE)
			pthread_cond_wait(&given, &lock);
		if (w->state == LAST)
			break;
		pthread_mutex_unlock(&lock);
		compute(w->block);
		pthread_mutex_lock(&lock);
		w->state = DONE;
		pthread_cond_signal(&made);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void transfer(FILE *f, void *block)
{
	if (!f)
		return;
	rewind(f);
	if (fwrite(block, BLOCK, 1, f) != 1)
		exit(1);
	rewind(f);
	if (fread(block, BLOCK, 1, f) != 1)
		exit(1);
}

int main(int argc, char **argv)
{
	bool quiet = argc > 1 && strcmp(argv[1], "quiet") == 0;
	int blocks = argc > 1 && !quiet ? atoi(argv[1]) : 20;
	FILE *f = quiet ? NULL : tmpfile();
	int read = 0, written = 0;
	uint32_t sum = 0;

	if (!f && !quiet)
		return 1;
	for (int i = 0; i < WORKERS; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 1;
	pthread_mutex_lock(&lock);
	while (written < blocks) {
		struct worker *w = NULL;

		for (int i = 0; i < WORKERS; i++)
			if (workers[i].state == DONE ||
			    (workers[i].state == FREE && read < blocks))
				w = &workers[i];
		if (!w) {
			pthread_cond_wait(&made, &lock);
			continue;
		}
		if (w->state == DONE) {
			transfer(f, w->block);
			for (int i = 0; i < BLOCK / 4; i++)
				sum += w->block[i];
			written++;
			w->state = FREE;
			continue;
		}
		for (int i = 0; i < BLOCK / 4; i++)
			w->block[i] = (uint32_t)(read * i);
		transfer(f, w->block);
		read++;
		w->state = FULL;
		pthread_cond_broadcast(&given);
	}
	for (int i = 0; i < WORKERS; i++)
		workers[i].state = LAST;
	pthread_cond_broadcast(&given);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	printf("%d blocks, sum %u\n", written, sum);
	return 0;
}
