/* atomic.h - memory operations by the order they need, and compiler words.
 *
 * Every use in a .c file says what it pairs with. The names are the kernel's:
 * load_acquire and store_release for publication, READ_ONCE and WRITE_ONCE for
 * words that others may read or write meanwhile but that order nothing.
 */
#ifndef CORE_ATOMIC_H
#define CORE_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define cold __attribute__((cold, noinline))
#define cacheline __attribute__((aligned(64)))

#define load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#define xadd(p, v) __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define xchg(p, v) __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define fullfence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define barrier() __asm__ volatile("" ::: "memory")

/* Compare and swap, full barrier when it succeeds. */
#define cas(p, old, new)                                                       \
	__extension__({                                                        \
		__typeof__(*(p)) cas_old_ = (old);                             \
		__atomic_compare_exchange_n(p, &cas_old_, new, false,          \
					    __ATOMIC_SEQ_CST,                  \
					    __ATOMIC_RELAXED);                 \
	})

#define container_of(ptr, type, member)                                        \
	((type *)((char *)(ptr)-offsetof(type, member)))

#endif
