/*
 * blocks_held - calls that wait for a disk or a server, which cannot be made to
 * be slow here: so the kernel asks another process about them before it makes
 * them (seccomp), and that lets them wait as long as it is told.  See blocks.h.
 */
#include "blocks.h"
#include <arpa/inet.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <syslog.h>
#include <termios.h>

extern void __syslog_chk(int, int, const char *, ...);
extern void __vsyslog_chk(int, int, const char *, va_list);

enum { KEPT = 16, SIZE = 4096 };

/* ---- The other process ------------------------------------------------------ */

static struct {
	int nr;	      /* calls of that number are held, 0: none */
	int pid;      /* of the program */
} *hold;

static void answer(int fd, uint64_t id)
{
	struct seccomp_notif_resp resp = {
		.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE
	};

	/* A signal may have ended the call meanwhile. */
	ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

/* Files are opened by others, too: those of names are in this folder. */
static int isheld(const struct seccomp_notif *req, int nr)
{
	char path[16] = "";
	struct iovec here = { path, 5 },
		     there = { (void *)(uintptr_t)req->data.args[1], 5 };

	if (req->data.nr != nr)
		return 0;
	if (nr != SYS_openat)
		return 1;
	return process_vm_readv(req->pid, &here, 1, &there, 1, 0) == 5 &&
	       strcmp(path, "/etc/") == 0;
}

static void supervise(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	struct seccomp_notif req;
	uint64_t kept[KEPT];
	int n = 0, nr;

	while (getppid() == LOAD(hold->pid)) {
		if (poll(&p, 1, 1) < 0 && errno != EINTR)
			return;
		nr = LOAD(hold->nr);
		while (!nr && n)
			answer(fd, kept[--n]);
		memset(&req, 0, sizeof(req));
		if (!(p.revents & POLLIN) ||
		    ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &req))
			continue;
		if (n < KEPT && isheld(&req, nr))
			kept[n++] = req.id;
		else
			answer(fd, req.id);
	}
}

#define ASK(call)                                                              \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),                       \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)
#define WORD(field)                                                            \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))

/* Its process number; -1: not allowed here. */
static pid_t begin_holding(void)
{
	struct sock_filter filter[] = {
		WORD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		WORD(nr),
		ASK(SYS_fsync),
		ASK(SYS_fdatasync),
		ASK(SYS_syncfs),
		ASK(SYS_sync),
		ASK(SYS_msync),
		ASK(SYS_sync_file_range),
		ASK(SYS_fallocate),
		ASK(SYS_ftruncate),
		ASK(SYS_truncate),
		ASK(SYS_copy_file_range),
		ASK(SYS_getrandom),
		ASK(SYS_openat),
		ASK(SYS_connect),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		WORD(args[1]),
		ASK(TCSBRK),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(filter) / sizeof(filter[0]), filter };
	pid_t pid;
	int fd;

	hold = mmap(NULL, sizeof(*hold), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(hold != MAP_FAILED);
	hold->pid = getpid();
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	/* It looks into our memory; where there is nothing to allow, it may. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			  SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
	if (fd < 0)
		return -1;
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		supervise(fd);
		_exit(0);
	}
	CHECK(close(fd) == 0);
	return pid;
}

/* ---- Calls about files: what they return ------------------------------------- */

static int file[2];
static char path[64], *map, data[SIZE];
static int terminal;

static void make_files(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/tmp/blocks_held.%d.%d",
			 (int)getpid(), i);
		file[i] = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
		CHECK(file[i] >= 0);
		CHECK_EQ(write(file[i], data, SIZE), SIZE);
		if (i == 0)
			CHECK(unlink(path) == 0);
	}
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file[0], 0);
	CHECK(map != MAP_FAILED);
	terminal = posix_openpt(O_RDWR | O_NOCTTY);
	CHECK(terminal >= 0);
}

static void end_files(void)
{
	CHECK(unlink(path) == 0);
}

#define CALLS(name, what)                                                      \
	static long name(struct test *t)                                       \
	{                                                                      \
		(void)t;                                                       \
		return (long)(what);                                           \
	}

static loff_t *start_of(int i)
{
	static loff_t at[2];

	at[i] = 0;
	return &at[i];
}

