/* setxid.c - libc's signals 32 and 33 on kernel threads that carry Gs.
 *
 * setuid and kin send signal 33 to every thread on libc's lists and wait until each
 * handler has cleared a bit in the thread record of the thread that it runs on. Under
 * a G that is the G's record, not the kernel thread's, and libc would ask again for
 * ever. So the handler runs with the thread pointer of the record that was meant: a
 * wired G's has the kernel thread's number, too, and main's that of the first. Gs that are not wired have numbers of
 * no kernel thread; libc passes over those.
 * Signal 32 would cancel whoever runs there; our own cancellation does not send it.
 */
#include "shim/identity.h"
#include "shim/shim.h"
#include <sys/syscall.h>

#define SIGCANCEL_ 32
#define SIGSETXID_ 33
#define SETXID 0x40u /* SETXID_BITMASK of nptl/descr.h */

/* The kernel's struct, not libc's. */
struct ksigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

static struct ksigaction libcs[2];

static bool asked(uintptr_t tp)
{
	return __atomic_load_n(identity_cancel(tp), __ATOMIC_RELAXED) & SETXID;
}

static void entry(int sig, siginfo_t *info, void *uc)
{
	int tid = (int)REAL(syscall)(SYS_gettid);
	uintptr_t m = 0, c[3];
	struct g *gp = NULL;

	if (!gsigm(uc, &m, &gp)) {
		libcs[sig - SIGCANCEL_].handler(sig, info, uc);
		return;
	}
	if (sig == SIGCANCEL_)
		return;
	/* whose record was meant: it has this kernel thread's number and the bit */
	c[0] = m;
	c[1] = gmain() ? gtp(gmain()) : 0;
	c[2] = gp ? gtp(gp) : 0;
	for (int i = 0; i < 3; i++)
		if (c[i] && identity_tid(c[i]) == tid && asked(c[i])) {
			m = c[i];
			break;
		}
	if (m == (uintptr_t)pthread_self())
		libcs[1].handler(sig, info, uc);
	else
		gwithtp(m, (void (*)(long, long, long))(void *)libcs[1].handler,
			sig, (long)info, (long)uc);
}

static void wrap(int sig)
{
	struct ksigaction k, *was = &libcs[sig - SIGCANCEL_];

	if (REAL(syscall)(SYS_rt_sigaction, sig, NULL, &k, 8) ||
	    (uintptr_t)k.handler <= 1 || k.handler == entry)
		return;
	*was = k;
	k.handler = entry;
	k.flags |= SA_ONSTACK | SA_RESTART | SA_SIGINFO;
	k.mask = ~0ul;
	REAL(syscall)(SYS_rt_sigaction, sig, &k, NULL, 8);
}

void setxidwrap(void)
{
	wrap(SIGSETXID_);
	wrap(SIGCANCEL_);
}
