/* process.c - what a fork child does before anybody else in it.
 *
 * The real fork runs with the world running and no lock of ours held, as natively
 * the other threads are simply gone in the child. The caller goes on there with its
 * G's identity as the process's only thread, without a scheduler, until it creates a
 * thread. The application's own child handlers already lock and wake, so ours must
 * be the first: glibc runs them in the order of registration, hence the wrapper.
 */
#include "shim/identity.h"
#include "shim/shim.h"

extern void *__dso_handle __attribute__((visibility("hidden")));

static void child(void)
{
	int e = errno;

	once_fork();
	if (schedstarted) {
		identity_fork(mtp());
		schedfork();
		threadcount = 1;
		self.wired = 0;
	}
	errno = e;
}

void shimatfork(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	REAL(__register_atfork)(NULL, NULL, child, &__dso_handle);
}

/* What pthread_atfork, linked statically into every object, calls. */
EXPORT int __register_atfork(void (*prepare)(void), void (*parent)(void),
			     void (*childfn)(void), void *dso)
{
	shimatfork();
	return REAL(__register_atfork)(prepare, parent, childfn, dso);
}
