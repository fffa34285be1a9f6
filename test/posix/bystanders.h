/*
 * bystanders.h - threads that are simply there, yield or wait, and take no signal.
 */
#ifndef BYSTANDERS_H
#define BYSTANDERS_H

#include "sigcheck.h"

static int bystanders_stop;
static pthread_mutex_t bystanders_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bystanders_cond = PTHREAD_COND_INITIALIZER;
static pthread_t bystanders[4];

static void *bystander_yields(void *arg)
{
	while (!LOAD(bystanders_stop))
		sched_yield();
	return arg;
}

static void *bystander_waits(void *arg)
{
	OK(pthread_mutex_lock(&bystanders_lock));
	while (!bystanders_stop)
		OK(pthread_cond_wait(&bystanders_cond, &bystanders_lock));
	OK(pthread_mutex_unlock(&bystanders_lock));
	return arg;
}

static void begin_bystanders(void)
{
	sigset_t was = mask_now();
	int i;

	set_mask(full_set());
	for (i = 0; i < 4; i++)
		bystanders[i] = start(
			i % 2 ? bystander_yields : bystander_waits, NULL);
	set_mask(was);
}

static void end_bystanders(void)
{
	int i;

	OK(pthread_mutex_lock(&bystanders_lock));
	STORE(bystanders_stop, 1);
	OK(pthread_cond_broadcast(&bystanders_cond));
	OK(pthread_mutex_unlock(&bystanders_lock));
	for (i = 0; i < 4; i++)
		join(bystanders[i]);
}

#endif
