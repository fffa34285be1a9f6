/* kill.c - sending signals, by functions and by raw system calls.
 *
 * One for a thread is queued on its G. One for the process goes to the main G, or to
 * the caller, without the kernel: the handler has run when the call returns, as it has
 * where the kernel finds the sender's thread ready for it. Left to the kernel it would
 * reach some M or the receiver, and its G a little later. So it matters who is meant:
 * a process has several names for itself.
 */
#include "shim/shim.h"
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- to a thread -------------------------------------------------------------------- */

static siginfo_t fromus(int code)
{
	siginfo_t si = { .si_code = code };

	si.si_pid = getpid();
	si.si_uid = getuid();
	return si;
}

static int sendg(struct thread *t, int sig, siginfo_t *si)
{
	if (sig < 0 || sig > 64 || sig == 32 || sig == 33)
		return EINVAL;
	if (t->state == FREED)
		return ESRCH;
	if (sig == 0 || t->state == EXITED)
		return 0;
	si->si_signo = sig;
	return -gsigsend(t->gp, sig, si);
}

EXPORT int pthread_kill(pthread_t pt, int sig)
{
	NATIVELY(pthread_kill, pt, sig);
	siginfo_t si = fromus(SI_TKILL);

	if (!schedstarted || !threadof(pt)->gp)
		return REAL(pthread_kill)(pt, sig);
	return sendg(threadof(pt), sig, &si);
}

EXPORT int pthread_sigqueue(pthread_t pt, int sig, const union sigval value)
{
	NATIVELY(pthread_sigqueue, pt, sig, value);
	siginfo_t si = fromus(SI_QUEUE);

	if (!schedstarted || !threadof(pt)->gp)
		return REAL(pthread_sigqueue)(pt, sig, value);
	if (threadof(pt)->state == EXITED)
		return ESRCH; /* libc's looks for the kernel thread here */
	si.si_value = value;
	return sendg(threadof(pt), sig, &si);
}

/* libc's goes to the kernel thread: blocked, it would stay with that when we leave. */
EXPORT int raise(int sig)
{
	NATIVELY(raise, sig);
	int r;

	if (!ong())
		return REAL(raise)(sig);
	r = pthread_kill((pthread_t)gtp(self.gp), sig);
	return ret_errno(-r);
}
ALIAS_OF(gsignal, raise);

static int tgkillg(int tgid, int tid, int sig)
{
	siginfo_t si = fromus(SI_TKILL);
	struct thread *t = threadoftid(tid);

	if (tgid <= 0)
		return EINVAL;
	if (!t || tgid != getpid())
		return ESRCH;
	return sendg(t, sig, &si);
}

EXPORT int tgkill(pid_t tgid, pid_t tid, int sig)
{
	NATIVELY(tgkill, tgid, tid, sig);
	int r;

	if (!istid(tid))
		return REAL(tgkill)(tgid, tid, sig);
	r = tgkillg(tgid, tid, sig);
	return ret_errno(-r);
}

/* ---- to the process -------------------------------------------------------------------- */

/* True: done. */
static bool toself(int sig, siginfo_t *si)
{
	si->si_signo = sig;
	return gsigkill(sig, si);
}

/* That process group is the caller's. */
static bool ourgroup(pid_t pid)
{
	return pid == 0 || (pid < -1 && getpgrp() == -pid);
}

EXPORT int kill(pid_t pid, int sig)
{
	NATIVELY(kill, pid, sig);
	siginfo_t si = fromus(SI_USER);
	uint32_t arrived;
	int r, e;

	if (!ong())
		return REAL(kill)(pid, sig);
	pid = processtid(pid);
	if (pid == getpid() && toself(sig, &si))
		return 0;
	if (!ourgroup(pid))
		return REAL(kill)(pid, sig);
	arrived = gsigarrived(sig);
	r = REAL(kill)(pid, sig);
	e = errno;
	if (r == 0)
		gsigsent(sig, arrived);
	errno = e;
	return r;
}

