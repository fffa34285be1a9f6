/*
 * launch - starts a command for gmp-ab, measures it, and leaves nothing behind.
 *
 *	launch [-c] [-g MS] [-i FILE] FD command [argument ...]
 *
 * Writes to the descriptor FD "started PID" and, when the command has ended, one
 * line of NAME=NUMBER.  -c counts threads exactly; -i is the standard input, else
 * /dev/null.  SIGTERM is handed on to the command's process group, which is killed
 * MS (-g, default 5000) later; so it is when whoever started this one dies.
 *
 * Small and static, for what gmp-ab cannot do itself: the peak of resident memory
 * that wait4 reports begins with that of the process which forked, and this one has
 * next to none; and no interpreter runs between the end of the command and the clock.
 * Whatever the command leaves behind becomes a child of this process (it is a
 * subreaper), and is killed.
 *
 * Threads are counted by the kernel's own messages about forks and exits (the
 * process connector).  That needs CAP_NET_ADMIN; without it, or when messages were
 * lost, nothing is said of threads.  Not for runs that are timed: each thread costs a
 * message.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static int out; /* where the results go */

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "gmp-ab: launch: %s: %s\n", what, strerror(errno));
	exit(125);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* ---- Counting threads ------------------------------------------------------- */

static struct census {
	int fd; /* -1: not counted */
	bool lost; /* a message at least */
	long threads, processes; /* created below the command */
	long alive, peak; /* tasks, the command's first thread with them */
	pid_t *tree; /* its processes, also those that have ended */
	size_t n, room;
} census = { .fd = -1 };

static bool intree(pid_t tgid)
{
	/* From the end: the newest process is the most active one. */
	for (size_t i = census.n; i-- > 0;)
		if (census.tree[i] == tgid)
			return true;
	return false;
}

static void addtree(pid_t tgid)
{
	if (census.n == census.room) {
		census.room = census.room ? 2 * census.room : 64;
		census.tree = realloc(census.tree,
				      census.room * sizeof(*census.tree));
		if (!census.tree)
			die("memory");
	}
	census.tree[census.n++] = tgid;
	if (++census.alive > census.peak)
		census.peak = census.alive;
}

/* Only forks and exits pass: "what" is the first word behind both headers. */
static void censusfilter(void)
{
	unsigned at = NLMSG_LENGTH(0) + offsetof(struct cn_msg, data);
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at),
		/* The filter reads big-endian, the kernel wrote our order. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			 __builtin_bswap32(PROC_EVENT_FORK), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			 __builtin_bswap32(PROC_EVENT_EXIT), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = { LEN(code), code };

	setsockopt(census.fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
		   sizeof(prog));
}

static void censusstart(void)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK,
				    .nl_groups = CN_IDX_PROC };
	enum proc_cn_mcast_op op = PROC_CN_MCAST_LISTEN;
	struct cn_msg cn = { .id = { CN_IDX_PROC, CN_VAL_PROC },
			     .len = sizeof(op) };
	struct {
		struct nlmsghdr nl;
		unsigned char body[sizeof(cn) + sizeof(op)];
	} listen = { .nl = { .nlmsg_len = sizeof(listen),
			     .nlmsg_type = NLMSG_DONE } };
	int room = 256 << 20;

	memcpy(listen.body, &cn, sizeof(cn));
	memcpy(listen.body + sizeof(cn), &op, sizeof(op));
	census.fd = socket(AF_NETLINK,
			   SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			   NETLINK_CONNECTOR);
	if (census.fd < 0)
		return;
	setsockopt(census.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	censusfilter();
	if (bind(census.fd, (struct sockaddr *)&self, sizeof(self)) == 0 &&
	    send(census.fd, &listen, sizeof(listen), 0) == sizeof(listen))
		return;
	close(census.fd);
	census.fd = -1;
}

static void censusevent(const struct proc_event *e)
{
	if (e->what == PROC_EVENT_EXIT) {
		if (intree(e->event_data.exit.process_tgid))
			census.alive--;
		return;
	}
	if (e->what != PROC_EVENT_FORK)
		return;
	/* The "parent" of a thread is that of its process: not in the tree. */
	if (e->event_data.fork.child_pid != e->event_data.fork.child_tgid) {
		if (!intree(e->event_data.fork.child_tgid))
			return;
		census.threads++;
		if (++census.alive > census.peak)
			census.peak = census.alive;
	} else if (intree(e->event_data.fork.parent_tgid)) {
		census.processes++;
		addtree(e->event_data.fork.child_tgid);
	}
}

/* All messages there are. */
static void censusread(void)
{
	struct __attribute__((aligned(8))) {
		char bytes[4096];
	} buf;

	for (;;) {
		ssize_t n = recv(census.fd, &buf, sizeof(buf), 0);
		struct nlmsghdr *nl = (struct nlmsghdr *)&buf;

		if (n < 0 && errno == ENOBUFS)
			census.lost = true;
		else if (n < 0 && errno != EINTR)
			return;
		for (; n > 0 && NLMSG_OK(nl, n); nl = NLMSG_NEXT(nl, n)) {
			struct proc_event e;
			struct cn_msg *cn = NLMSG_DATA(nl);

			memcpy(&e, cn->data, sizeof(e));
			censusevent(&e);
		}
	}
}

