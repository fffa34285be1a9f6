/*
 * sequence.h - numbers that are quickly computed and easily told from wrong ones, for
 * threads that compute.
 */
#ifndef SEQUENCE_H
#define SEQUENCE_H

#include "check.h"

#define FACTOR 6364136223846793005ul
#define ADDEND 1442695040888963407ul

static UNUSED uint64_t following(uint64_t x)
{
	return x * FACTOR + ADDEND;
}

/* So many steps at once: a step composed with itself. */
static UNUSED uint64_t after(uint64_t x, uint64_t n)
{
	uint64_t factor = FACTOR, addend = ADDEND;

	for (; n; n >>= 1) {
		if (n & 1)
			x = x * factor + addend;
		addend += factor * addend;
		factor *= factor;
	}
	return x;
}

/* A thread that computes until it is told to stop; returns no null pointer. */
static volatile int stop_computing;

static UNUSED void *computes_on(void *arg)
{
	uint64_t x = (uint64_t)(uintptr_t)arg;

	while (!stop_computing)
		x = following(x);
	return (void *)(uintptr_t)(x | 1);
}

#endif