EXPORT int killpg(pid_t group, int sig)
{
	NATIVELY(killpg, group, sig);
	return group < 0 ? ret_errno(-EINVAL) : kill(-group, sig);
}

EXPORT int sigqueue(pid_t pid, int sig, const union sigval value)
{
	NATIVELY(sigqueue, pid, sig, value);
	siginfo_t si = fromus(SI_QUEUE);

	si.si_value = value;
	pid = processtid(pid);
	if (ong() && pid == getpid() && toself(sig, &si))
		return 0;
	return REAL(sigqueue)(pid, sig, value);
}

/* What the file is, of pidfd_open's or the directory in /proc, is this process. */
static bool ourpidfd(int fd)
{
	char name[40], text[512], *at;
	struct stat file, self_;
	long n, info;

	if (fstat(fd, &file) == 0 && S_ISDIR(file.st_mode))
		return stat("/proc/self/.", &self_) == 0 &&
		       self_.st_ino == file.st_ino &&
		       self_.st_dev == file.st_dev;
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	info = REAL(syscall)(SYS_open, name, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return false;
	n = REAL(syscall)(SYS_read, info, text, sizeof(text) - 1);
	REAL(syscall)(SYS_close, info);
	text[n < 0 ? 0 : n] = 0;
	at = strstr(text, "\nPid:\t");
	return at && atoi(at + 6) == getpid();
}

/* 0, or -ENOSYS: not to us. */
static int pidfdself(int fd, int sig, const siginfo_t *info, unsigned flags)
{
	siginfo_t si = fromus(SI_USER);
	int e = errno;
	bool done;

	if (flags || (info && info->si_signo != sig))
		return -ENOSYS;
	if (info)
		si = *info;
	done = ourpidfd(fd) && toself(sig, &si);
	errno = e;
	return done ? 0 : -ENOSYS;
}

EXPORT int pidfd_send_signal(int fd, int sig, siginfo_t *info, unsigned flags)
{
	NATIVELY(pidfd_send_signal, fd, sig, info, flags);
	if (ong() && pidfdself(fd, sig, info, flags) == 0)
		return 0;
	return REAL(pidfd_send_signal)(fd, sig, info, flags);
}

/* ---- raw system calls ------------------------------------------------------------------ */

/* A siginfo_t as the program has made it. */
static long queuecall(long n, long *a)
{
	bool one = n == SYS_rt_tgsigqueueinfo;
	const siginfo_t *info = (siginfo_t *)a[one ? 3 : 2];
	int sig = (int)a[one ? 2 : 1];
	struct thread *t;
	siginfo_t si;

	if (!info || (one ? !istid((int)a[1]) :
			    processtid((pid_t)a[0]) != getpid()))
		return -ENOSYS;
	si = *info;
	if (!one)
		return toself(sig, &si) ? 0 : -ENOSYS;
	t = threadoftid((int)a[1]);
	return t && a[0] == getpid() ? -sendg(t, sig, &si) : -ESRCH;
}

long killcall(long n, long *a)
{
	switch (n) {
	case SYS_kill:
		return kill((pid_t)a[0], (int)a[1]) ? -errno : 0;
	case SYS_tkill:
		return istid((int)a[0]) ? -tgkillg(getpid(), (int)a[0],
						   (int)a[1]) :
					  -ENOSYS;
	case SYS_tgkill:
		return istid((int)a[1]) ?
			       -tgkillg((int)a[0], (int)a[1], (int)a[2]) :
			       -ENOSYS;
	case SYS_rt_sigqueueinfo:
	case SYS_rt_tgsigqueueinfo:
		return queuecall(n, a);
	case SYS_pidfd_send_signal:
		return pidfdself((int)a[0], (int)a[1], (siginfo_t *)a[2],
				 (unsigned)a[3]);
	default:
		return -ENOSYS;
	}
}
