/* exec.c - becoming another program.
 *
 * The kernel ends the other threads, Ms and all, and keeps what it knows of this one:
 * its mask and its pending signals. A G's pending signals are ours, so they are given
 * to the kernel before, and taken back where the call fails: the G may go on elsewhere.
 */
#include "shim/shim.h"
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXEC(call)                                                             \
	({                                                                     \
		bool own_ = ownsignals() && self.gp;                           \
		uint32_t given_ = own_ ? gsigexec() : 0;                       \
		if (self.vforked)                                              \
			gsigvforked();                                         \
		__typeof__(call) r_ = call;                                    \
		int e_ = errno;                                                \
                                                                               \
		if (own_)                                                      \
			gsigstay(given_);                                      \
		errno = e_;                                                    \
		r_;                                                            \
	})

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	NATIVELY(execve, path, argv, envp);
	return EXEC(REAL(execve)(path, argv, envp));
}

EXPORT int execv(const char *path, char *const argv[])
{
	NATIVELY(execv, path, argv);
	return EXEC(REAL(execv)(path, argv));
}

EXPORT int execvp(const char *file, char *const argv[])
{
	NATIVELY(execvp, file, argv);
	return EXEC(REAL(execvp)(file, argv));
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	NATIVELY(execvpe, file, argv, envp);
	return EXEC(REAL(execvpe)(file, argv, envp));
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	NATIVELY(fexecve, fd, argv, envp);
	return EXEC(REAL(fexecve)(fd, argv, envp));
}

EXPORT int execveat(int dir, const char *path, char *const argv[],
		    char *const envp[], int flags)
{
	NATIVELY(execveat, dir, path, argv, envp, flags);
	return EXEC(REAL(execveat)(dir, path, argv, envp, flags));
}

/* The arguments up to the NULL as an array on the caller's stack, as libc has it: these
 * are called in children of vfork, too. ap is behind that NULL afterwards. */
#define ARGV(first, ap)                                                        \
	size_t n_ = 1;                                                         \
	va_start(ap, first);                                                   \
	while (va_arg(ap, char *))                                             \
		n_++;                                                          \
	va_end(ap);                                                            \
	char *argv[n_ + 1];                                                    \
	va_start(ap, first);                                                   \
	argv[0] = (char *)(uintptr_t)first;                                    \
	for (size_t i_ = 1; i_ <= n_; i_++)                                    \
	argv[i_] = va_arg(ap, char *)

EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list ap;

	ARGV(arg, ap);
	va_end(ap);
	return execv(path, argv);
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list ap;

	ARGV(arg, ap);
	va_end(ap);
	return execvp(file, argv);
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	char *const *envp;
	va_list ap;

	ARGV(arg, ap);
	envp = va_arg(ap, char *const *);
	va_end(ap);
	return execve(path, argv, envp);
}

bool execcall(long n, const long *a, long *res)
{
	if (n != SYS_execve && n != SYS_execveat)
		return false;
	*res = EXEC(REAL(syscall)(n, a[0], a[1], a[2], a[3], a[4]));
	return true;
}
