/*
 * blocks_ipc - calls that wait for messages and semaphores of System V, and for message
 * queues of POSIX: see blocks.h.
 */
#include "blocks.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>

/* ---- System V --------------------------------------------------------------- */

struct message {
	long type;
	char text[64];
};

static void make_queue(struct test *t)
{
	t->id = msgget(IPC_PRIVATE, 0600);
	CHECK(t->id >= 0);
}

static void full_queue(struct test *t)
{
	struct message m = { 1, "old" };

	make_queue(t);
	while (msgsnd(t->id, &m, sizeof(m.text), IPC_NOWAIT) == 0)
		;
	CHECK_EQ(errno, EAGAIN);
}

static void in_msgrcv(struct test *t)
{
	struct message m;

	CHECK_EQ(msgrcv(t->id, &m, sizeof(m.text), 0, 0), 3);
	CHECK(m.type == 7 && memcmp(m.text, "new", 3) == 0);
	CHECK(msgctl(t->id, IPC_RMID, NULL) == 0);
}

static void in_sys_msgrcv(struct test *t)
{
	struct message m;

	CHECK_EQ(syscall(SYS_msgrcv, t->id, &m, sizeof(m.text), 0, 0), 3);
	CHECK(m.type == 7 && memcmp(m.text, "new", 3) == 0);
	CHECK(msgctl(t->id, IPC_RMID, NULL) == 0);
}

static void send_message(struct test *t)
{
	struct message m = { 7, "new" };

	CHECK(msgsnd(t->id, &m, 3, 0) == 0);
}

static void in_msgsnd(struct test *t)
{
	struct message m = { 7, "new" };

	CHECK_EQ(msgsnd(t->id, &m, sizeof(m.text), 0), 0);
	CHECK_EQ(msgrcv(t->id, &m, sizeof(m.text), 7, IPC_NOWAIT),
		 sizeof(m.text));
	CHECK(msgctl(t->id, IPC_RMID, NULL) == 0);
}

static void in_sys_msgsnd(struct test *t)
{
	struct message m = { 7, "new" };

	CHECK_EQ(syscall(SYS_msgsnd, t->id, &m, sizeof(m.text), 0), 0);
	CHECK(msgctl(t->id, IPC_RMID, NULL) == 0);
}

static void take_message(struct test *t)
{
	struct message m;

	CHECK_EQ(msgrcv(t->id, &m, sizeof(m.text), 1, 0), sizeof(m.text));
	CHECK(strcmp(m.text, "old") == 0);
}

static void in_msgrcv_removed(struct test *t)
{
	struct message m;

	ERR(EIDRM, msgrcv(t->id, &m, sizeof(m.text), 0, 0));
	errno = ERRNO_MARK;
}

static void remove_queue(struct test *t)
{
	CHECK(msgctl(t->id, IPC_RMID, NULL) == 0);
}

static void make_semaphore(struct test *t)
{
	t->id = semget(IPC_PRIVATE, 1, 0600);
	CHECK(t->id >= 0);
}

static struct sembuf *change(short by)
{
	static __thread struct sembuf s;

	s = (struct sembuf){ 0, by, 0 };
	return &s;
}

/* With what a timeout does, before another one does not come. */
static void timed_semaphore(struct test *t)
{
	struct timespec soon = { 0, 2000000 }, bad = { 0, 1000000000 };
	struct timespec end = in_ms(CLOCK_MONOTONIC, 2);

	make_semaphore(t);
	ERR(EAGAIN, semtimedop(t->id, change(-1), 1, &soon));
	CHECK(reached(CLOCK_MONOTONIC, &end));
	ERR(EAGAIN, syscall(SYS_semtimedop, t->id, change(-1), 1, &soon));
	ERR(EINVAL, semtimedop(t->id, change(-1), 1, &bad));
}

static void raise_semaphore(struct test *t)
{
	CHECK(semop(t->id, change(1), 1) == 0);
}

static void in_semop(struct test *t)
{
	CHECK_EQ(semop(t->id, change(-1), 1), 0);
	CHECK(semctl(t->id, 0, IPC_RMID) == 0);
}

static void in_sys_semop(struct test *t)
{
	CHECK_EQ(syscall(SYS_semop, t->id, change(-1), 1), 0);
	CHECK(semctl(t->id, 0, IPC_RMID) == 0);
}

static void in_semtimedop(struct test *t)
{
	struct timespec forever = { 600, 0 };

	CHECK_EQ(semtimedop(t->id, change(-1), 1, &forever), 0);
	CHECK(semctl(t->id, 0, IPC_RMID) == 0);
}

static void in_sys_semtimedop(struct test *t)
{
	struct timespec forever = { 600, 0 };

	CHECK_EQ(syscall(SYS_semtimedop, t->id, change(-1), 1, &forever), 0);
	CHECK(semctl(t->id, 0, IPC_RMID) == 0);
}

static void in_semop_removed(struct test *t)
{
	ERR(EIDRM, semop(t->id, change(-1), 1));
	errno = ERRNO_MARK;
}

static void remove_semaphore(struct test *t)
{
	CHECK(semctl(t->id, 0, IPC_RMID) == 0);
}

/* ---- POSIX message queues --------------------------------------------------- */

