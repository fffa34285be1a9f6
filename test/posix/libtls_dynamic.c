/*
 * libtls_dynamic - thread-local variables of a library opened at run time,
 * found by the general dynamic model: some with initial values, some large.
 */
static __thread int initial = 1234;
static __thread int zero;
static __thread char large[20000] = { 'a', 'b' };
static __thread long aligned __attribute__((aligned(64))) = -1;

/* Nonzero if this thread has touched any of it before. */
int dynamic_dirty(void)
{
	return initial != 1234 || zero != 0 || large[0] != 'a' ||
	       large[1] != 'b' || large[19999] != 0 || aligned != -1 ||
	       (unsigned long)&aligned % 64;
}

void dynamic_set(int v)
{
	initial = v;
	zero = v + 1;
	large[0] = large[19999] = (char)v;
	aligned = v + 2;
}

int dynamic_is(int v)
{
	return initial == v && zero == v + 1 && large[0] == (char)v &&
	       large[19999] == (char)v && aligned == v + 2;
}
