/*
 * libtls_ie - thread-local variables at a fixed distance from the thread
 * pointer, though the library is opened at run time: every thread that runs
 * already must get their initial values then.
 */
#define IE __attribute__((tls_model("initial-exec")))
static __thread int initial IE = 4321;
static __thread int zero IE;
static __thread char text[24] IE = "fresh";

int ie_dirty(void)
{
	return initial != 4321 || zero != 0 || text[0] != 'f' || text[5] != 0;
}

void ie_set(int v)
{
	initial = v;
	zero = v + 1;
	text[0] = (char)v;
}

int ie_is(int v)
{
	return initial == v && zero == v + 1 && text[0] == (char)v;
}