/* ---- The command ------------------------------------------------------------ */

static pid_t start(char **argv, const char *input)
{
	int gate[2]; /* holds the command until it is being counted */
	sigset_t none;
	pid_t pid;
	char c;

	if (pipe2(gate, O_CLOEXEC))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		setpgid(0, 0);
		if (dup2(open(input, O_RDONLY | O_CLOEXEC), 0) < 0)
			die(input);
		close(out);
		close(gate[1]);
		while (read(gate[0], &c, 1) < 0 && errno == EINTR)
			;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execvp(argv[0], argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	setpgid(pid, pid);
	if (census.fd >= 0)
		addtree(pid);
	dprintf(out, "started %d\n", (int)pid);
	close(gate[0]);
	close(gate[1]);
	return pid;
}

/*
 * Kills what is left below the command.  Each process whose parent has gone becomes
 * our child, so this goes on until there is none.
 */
static void sweep(pid_t group)
{
	char path[64], line[4096];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children",
		 (int)getpid());
	for (;;) {
		FILE *f = fopen(path, "re");

		kill(-group, SIGKILL);
		if (f && fgets(line, sizeof(line), f))
			for (char *p = strtok(line, " \n"); p;
			     p = strtok(NULL, " \n"))
				kill(atoi(p), SIGKILL);
		if (f)
			fclose(f);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (waitpid(-1, NULL, WNOHANG) < 0)
			return;
		poll(NULL, 0, 2);
	}
}

static void report(int status, int64_t ns, const struct rusage *u, bool killed)
{
	dprintf(out,
		"exit=%d signal=%d killed=%d wall=%.9f user=%ld.%06ld "
		"sys=%ld.%06ld rss=%ld minflt=%ld majflt=%ld nvcsw=%ld "
		"nivcsw=%ld",
		WIFEXITED(status) ? WEXITSTATUS(status) : 0,
		WIFSIGNALED(status) ? WTERMSIG(status) : 0, killed, ns / 1e9,
		(long)u->ru_utime.tv_sec, (long)u->ru_utime.tv_usec,
		(long)u->ru_stime.tv_sec, (long)u->ru_stime.tv_usec,
		u->ru_maxrss, u->ru_minflt, u->ru_majflt, u->ru_nvcsw,
		u->ru_nivcsw);
	if (census.fd >= 0 && !census.lost)
		dprintf(out, " threads=%ld processes=%ld peak=%ld",
			census.threads, census.processes, census.peak);
	dprintf(out, "\n");
}

static void watch(pid_t pid, int64_t began, int signals, int grace)
{
	struct pollfd fds[] = { { signals, POLLIN, 0 },
				{ census.fd, POLLIN, 0 } };
	int64_t deadline = -1;
	bool killed = false;
	struct rusage usage;
	int status;

	for (;;) {
		int64_t left = deadline < 0 ? -1 : deadline - now();
		int ms = left < 0 ? -1 : (int)(left / 1000000 + 1);
		struct signalfd_siginfo s;

		if (deadline >= 0 && left <= 0) {
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			killed = true;
			deadline = -1;
			continue;
		}
		if (poll(fds, LEN(fds), ms) < 0 && errno != EINTR)
			die("poll");
		/* Before the look at what it tells of, or it may be of an end that
		 * comes after the look, and nothing tells of that again. */
		if (read(signals, &s, sizeof(s)) != sizeof(s))
			s.ssi_signo = 0;
		/* Then the end: the clock is running. */
		if (wait4(pid, &status, WNOHANG, &usage) == pid)
			break;
		if (census.fd >= 0)
			censusread();
		if (s.ssi_signo != SIGTERM)
			continue;
		kill(-pid, SIGTERM);
		if (deadline < 0)
			deadline = now() + grace * 1000000ll;
	}
	int64_t ended = now();

	if (census.fd >= 0)
		censusread();
	sweep(pid);
	report(status, ended - began, &usage, killed);
}

int main(int argc, char **argv)
{
	const char *input = "/dev/null";
	int grace = 5000, opt, signals;
	pid_t parent = getppid();
	sigset_t set;

	while ((opt = getopt(argc, argv, "+cg:i:")) != -1) {
		if (opt == 'c')
			censusstart();
		else if (opt == 'g')
			grace = atoi(optarg);
		else if (opt == 'i')
			input = optarg;
		else
			return 125;
	}
	if (argc - optind < 2) {
		fprintf(stderr, "launch: started by gmp-ab, not by hand\n");
		return 125;
	}
	out = atoi(argv[optind]);
	fcntl(out, F_SETFD, FD_CLOEXEC);

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	/* A terminal's, for all in front of it: gmp-ab decides, or its end does. */
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		die("signalfd");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		return 125;

	int64_t began = now();

	watch(start(argv + optind + 1, input), began, signals, grace);
	return 0;
}
