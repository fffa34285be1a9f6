/* real.h - the C library's own functions, one pointer a row of interpose.def. */
#ifndef REAL_H
#define REAL_H

#include <aio.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <grp.h>
#include <mqueue.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <syslog.h>
#include <termios.h>
#include <threads.h>
#include <time.h>
#include <ucontext.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>
#include <wchar.h>

/* What longjmp is under _FORTIFY_SOURCE; bits/setjmp2.h has it for that case. */
_Noreturn void __longjmp_chk(struct __jmp_buf_tag env[1], int val);

/* What _FORTIFY_SOURCE makes of calls that fill a buffer, and of open without a mode;
 * the headers have them for that case. */
ssize_t __read_chk(int fd, void *buf, size_t n, size_t size);
ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t size);
ssize_t __pread64_chk(int fd, void *buf, size_t n, off64_t off, size_t size);
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t size, int flags,
		       struct sockaddr *from, socklen_t *len);
int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		const sigset_t *set, size_t size);
int __open_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);

/* Behind sigpause, in its two meanings. */
int __sigpause(int sig_or_mask, int is_sig);
int __xpg_sigpause(int sig);

/* What syslog and vsyslog are under _FORTIFY_SOURCE. */
void __syslog_chk(int pri, int flag, const char *fmt, ...);
void __vsyslog_chk(int pri, int flag, const char *fmt, va_list ap);

/* And streams. The first two are getc and putc of old; the next two are called by
 * getc_unlocked and putc_unlocked, which are macros, where the buffer ends. */
int _IO_getc(FILE *f);
int _IO_putc(int c, FILE *f);
int __uflow(FILE *f);
int __overflow(FILE *f, int c);
char *__fgets_chk(char *s, size_t size, int n, FILE *f);
char *__fgets_unlocked_chk(char *s, size_t size, int n, FILE *f);
size_t __fread_chk(void *p, size_t room, size_t size, size_t n, FILE *f);
size_t __fread_unlocked_chk(void *p, size_t room, size_t size, size_t n, FILE *f);
int __vfprintf_chk(FILE *f, int flag, const char *fmt, va_list ap);
int __vprintf_chk(int flag, const char *fmt, va_list ap);
int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap);
int __fprintf_chk(FILE *f, int flag, const char *fmt, ...);
int __printf_chk(int flag, const char *fmt, ...);
int __dprintf_chk(int fd, int flag, const char *fmt, ...);
int __vfscanf(FILE *f, const char *fmt, va_list ap);
int __isoc99_vfscanf(FILE *f, const char *fmt, va_list ap);
int __isoc99_vscanf(const char *fmt, va_list ap);
int __isoc99_fscanf(FILE *f, const char *fmt, ...);
int __isoc99_scanf(const char *fmt, ...);

/* Behind pthread_atfork; libc declares it for itself only. */
int __register_atfork(void (*prepare)(void), void (*parent)(void),
		      void (*child)(void), void *dso);

/* libcap's header declares it. */
int capset(void *head, const void *data);

struct real {
	int resolved;
#define SYM(name, version, kind) __typeof__(name) *name;
#define ALIAS(name, of)
#include "shim/interpose.def"
#undef SYM
#undef ALIAS
};
extern struct real real_ __attribute__((visibility("hidden")));

/* Look every name up; idempotent, any thread, before any constructor. */
void realinit(void);
/* libc's function of that name, if it is one of ours. */
void *realnamed(const char *name);
/* The first name that the C library does not have, or NULL. */
extern const char *realmissing __attribute__((visibility("hidden")));

/* REAL(f)(args): the C library's f. Other libraries' constructors may run before
 * ours, hence the test. */
#define REAL(f) (__builtin_expect(real_.resolved, 1) ? real_.f : (realinit(), real_.f))

#endif
