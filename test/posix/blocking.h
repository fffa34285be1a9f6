/*
 * blocking.h - the functions of libblocking, which the programs about
 * GMP_SHIM_BLOCKING call through that setting and without it.
 */
#ifndef BLOCKING_TEST_H
#define BLOCKING_TEST_H

#include <stdbool.h>
#include <stdint.h>

/* One for each letter: what it is given, changed in a way that needs the type. */
int8_t blk_b(int8_t v);
uint8_t blk_B(uint8_t v);
int16_t blk_h(int16_t v);
uint16_t blk_H(uint16_t v);
int32_t blk_i(int32_t v);
uint32_t blk_I(uint32_t v);
int64_t blk_l(int64_t v);
uint64_t blk_L(uint64_t v);
float blk_f(float v);
double blk_d(double v);
long double blk_D(long double v);
void *blk_p(void *v);
void blk_v(void);
int blk_v_calls(void); /* not in the setting */
bool blk_not(bool v);
/* Enough of each kind that some are on the stack. */
long double blk_many(int8_t b, uint8_t B, int16_t h, uint16_t H, int32_t i,
		     uint32_t I, int64_t l, uint64_t L, float f, double d,
		     long double D, void *p, float f2, double d2, float f3,
		     double d3, float f4, double d4, float f5, double d5,
		     int8_t b2);

/* -1, and that in errno. */
int blk_errno(int e);
/* The next byte of a pipe, by a system call that nobody sees. */
int blk_wait(int fd);
/* The same through blk_wait, as the library itself calls it. */
int blk_nested(int fd);
/* v - 1, called by nobody but libblocking_near and libblocking_far. */
int blk_near(int v);
int blk_far(int v);
/* fn(v) + 1 */
int blk_call(int (*fn)(int), int v);

#endif
