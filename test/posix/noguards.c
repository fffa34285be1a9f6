/*
 * noguards - runs a program where the kernel refuses MADV_GUARD_INSTALL, as kernels
 * before 6.13 do: a system call filter answers EINVAL.
 *
 * noguards [program args...]
 */
#include "check.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define GUARD_INSTALL 102

static void refuse(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GUARD_INSTALL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(*code), code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
	CHECK(madvise(NULL, 4096, GUARD_INSTALL) == -1 && errno == EINVAL);
}

enum { N = 1200 }; /* more than have a guard of another kind in any case */
static pthread_barrier_t gate;

static void *waits(void *arg)
{
	pthread_barrier_wait(&gate);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t[N];
	long i;

	refuse();
	if (argc > 1) {
		execv(argv[1], argv + 1);
		CHECK(!"execv");
	}
	section("more than a thousand");
	OK(pthread_barrier_init(&gate, NULL, N));
	for (i = 0; i < N; i++)
		t[i] = start_small(waits, (void *)i);
	for (i = 0; i < N; i++)
		CHECK_EQ((long)join(t[i]), i);
	return 0;
}
