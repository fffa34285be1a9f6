/* syscall.c - calls that block in the kernel: the P goes on without its M.
 *
 * entersyscall is cheap: the P stays attached, marked, for sysmon to take if the
 * call lasts. entersyscallblock hands it over at once. exitsyscall takes the P back
 * if it is still there, else any idle one, else queues the G and sleeps.
 * See runtime.h, "THE M'S P", for the states.
 */
#include "core/runtime.h"

void entersyscall(void)
{
	struct m *mp;

	if (!schedstarted)
		return;
	mp = acquirem();

	if (mp->p) {
		mp->oldp = mp->p;
		mp->p = NULL;
		/* release: what was done with the P is done, pairs with retake */
		store_release(&mp->pstate, PS_SYSCALL);
	}
	releasem(mp);
}

void entersyscallblock(void)
{
	struct m *mp;

	if (!schedstarted)
		return;
	mp = acquirem();

	if (mp->p)
		handoffp(releasep(mp));
	releasem(mp);
}

void exitsyscall(void)
{
	struct g *gp = curg();
	struct m *mp;

	if (!schedstarted || unlikely(gp->foreign))
		return;
	mp = gp->sched.m;
	mp->locks++;
	if (mp->oldp) {
		struct p *pp = mp->oldp;

		mp->oldp = NULL;
		/* acquire: pairs with retake, which may have had its look */
		if (cas(&mp->pstate, PS_SYSCALL, PS_HELD) ||
		    cas(&mp->pstate, PS_RETAKING, PS_HELD) ||
		    READ_ONCE(mp->pstate) == PS_HELD) {
			mp->p = pp;
			WRITE_ONCE(pp->syscalltick, pp->syscalltick + 1);
			releasem(mp);
			return;
		}
	}
	acquirem_slow(mp);
	if (!mp->p)
		gowaitp(mp);
	else
		releasem(mp);
}
