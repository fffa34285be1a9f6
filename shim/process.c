/* process.c - fork.
 *
 * The real fork runs with the world running and no lock of ours held, as natively
 * the other threads are simply gone in the child. The caller goes on there with its
 * G's identity as the process's only thread, without a scheduler, until it creates a
 * thread. The kernel's rseq area was the parent's M's: it is dropped at once.
 */
#include "shim/identity.h"
#include "shim/shim.h"

extern uint32_t oncegeneration;

EXPORT pid_t fork(void)
{
	bool was = schedstarted;
	uintptr_t m = was ? mtp() : 0;
	pid_t pid = REAL(fork)();

	if (pid == 0) {
		oncegeneration += 4;
		if (was) {
			int e = errno;

			if (self.gp) {
				sigset_t mask;

				sigemptyset(&mask);
				*(uint64_t *)(void *)&mask = ggetsigmask();
				REAL(sigprocmask)(SIG_SETMASK, &mask, NULL);
			}
			identity_fork(m);
			schedfork();
			threadcount = 1;
			self.wired = 0;
			errno = e;
		}
	}
	return pid;
}
ALIAS_OF(__fork, fork);
ALIAS_OF(__libc_fork, fork);
