/*
 * libblocking - functions to name in GMP_SHIM_BLOCKING; see blocking.h.
 */
#include "blocking.h"
#include <errno.h>

#define SAME(letter, type, expression)                                         \
	type blk_##letter(type v)                                              \
	{                                                                      \
		return expression;                                             \
	}

SAME(b, int8_t, v - 1)
SAME(B, uint8_t, v + 1)
SAME(h, int16_t, v - 1)
SAME(H, uint16_t, v + 1)
SAME(i, int32_t, v - 1)
SAME(I, uint32_t, v + 1)
SAME(l, int64_t, v - 1)
SAME(L, uint64_t, v + 1)
SAME(f, float, v / 3)
SAME(d, double, v / 3)
SAME(D, long double, v / 3)
SAME(p, void *, (char *)v + 1)
SAME(not, bool, !v)
SAME(near, int, v - 1)
SAME(far, int, v - 1)

static __thread int calls;

void blk_v(void)
{
	calls++;
}

int blk_v_calls(void)
{
	return calls;
}

long double blk_many(int8_t b, uint8_t B, int16_t h, uint16_t H, int32_t i,
		     uint32_t I, int64_t l, uint64_t L, float f, double d,
		     long double D, void *p, float f2, double d2, float f3,
		     double d3, float f4, double d4, float f5, double d5,
		     int8_t b2)
{
	return b + 2 * B + 3 * h + 4 * H + 5.0L * i + 6.0L * I + 7.0L * l +
	       8.0L * L + 9 * f + 10 * d + 11 * D + 12.0L * (intptr_t)p +
	       13 * f2 + 14 * d2 + 15 * f3 + 16 * d3 + 17 * f4 + 18 * d4 +
	       19 * f5 + 20 * d5 + 21 * b2;
}

int blk_errno(int e)
{
	errno = e;
	return -1;
}

int blk_wait(int fd)
{
	unsigned char c;
	long r;

	do
		__asm__ volatile("syscall"
				 : "=a"(r)
				 : "a"(0L), "D"((long)fd), "S"(&c), "d"(1L)
				 : "rcx", "r11", "memory");
	while (r == -EINTR);
	return r == 1 ? c : (int)r;
}

int blk_nested(int fd)
{
	return blk_wait(fd);
}

int blk_call(int (*fn)(int), int v)
{
	return fn(v) + 1;
}
