/*
 * waits.h - one lock of each kind, and the wait for it, for programs in which threads
 * stand wherever they can.
 */
#ifndef WAITS_H
#define WAITS_H

#include "check.h"

static pthread_mutex_t mutex;
static pthread_rwlock_t rwlock;
static pthread_barrier_t barrier;

static void in_mutex(void)
{
	OK(pthread_mutex_lock(&mutex));
	OK(pthread_mutex_unlock(&mutex));
}

static void in_rdlock(void)
{
	OK(pthread_rwlock_rdlock(&rwlock));
	OK(pthread_rwlock_unlock(&rwlock));
}

static void in_wrlock(void)
{
	OK(pthread_rwlock_wrlock(&rwlock));
	OK(pthread_rwlock_unlock(&rwlock));
}

static void in_barrier(void)
{
	int ret = pthread_barrier_wait(&barrier);

	CHECK(ret == 0 || ret == PTHREAD_BARRIER_SERIAL_THREAD);
}

#endif