CALLS(fsyncs, fsync(file[0]))
CALLS(fdatasyncs, fdatasync(file[0]))
CALLS(syncfses, syncfs(file[0]))
CALLS(syncs, (sync(), 0))
CALLS(msyncs, msync(map, SIZE, MS_SYNC))
CALLS(sync_file_ranges, sync_file_range(file[0], 0, SIZE,
					SYNC_FILE_RANGE_WAIT_BEFORE))
CALLS(fallocates, fallocate(file[0], FALLOC_FL_KEEP_SIZE, 0, SIZE))
CALLS(fallocates64, fallocate64(file[0], FALLOC_FL_KEEP_SIZE, 0, SIZE))
CALLS(posix_fallocates, posix_fallocate(file[0], 0, SIZE))
CALLS(posix_fallocates64, posix_fallocate64(file[0], 0, SIZE))
CALLS(ftruncates, ftruncate(file[0], SIZE))
CALLS(ftruncates64, ftruncate64(file[0], SIZE))
CALLS(truncates, truncate(path, SIZE))
CALLS(truncates64, truncate64(path, SIZE))
CALLS(copies, copy_file_range(file[0], start_of(0), file[1], start_of(1), SIZE,
			      0))
CALLS(drains, tcdrain(terminal))
CALLS(randoms, getrandom(data, 16, 0))
CALLS(sys_fsyncs, syscall(SYS_fsync, file[0]))
CALLS(sys_fdatasyncs, syscall(SYS_fdatasync, file[0]))
CALLS(sys_syncfses, syscall(SYS_syncfs, file[0]))
CALLS(sys_syncs, syscall(SYS_sync))
CALLS(sys_msyncs, syscall(SYS_msync, map, SIZE, MS_SYNC))
CALLS(sys_sync_file_ranges, syscall(SYS_sync_file_range, file[0], 0, SIZE,
				    SYNC_FILE_RANGE_WAIT_BEFORE))
CALLS(sys_fallocates, syscall(SYS_fallocate, file[0], FALLOC_FL_KEEP_SIZE, 0,
			      SIZE))
CALLS(sys_ftruncates, syscall(SYS_ftruncate, file[0], SIZE))
CALLS(sys_truncates, syscall(SYS_truncate, path, SIZE))
CALLS(sys_copies, syscall(SYS_copy_file_range, file[0], start_of(0), file[1],
			  start_of(1), SIZE, 0))
CALLS(sys_randoms, syscall(SYS_getrandom, data, 16, 0))

/* ---- Names: what is found ------------------------------------------------------ */

static const char local[4] = { 127, 0, 0, 1 };

static long address_of(const struct hostent *h)
{
	in_addr_t a = 0;

	if (h && h->h_addr_list[0])
		memcpy(&a, h->h_addr_list[0], sizeof(a));
	return h ? (long)a : -1;
}

/* With results and a buffer of its own. */
#define CALLS_R(name, type, call, found)                                       \
	static long name(struct test *t)                                       \
	{                                                                      \
		type ret, *res = NULL;                                         \
		char buf[8192];                                                \
		int err = 0;                                                   \
                                                                               \
		(void)t;                                                       \
		(void)err;                                                     \
		call;                                                          \
		return res ? (long)(found) : -1;                               \
	}

static long getaddrinfos(struct test *t)
{
	struct addrinfo hints = { .ai_family = AF_INET,
				  .ai_socktype = SOCK_STREAM },
			*res;
	long port;

	(void)t;
	if (getaddrinfo("127.0.0.1", "http", &hints, &res))
		return -1;
	port = ((struct sockaddr_in *)res->ai_addr)->sin_port;
	freeaddrinfo(res);
	return port;
}

static long getnameinfos(struct test *t)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(80) };
	char host[64], service[64] = "";

	(void)t;
	memcpy(&sin.sin_addr, local, sizeof(local));
	if (getnameinfo((struct sockaddr *)&sin, sizeof(sin), host,
			sizeof(host), service, sizeof(service),
			NI_NUMERICHOST))
		return -1;
	return service[0];
}

static long port_of(const struct servent *s)
{
	return s ? s->s_port : -1;
}

