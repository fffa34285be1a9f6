/* pthread_once.c - pthread_once and call_once.
 *
 * The word has glibc's values: 0 not begun, 2 done, odd: somebody is in the routine,
 * with the fork generation above bit 1. A routine that a fork left half done in the
 * child is run again; so is one that was cancelled, left by pthread_exit or by a C++
 * exception: all three unwind through the cleanup.
 */
#include "shim/shim.h"
#include <threads.h>

#define DONE 2u
#define RUNNING 1u

static uint32_t generation; /* raised by 4 in every fork child */

void once_fork(void)
{
	generation += 4;
}

static void abandon(uint32_t **word)
{
	if (!*word)
		return;
	__atomic_store_n(*word, 0, __ATOMIC_RELEASE);
	semawake((uintptr_t)*word, UINT32_MAX, 0);
}

struct seen {
	uint32_t *word, value;
};

static bool still(void *arg)
{
	struct seen *s = arg;

	return __atomic_load_n(s->word, __ATOMIC_ACQUIRE) == s->value;
}

static void run(uint32_t *word, void (*routine)(void))
{
	uint32_t *unfinished __attribute__((cleanup(abandon))) = word;

	routine();
	unfinished = NULL;
	__atomic_store_n(word, DONE, __ATOMIC_RELEASE);
	semawake((uintptr_t)word, UINT32_MAX, 0);
}

static void onceslow(uint32_t *word, void (*routine)(void))
{
	uint32_t mine = generation | RUNNING;

	for (;;) {
		uint32_t v = __atomic_load_n(word, __ATOMIC_ACQUIRE);

		if (v & DONE)
			return;
		if (v == mine) {
			struct seen s = { word, v };
			struct semawait w = { .addr = (uintptr_t)word,
					      .reason = WAIT_ONCE,
					      .interruptible = true,
					      .deadline = NEVER,
					      .check = still,
					      .arg = &s };

			waitinterruptible(&w, NULL);
			continue;
		}
		/* not begun, or begun before a fork by a thread that is gone */
		if (__atomic_compare_exchange_n(word, &v, mine, false,
						__ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED)) {
			run(word, routine);
			return;
		}
	}
}

EXPORT int pthread_once(pthread_once_t *once, void (*routine)(void))
{
	NATIVELY(pthread_once, once, routine);
	uint32_t *word = (uint32_t *)once;

	/* acquire: what the routine wrote is seen; pairs with run() */
	if (unlikely(__atomic_load_n(word, __ATOMIC_ACQUIRE) != DONE))
		onceslow(word, routine);
	return 0;
}
ALIAS_OF(__pthread_once, pthread_once);

EXPORT void call_once(once_flag *flag, void (*routine)(void))
{
	NATIVELY(call_once, flag, routine);
	pthread_once((pthread_once_t *)flag, routine);
}
