/* pthread_once.c - pthread_once and call_once.
 *
 * The word has glibc's values: 0 not begun, 2 done, odd: somebody is in the routine,
 * with the fork generation above bit 1; the highest bit is ours: somebody waits for it.
 * A routine that a fork left half done in the child is run again; so is one that was
 * cancelled, left by pthread_exit or by a C++ exception: all three unwind through the
 * cleanup.
 */
#include "shim/shim.h"
#include <threads.h>

#define DONE 2u
#define RUNNING 1u
#define WAITED (1u << 31)

static uint32_t generation; /* raised by 4 in every fork child */

void once_fork(void)
{
	generation = (generation + 4) & ~WAITED;
}

/* The word is not touched after that: it may be gone. */
static void leave(uint32_t *word, uint32_t to)
{
	/* release: what the routine wrote; seq_cst: pairs with still's mark */
	if (__atomic_exchange_n(word, to, __ATOMIC_SEQ_CST) & WAITED)
		semawake((uintptr_t)word, UINT32_MAX, 0);
}

static void abandon(uint32_t **word)
{
	if (*word)
		leave(*word, 0);
}

struct seen {
	uint32_t *word, value;
};

/* Under the queue's lock: it is in the routine still, and is to know that we wait. */
static bool still(void *arg)
{
	struct seen *s = arg;
	uint32_t v = s->value;

	return __atomic_compare_exchange_n(s->word, &v, v | WAITED, false,
					   __ATOMIC_SEQ_CST,
					   __ATOMIC_ACQUIRE) ||
	       v == (s->value | WAITED);
}

static void run(uint32_t *word, void (*routine)(void))
{
	uint32_t *unfinished __attribute__((cleanup(abandon))) = word;

	routine();
	unfinished = NULL;
	leave(word, DONE);
}

static void onceslow(uint32_t *word, void (*routine)(void))
{
	uint32_t mine = generation | RUNNING;

	for (;;) {
		uint32_t v = __atomic_load_n(word, __ATOMIC_ACQUIRE);

		if (v & DONE)
			return;
		if ((v & ~WAITED) == mine) {
			struct seen s = { word, mine };
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
