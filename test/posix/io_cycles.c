/*
 * io_cycles - connections are made, used and closed by several threads, again
 * and again: every byte arrives, and in the end nothing is left of them, be it
 * a descriptor, a registration of one, or memory.
 *
 * io_cycles [connections]
 */
#include "iocheck.h"
#include <dirent.h>

enum {
	LINES = 4,   /* listeners; one of them is TCP's */
	PAIRS = 2,   /* servers and clients at each */
	MOST = 6000, /* bytes there and back; the buffers take less */
	SMALL = 4096,
	TENTHS = 10,
	MAY_GROW = 512 << 10, /* of the memory, from the second tenth on */
};

static long connections = 100000, begun, ended, bytes[2];
static int listening[LINES], stop;
static long memory[TENTHS + 1];

/* ---- What is open, registered, and in memory ----------------------------- */

static int is_set(int number)
{
	char path[64], what[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	n = readlink(path, what, sizeof(what) - 1);
	if (n < 0)
		return 0;
	what[n] = 0;
	return strcmp(what, "anon_inode:[eventpoll]") == 0;
}

static int count_registered(int number)
{
	char path[64], line[256];
	FILE *f;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", number);
	f = fopen(path, "r");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		n += strncmp(line, "tfd:", 4) == 0;
	fclose(f);
	return n;
}

/* In sets of descriptors that the program has not made. */
static int count_open(int *registered)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	int n = 0, fd;

	*registered = 0;
	if (!dir)
		return -1;
	while ((e = readdir(dir))) {
		n++;
		fd = atoi(e->d_name);
		if (fd >= OWN && is_set(fd))
			*registered += count_registered(fd);
	}
	closedir(dir);
	return n;
}

static long memory_now(void)
{
	char buf[128];
	long size, resident;
	int fd = open("/proc/self/statm", O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	CHECK(n > 0);
	buf[n] = 0;
	CHECK(close(fd) == 0);
	CHECK_EQ(sscanf(buf, "%ld %ld", &size, &resident), 2);
	return resident * sysconf(_SC_PAGESIZE);
}

/* ---- A connection -------------------------------------------------------- */

/* Kinds of them: the one that sends nothing, and says that it was all. */
enum { NOTHING, HALF, KINDS = 4 };

static long size_of(long i)
{
	return i % 61 == 0 ? MOST : 1 + i * 7 % 90;
}

static void send_all(int fd, const char *buf, long n)
{
	ssize_t done;

	while (n > 0) {
		done = write(fd, buf, n);
		CHECK(done > 0);
		buf += done;
		n -= done;
	}
}

/* All that comes goes back, until the other end says that it was all. */
static void *serves(void *arg)
{
	int l = listening[(long)arg], fd;
	char buf[SMALL];
	ssize_t n;

	for (;;) {
		fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
		CHECK(fd >= 0);
		while ((n = read(fd, buf, sizeof(buf))) > 0) {
			ADD(bytes[0], n);
			send_all(fd, buf, n);
		}
		/* Reset by a client that has had everything. */
		CHECK(n == 0 || errno == ECONNRESET);
		CHECK(close(fd) == 0);
		if (LOAD(stop))
			return NULL;
	}
}

static void connects(int line, long i)
{
	const struct linger hard = { 1, 0 };
	int family = line ? AF_UNIX : AF_INET;
	int fd = connected(family, listening[line], 0);
	char buf[MOST], c;
	long n = size_of(i);

	int half = i % KINDS == HALF && family == AF_UNIX;

	/* Ports are not that many: none of them may have to wait. */
	if (family == AF_INET)
		CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard,
				 sizeof(hard)) == 0);
	if (i % KINDS != NOTHING) {
		compose(buf, i, n);
		send_all(fd, buf, n);
		if (half)
			CHECK(shutdown(fd, SHUT_WR) == 0);
		drain(fd, i, n);
		ADD(bytes[1], n);
		if (half)
			CHECK_EQ(read(fd, &c, 1), 0);
	}
	CHECK(close(fd) == 0);
}

static void *cycles(void *arg)
{
	int line = (int)(long)arg;
	long i, n;

	while ((i = ADD(begun, 1)) <= connections) {
		connects(line, i);
		n = ADD(ended, 1);
		if (n * TENTHS % connections < TENTHS)
			memory[n * TENTHS / connections] = memory_now();
	}
	return NULL;
}

static void run(void)
{
	pthread_t server[LINES][PAIRS], client[LINES][PAIRS];
	long i, k;

	begun = ended = stop = 0;
	for (i = 0; i < LINES; i++) {
		listening[i] = listener(i ? AF_UNIX : AF_INET, 16, 0);
		for (k = 0; k < PAIRS; k++) {
			server[i][k] = start(serves, (void *)i);
			client[i][k] = start(cycles, (void *)i);
		}
	}
	for (i = 0; i < LINES; i++)
		for (k = 0; k < PAIRS; k++)
			join(client[i][k]);
	STORE(stop, 1);
	for (i = 0; i < LINES; i++) {
		for (k = 0; k < PAIRS; k++)
			connects((int)i, NOTHING);
		for (k = 0; k < PAIRS; k++)
			join(server[i][k]);
		CHECK(close(listening[i]) == 0);
	}
	CHECK_EQ(ended, connections);
	CHECK_EQ(bytes[0], bytes[1]);
}

int main(int argc, char **argv)
{
	int before[2], after[2];
	long all;

	if (argc > 1)
		connections = atol(argv[1]);
	CHECK(connections >= 1000);
	/* What is made once and stays. */
	all = connections;
	connections = 500;
	run();
	connections = all;
	before[0] = count_open(&before[1]);
	run();
	after[0] = count_open(&after[1]);
	CHECK_EQ(after[0], before[0]);
	CHECK_EQ(after[1], before[1]);
	if (memory[TENTHS] - memory[2] > MAY_GROW)
		check_fail(__FILE__, __LINE__,
			   "%ld KiB after two tenths, %ld in the end",
			   memory[2] >> 10, memory[TENTHS] >> 10);
	if (getenv("IO_CYCLES_FIGURES"))
		fprintf(stderr,
			"%d open, %d registered; %ld KiB after two tenths, "
			"%ld in the end\n",
			after[0], after[1], memory[2] >> 10,
			memory[TENTHS] >> 10);
	printf("%ld connections\n", connections);
	return 0;
}