static void make_mq(struct test *t)
{
	static int n;
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };

	snprintf(t->path, sizeof(t->path), "/blocks.%d.%d", (int)getpid(),
		 ADD(n, 1));
	t->mq = mq_open(t->path, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	CHECK(t->mq != (mqd_t)-1);
	CHECK(mq_unlink(t->path) == 0);
}

static void timed_mq(struct test *t)
{
	struct timespec soon = in_ms(CLOCK_REALTIME, 2);
	char buf[8];

	make_mq(t);
	ERR(ETIMEDOUT, mq_timedreceive(t->mq, buf, sizeof(buf), NULL, &soon));
	CHECK(reached(CLOCK_REALTIME, &soon));
}

static void full_mq(struct test *t)
{
	struct timespec soon = in_ms(CLOCK_REALTIME, 2);

	make_mq(t);
	CHECK(mq_send(t->mq, "old", 3, 1) == 0);
	ERR(ETIMEDOUT, mq_timedsend(t->mq, "new", 3, 2, &soon));
	CHECK(reached(CLOCK_REALTIME, &soon));
}

static void receive_mq(struct test *t, const char *want)
{
	char buf[8];
	unsigned prio;

	CHECK_EQ(mq_receive(t->mq, buf, sizeof(buf), &prio), 3);
	CHECK(memcmp(buf, want, 3) == 0);
}

static void in_mq_receive(struct test *t)
{
	receive_mq(t, "new");
	CHECK(mq_close(t->mq) == 0);
}

static void in_mq_timedreceive(struct test *t)
{
	struct timespec end = far_off(CLOCK_REALTIME);
	char buf[8];

	CHECK_EQ(mq_timedreceive(t->mq, buf, sizeof(buf), NULL, &end), 3);
	CHECK(memcmp(buf, "new", 3) == 0);
	CHECK(mq_close(t->mq) == 0);
}

static void in_sys_mq_timedreceive(struct test *t)
{
	char buf[8];

	CHECK_EQ(syscall(SYS_mq_timedreceive, t->mq, buf, sizeof(buf), NULL,
			 NULL), 3);
	CHECK(memcmp(buf, "new", 3) == 0);
	CHECK(mq_close(t->mq) == 0);
}

static void send_mq(struct test *t)
{
	CHECK(mq_send(t->mq, "new", 3, 2) == 0);
}

static void in_mq_send(struct test *t)
{
	CHECK_EQ(mq_send(t->mq, "new", 3, 2), 0);
	receive_mq(t, "new");
	CHECK(mq_close(t->mq) == 0);
}

static void in_mq_timedsend(struct test *t)
{
	struct timespec end = far_off(CLOCK_REALTIME);

	CHECK_EQ(mq_timedsend(t->mq, "new", 3, 2, &end), 0);
	receive_mq(t, "new");
	CHECK(mq_close(t->mq) == 0);
}

static void in_sys_mq_timedsend(struct test *t)
{
	CHECK_EQ(syscall(SYS_mq_timedsend, t->mq, "new", 3, 2, NULL), 0);
	receive_mq(t, "new");
	CHECK(mq_close(t->mq) == 0);
}

static void drain_mq(struct test *t)
{
	receive_mq(t, "old");
}

static void close_mq(struct test *t)
{
	CHECK(mq_close(t->mq) == 0);
}

/* ---- All of them ------------------------------------------------------------ */

static const struct kind kinds[] = {
	{ "msgrcv", make_queue, in_msgrcv, send_message, 0,
	  .cancelled = remove_queue },
	{ "SYS_msgrcv", make_queue, in_sys_msgrcv, send_message, 0 },
	{ "msgrcv, removed", make_queue, in_msgrcv_removed, remove_queue, 0 },
	{ "msgsnd", full_queue, in_msgsnd, take_message, 0,
	  .cancelled = remove_queue },
	{ "SYS_msgsnd", full_queue, in_sys_msgsnd, take_message, 0 },
	{ "semop", make_semaphore, in_semop, raise_semaphore, 0 },
	{ "SYS_semop", make_semaphore, in_sys_semop, raise_semaphore, 0 },
	{ "semop, removed", make_semaphore, in_semop_removed, remove_semaphore,
	  0 },
	{ "semtimedop", timed_semaphore, in_semtimedop, raise_semaphore, 0 },
	{ "SYS_semtimedop", timed_semaphore, in_sys_semtimedop, raise_semaphore,
	  0 },
	{ "mq_receive", make_mq, in_mq_receive, send_mq, 0,
	  .cancelled = close_mq },
	{ "mq_timedreceive", timed_mq, in_mq_timedreceive, send_mq, 0,
	  .cancelled = close_mq },
	{ "SYS_mq_timedreceive", make_mq, in_sys_mq_timedreceive, send_mq, 0 },
	{ "mq_send", full_mq, in_mq_send, drain_mq, 0,
	  .cancelled = close_mq },
	{ "mq_timedsend", full_mq, in_mq_timedsend, drain_mq, 0,
	  .cancelled = close_mq },
	{ "SYS_mq_timedsend", full_mq, in_sys_mq_timedsend, drain_mq, 0 },
};

int main(int argc, char **argv)
{
	blocks_main(argc, argv, kinds, sizeof(kinds) / sizeof(kinds[0]));
	return 0;
}
