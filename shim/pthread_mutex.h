/* pthread_mutex.h - the overlay of pthread_mutex_t; condition waits need it too. */
#ifndef PTHREAD_MUTEX_H
#define PTHREAD_MUTEX_H

#include "shim/shim.h"

struct mutex_ {
	uint32_t state;
	uint32_t count;		/* recursive: how often locked */
	uint32_t owner;		/* recursive, errorcheck: a threadid */
	uint32_t unused;
	int32_t kind;		/* glibc's, at glibc's place */
};

_Static_assert(offsetof(struct mutex_, kind) == 16, "glibc's __kind");

/* Bits of kind: 0-1 the type, 4 robust, 5 PI, 6 protect, 7 shared, 8-9 elision. A
 * destroyed mutex has all bits set. */
static inline bool mutex_plain(const struct mutex_ *m)
{
	int k = m->kind & 0xff;

	return k == PTHREAD_MUTEX_TIMED_NP || k == PTHREAD_MUTEX_ADAPTIVE_NP;
}

static inline bool mutex_hasowner(const struct mutex_ *m)
{
	int k = m->kind & 0xff;

	return k == PTHREAD_MUTEX_RECURSIVE_NP ||
	       k == PTHREAD_MUTEX_ERRORCHECK_NP;
}

/* libc's, and while it is held the kernel, or another process, must find the owner
 * by its kernel thread: robust, PI, and shared ones with an owner. */
static inline bool mutex_wires(const struct mutex_ *m)
{
	int k = m->kind & 0xff;

	return k != 0xff && (k & 0x30 || ((k & 0x80) && k & 3));
}

/* A word that is 1 while the mutex is locked and nobody waits for it, nor is coming; NULL: it
 * tells by itself who has locked it. */
static inline const uint32_t *mutex_alone(const pthread_mutex_t *mutex)
{
	const struct mutex_ *m = (const struct mutex_ *)mutex;

	return mutex_plain(m) ? &m->state : NULL;
}

/* The main thread has just become a G: wire it for what it already holds. */
void mutex_wireheld(void);

/* False if unlocking it is not the caller's right. */
static inline bool mutex_owned(pthread_mutex_t *mutex)
{
	const struct mutex_ *m = (struct mutex_ *)mutex;

	return !mutex_hasowner(m) || m->owner == threadid();
}

#endif
