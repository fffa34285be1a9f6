/* tid.c - thread numbers: a G has one of its own, which it keeps on every kernel thread.
 *
 * Main's is the process's. The others' are its number in core above TIDBASE: beyond
 * any pid, below what a futex word holds. libc keeps the same number in the thread's
 * record, where its recursive locks compare it. Calls that take a thread number and
 * may be given one of ours are here and in pthread_sched.c; syscall() comes here, too.
 */
#include "shim/identity.h"
#include "shim/shim.h"
#include <sys/syscall.h>
#include <unistd.h>

int tidof(struct thread *t)
{
	return gid(t->gp) == 1 ? getpid() : (int)(TIDBASE + gid(t->gp));
}

bool istid(int tid)
{
	return schedstarted &&
	       (tid >= (int)TIDBASE || (tid == getpid() && gmain()));
}

struct thread *threadoftid(int tid)
{
	struct g *gp = tid == getpid() ? gmain() :
					 gbynumber((uint32_t)tid - TIDBASE);
	struct thread *t;

	if (!gp || !gtp(gp))
		return NULL;
	t = threadof((pthread_t)gtp(gp));
	return t->gp == gp && t->state != FREED && t->state != EXITED ? t :
								      NULL;
}

EXPORT pid_t gettid(void)
{
	NATIVELY(gettid);
	return schedstarted && self.gp ? tidof(&self) : REAL(gettid)();
}

long tidcall(long n, long *a)
{
	switch (n) {
	case SYS_gettid:
		return gettid();
	case SYS_tkill:
		return istid((int)a[0]) ? -tgkillg(getpid(), (int)a[0],
						   (int)a[1]) :
					  -ENOSYS;
	case SYS_tgkill:
		return istid((int)a[1]) ?
			       -tgkillg((int)a[0], (int)a[1], (int)a[2]) :
			       -ENOSYS;
	default:
		return -ENOSYS;
	}
}