static long users_groups(struct test *t)
{
	gid_t groups[100];
	int n = 100;

	(void)t;
	return getgrouplist("root", 0, groups, &n) < 0 ? -1 : n;
}

CALLS(gethostbynames, address_of(gethostbyname("localhost")))
CALLS(gethostbynames2, address_of(gethostbyname2("localhost", AF_INET)))
CALLS(gethostbyaddrs, address_of(gethostbyaddr(local, 4, AF_INET)))
CALLS_R(gethostbynames_r, struct hostent,
	gethostbyname_r("localhost", &ret, buf, sizeof(buf), &res, &err),
	address_of(res))
CALLS_R(gethostbynames2_r, struct hostent,
	gethostbyname2_r("localhost", AF_INET, &ret, buf, sizeof(buf), &res,
			 &err),
	address_of(res))
CALLS_R(gethostbyaddrs_r, struct hostent,
	gethostbyaddr_r(local, 4, AF_INET, &ret, buf, sizeof(buf), &res, &err),
	address_of(res))
CALLS(getservbynames, port_of(getservbyname("http", "tcp")))
CALLS(getservbyports, port_of(getservbyport(htons(80), "tcp")))
CALLS_R(getservbynames_r, struct servent,
	getservbyname_r("http", "tcp", &ret, buf, sizeof(buf), &res),
	port_of(res))
CALLS_R(getservbyports_r, struct servent,
	getservbyport_r(htons(80), "tcp", &ret, buf, sizeof(buf), &res),
	port_of(res))
CALLS(getpwnams, getpwnam("root") ? 1 : -1)
CALLS(getpwuids, getpwuid(0) ? 1 : -1)
CALLS_R(getpwnams_r, struct passwd,
	getpwnam_r("root", &ret, buf, sizeof(buf), &res), res->pw_uid)
CALLS_R(getpwuids_r, struct passwd,
	getpwuid_r(0, &ret, buf, sizeof(buf), &res), res->pw_uid)
CALLS(getgrnams, getgrnam("root") ? 1 : -1)
CALLS(getgrgids, getgrgid(0) ? 1 : -1)
CALLS_R(getgrnams_r, struct group,
	getgrnam_r("root", &ret, buf, sizeof(buf), &res), res->gr_gid)
CALLS_R(getgrgids_r, struct group,
	getgrgid_r(0, &ret, buf, sizeof(buf), &res), res->gr_gid)
CALLS(initgroupses, initgroups("root", 0))

/* ---- The log ---------------------------------------------------------------------- */

static void vsyslogs_of(int chk, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (chk)
		__vsyslog_chk(LOG_DEBUG, 1, fmt, ap);
	else
		vsyslog(LOG_DEBUG, fmt, ap);
	va_end(ap);
}

CALLS(syslogs, (closelog(), syslog(LOG_DEBUG, "%d", 1), 0))
CALLS(syslogs_chk, (closelog(), __syslog_chk(LOG_DEBUG, 1, "%d", 1), 0))
CALLS(vsyslogs, (closelog(), vsyslogs_of(0, "%d", 1), 0))
CALLS(vsyslogs_chk, (closelog(), vsyslogs_of(1, "%d", 1), 0))

/* ---- All of them ------------------------------------------------------------------ */

/* With what it does when nothing holds it. */
static void hold_it(struct test *t)
{
	t->id = (int)t->kind->call(t);
	STORE(hold->nr, t->kind->nr);
}

static void in_held(struct test *t)
{
	long got = t->kind->call(t);

	if (got != t->id)
		check_fail(__FILE__, __LINE__, "%s is %ld, and was %d",
			   t->kind->name, got, t->id);
	/* What was looked for in vain leaves something there. */
	errno = ERRNO_MARK;
}

static void let_go(struct test *t)
{
	(void)t;
	STORE(hold->nr, 0);
}

/* One at a time: all of a number are held. */
#define HELD(name, nr, call)                                                   \
	{ name, hold_it, in_held, let_go, 1, call, nr }

