/* signal.h - what the files about signals share, and nobody else: sigact.c (actions),
 * sigsend.c (queues, sending), sigwait.c (waiting), sigmask.c (masks) and signal.c
 * (entry, delivery).
 */
#ifndef CORE_SIGNAL_H
#define CORE_SIGNAL_H

#include "core/runtime.h"
#include <asm/sigcontext.h>
#include <linux/signal.h>
#include <asm/ucontext.h> /* needs both */

#define NSIG_ 64
#define BIT(sig) (1ul << ((sig)-1))
#define UNBLOCK 1
#define SETMASK 2
#define FAULTS (BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGBUS) | BIT(SIGFPE) | \
		BIT(SIGSEGV) | BIT(SIGSYS))
#define UNBLOCKABLE (BIT(SIGKILL) | BIT(SIGSTOP) | BIT(32) | BIT(33)) /* two are glibc's */
#define STOPS (BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU)) /* the action returns */
#define DUMPS (FAULTS | BIT(SIGQUIT) | BIT(SIGABRT) | BIT(SIGXCPU) | BIT(SIGXFSZ))
#define IGNORED (BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH))

/* Actions and queues; only allocation inside. Holders have m->locks > 0, so the entry
 * never finds it held by what it interrupted. */
extern struct mutex siglock __attribute__((visibility("hidden")));

/* A handler's address, and neither SIG_DFL nor SIG_IGN. */
static inline bool ishandler(const void *h)
{
	return (uintptr_t)h > 1;
}

/* ---- sigact.c */
void *sigdisposition(int sig); /* holds siglock */
void sigfirstqueued(int sig);  /* holds siglock */
bool sigkernelhandles(int sig);
bool sigkernelignores(int sig);
void sigkernelsdefault(int sig);
void sigdefaulthere(int sig); /* holds siglock */
struct sigact sigactionfor(int sig);
void sighandon(bool on);
void sigactinit(void);
void sigactfork(void);

/* ---- sigsend.c */
bool sigenqueue(struct g *gp, int sig, const siginfo_t *info, bool shared);
int sigdequeue(struct g *gp, uint64_t set, siginfo_t *info); /* both hold siglock */
void sigdiscard(int sig); /* holds siglock */
void sigarrived(int sig);
bool sigready(struct g *gp);
void sigsetflag(struct g *gp);
bool sigispoke(struct m *mp, int sig, siginfo_t *info);
int sigsend(struct g *gp, int sig, const void *info, bool shared);
void sigsendfork(struct g *gp);

/* ---- signal.c */
void sigentry(int sig, siginfo_t *info, struct ucontext *uc);

#endif
