/* unwind.c - the two functions of the unwinder that our cleanups need.
 *
 * Why: a wait that is cancelled is unwound through our frames, by libgcc_s, which few C
 *      programs have loaded. To be linked with it costs every program some 0.1 ms at its
 *      start, a tenth of what a small one takes. So it is looked up when frames of ours are
 *      unwound, as libc does for cancellation: whoever unwinds has it loaded by then. What
 *      the program itself is linked with comes first: its contexts are its own.
 */
#include "shim/real.h"
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

#define OURS __attribute__((visibility("hidden"), used))

/* *at is what was found before. Relaxed: whoever looks finds the same. */
static void *find(void **at, const char *name)
{
	void *f = __atomic_load_n(at, __ATOMIC_RELAXED), *lib;

	if (f)
		return f;
	f = REAL(dlsym)(RTLD_DEFAULT, name);
	if (!f) {
		lib = REAL(dlopen)("libgcc_s.so.1", RTLD_NOW);
		f = lib ? REAL(dlsym)(lib, name) : NULL;
	}
	if (!f)
		abort(); /* as libc */
	__atomic_store_n(at, f, __ATOMIC_RELAXED);
	return f;
}

/* Their types are in unwind.h, which would have them visible. */
typedef void resumes(void *exception);
typedef int persona(int version, int actions, uint64_t class, void *exception,
		    void *context);

OURS resumes _Unwind_Resume;
OURS persona __gcc_personality_v0;

void _Unwind_Resume(void *exception)
{
	static void *f;

	((resumes *)find(&f, "_Unwind_Resume"))(exception);
	__builtin_unreachable();
}

int __gcc_personality_v0(int version, int actions, uint64_t class,
			 void *exception, void *context)
{
	static void *f;

	return ((persona *)find(&f, "__gcc_personality_v0"))(
		version, actions, class, exception, context);
}