static const struct kind kinds[] = {
	HELD("fsync", SYS_fsync, fsyncs),
	HELD("fdatasync", SYS_fdatasync, fdatasyncs),
	HELD("syncfs", SYS_syncfs, syncfses),
	HELD("sync", SYS_sync, syncs),
	HELD("msync", SYS_msync, msyncs),
	HELD("sync_file_range", SYS_sync_file_range, sync_file_ranges),
	HELD("fallocate", SYS_fallocate, fallocates),
	HELD("fallocate64", SYS_fallocate, fallocates64),
	HELD("posix_fallocate", SYS_fallocate, posix_fallocates),
	HELD("posix_fallocate64", SYS_fallocate, posix_fallocates64),
	HELD("ftruncate", SYS_ftruncate, ftruncates),
	HELD("ftruncate64", SYS_ftruncate, ftruncates64),
	HELD("truncate", SYS_truncate, truncates),
	HELD("truncate64", SYS_truncate, truncates64),
	HELD("copy_file_range", SYS_copy_file_range, copies),
	HELD("tcdrain", SYS_ioctl, drains),
	HELD("getrandom", SYS_getrandom, randoms),
	HELD("SYS_fsync", SYS_fsync, sys_fsyncs),
	HELD("SYS_fdatasync", SYS_fdatasync, sys_fdatasyncs),
	HELD("SYS_syncfs", SYS_syncfs, sys_syncfses),
	HELD("SYS_sync", SYS_sync, sys_syncs),
	HELD("SYS_msync", SYS_msync, sys_msyncs),
	HELD("SYS_sync_file_range", SYS_sync_file_range, sys_sync_file_ranges),
	HELD("SYS_fallocate", SYS_fallocate, sys_fallocates),
	HELD("SYS_ftruncate", SYS_ftruncate, sys_ftruncates),
	HELD("SYS_truncate", SYS_truncate, sys_truncates),
	HELD("SYS_copy_file_range", SYS_copy_file_range, sys_copies),
	HELD("SYS_getrandom", SYS_getrandom, sys_randoms),
	HELD("getaddrinfo", SYS_openat, getaddrinfos),
	HELD("getnameinfo", SYS_openat, getnameinfos),
	HELD("gethostbyname", SYS_openat, gethostbynames),
	HELD("gethostbyname2", SYS_openat, gethostbynames2),
	HELD("gethostbyaddr", SYS_openat, gethostbyaddrs),
	HELD("gethostbyname_r", SYS_openat, gethostbynames_r),
	HELD("gethostbyname2_r", SYS_openat, gethostbynames2_r),
	HELD("gethostbyaddr_r", SYS_openat, gethostbyaddrs_r),
	HELD("getservbyname", SYS_openat, getservbynames),
	HELD("getservbyname_r", SYS_openat, getservbynames_r),
	HELD("getservbyport", SYS_openat, getservbyports),
	HELD("getservbyport_r", SYS_openat, getservbyports_r),
	HELD("getpwnam", SYS_openat, getpwnams),
	HELD("getpwnam_r", SYS_openat, getpwnams_r),
	HELD("getpwuid", SYS_openat, getpwuids),
	HELD("getpwuid_r", SYS_openat, getpwuids_r),
	HELD("getgrnam", SYS_openat, getgrnams),
	HELD("getgrnam_r", SYS_openat, getgrnams_r),
	HELD("getgrgid", SYS_openat, getgrgids),
	HELD("getgrgid_r", SYS_openat, getgrgids_r),
	HELD("getgrouplist", SYS_openat, users_groups),
	HELD("initgroups", SYS_openat, initgroupses),
	HELD("syslog", SYS_connect, syslogs),
	HELD("__syslog_chk", SYS_connect, syslogs_chk),
	HELD("vsyslog", SYS_connect, vsyslogs),
	HELD("__vsyslog_chk", SYS_connect, vsyslogs_chk),
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

int main(int argc, char **argv)
{
	pid_t pid = -1;

	if (argc != 2) {
		pid = begin_holding();
		if (pid < 0) {
			fprintf(stderr, "no seccomp that asks: %s\n",
				strerror(errno));
			return 77;
		}
		make_files();
	}
	blocks_main(argc, argv, kinds, KINDS);
	if (pid < 0)
		return 0;
	end_files();
	STORE(hold->pid, 0); /* ends it */
	reap(pid, 0);
	return 0;
}
