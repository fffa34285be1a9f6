/* pthread_spin.c - spinlocks that yield the G: the holder may need this very P.
 *
 * The word has glibc's values (1 free, 0 and below locked), so that a lock in shared
 * memory works with processes that run natively. init and destroy are libc's.
 */
#include "shim/shim.h"

#define SPINS 100

EXPORT int pthread_spin_trylock(pthread_spinlock_t *lock)
{
	NATIVELY(pthread_spin_trylock, lock);
	int one = 1;

	return __atomic_compare_exchange_n(lock, &one, 0, false,
					   __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED) ?
		       0 :
		       EBUSY;
}

EXPORT int pthread_spin_lock(pthread_spinlock_t *lock)
{
	NATIVELY(pthread_spin_lock, lock);
	for (int i = 0; pthread_spin_trylock(lock); i++) {
		if (i < SPINS) {
			__builtin_ia32_pause();
		} else {
			goyield();
			if (unlikely(self.interrupt))
				cancelasync();
			i = 0;
		}
	}
	return 0;
}

EXPORT int pthread_spin_unlock(pthread_spinlock_t *lock)
{
	NATIVELY(pthread_spin_unlock, lock);
	__atomic_store_n(lock, 1, __ATOMIC_RELEASE);
	return 0;
}
