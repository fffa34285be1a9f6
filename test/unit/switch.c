/* switch.c - the context switch: what it keeps, what it hands over, its wait.
 *
 * Most contexts here have the test's own thread pointer, so that libc works in
 * them. Those with another one run functions that touch neither libc nor
 * thread-local storage; a stack protector would, for its canary.
 */
#include "test/unit/unit.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unwind.h>

#define NOTLS                                                                  \
	__attribute__((no_stack_protector, noinline, no_sanitize("address"),   \
		       no_sanitize("undefined")))
/* What gswitch would return there: of interest to one context only. */
#define RESUMED __attribute__((unused)) int resumed
#define STACK (64 * 1024)
#define M1 ((void *)0x1111)
#define M2 ((void *)0x2222)

static struct gobuf home, ctx[4];
static char stacks[4][STACK] __attribute__((aligned(64)));

/* The least thread pointer: a word that holds its own address. */
static struct tcb {
	struct tcb *self;
	char rest[248];
} tcbs[4] __attribute__((aligned(64)));

static void setup(void)
{
	asm_fsgsbase = (getauxval(AT_HWCAP2) & 2) != 0;
	home.fs = gettp();
	home.oncpu = 1;
	for (size_t i = 0; i < COUNT(tcbs); i++)
		tcbs[i].self = &tcbs[i];
}

TestSuite(gswitch, .init = setup);

static void make(int i, void (*fn)(int))
{
	gobufinit(&ctx[i], (uintptr_t)stacks[i] + STACK, gettp(), fn);
}

/* To context i from the test, and back. */
static int to(int i)
{
	return gswitch(&home, &ctx[i], &home, M1);
}

static int back(int i)
{
	return gswitch(&ctx[i], &home, &home, M2);
}

/* ---- integer registers --------------------------------------------------- */

/* gswitch with the six callee-saved registers loaded from in; what they hold
 * when it returns goes to out. Its own caller's registers are kept as ever. */
int switchregs(struct gobuf *from, struct gobuf *to, struct gobuf *g0, void *m,
	       const uint64_t in[6], uint64_t out[6]);
__asm__(".text\n"
	".type switchregs, @function\n"
	"switchregs:\n"
	"	push %rbp\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	"	push %r9\n"
	"	mov 0(%r8), %rbx\n"
	"	mov 8(%r8), %rbp\n"
	"	mov 16(%r8), %r12\n"
	"	mov 24(%r8), %r13\n"
	"	mov 32(%r8), %r14\n"
	"	mov 40(%r8), %r15\n"
	"	call gswitch\n"
	"	pop %r9\n"
	"	mov %rbx, 0(%r9)\n"
	"	mov %rbp, 8(%r9)\n"
	"	mov %r12, 16(%r9)\n"
	"	mov %r13, 24(%r9)\n"
	"	mov %r14, 32(%r9)\n"
	"	mov %r15, 40(%r9)\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	"	ret\n"
	".size switchregs, .-switchregs\n");

enum { ROUNDS = 1000 };
static uint64_t seen[2][6];
static int wrong;

static void draw(uint64_t v[6], uint32_t *seed)
{
	for (int i = 0; i < 6; i++)
		v[i] = (uint64_t)rnd(seed) << 32 | rnd(seed);
}

static void regsctx(RESUMED)
{
	uint32_t seed = 1234;

	for (;;) {
		uint64_t in[6];

		draw(in, &seed);
		switchregs(&ctx[0], &home, &home, M2, in, seen[0]);
		wrong += memcmp(in, seen[0], sizeof(in)) != 0;
	}
}

Test(gswitch, callee_saved_registers, .timeout = 20)
{
	uint32_t seed = 77;

	make(0, regsctx);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t in[6];

		draw(in, &seed);
		cr_assert_eq(switchregs(&home, &ctx[0], &home, M1, in, seen[1]),
			     0);
		cr_assert_arr_eq(in, seen[1], sizeof(in));
	}
	cr_assert_eq(wrong, 0);
}

/* ---- floating-point control words ---------------------------------------- */

struct fp {
	uint32_t mxcsr;
	uint16_t cw;
};

static struct fp getfp(void)
{
	struct fp f;

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(f.mxcsr), "=m"(f.cw));
	return f;
}

static void setfp(struct fp f)
{
	__asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(f.mxcsr), "m"(f.cw));
}

/* Rounding 0..3 in both units; sse and x87 apart, to tell them apart. */
static struct fp rounding(unsigned sse, unsigned x87)
{
	return (struct fp){ 0x1f80 | sse << 13, (uint16_t)(0x37f | x87 << 10) };
}

static bool same(struct fp a, struct fp b)
{
	return a.mxcsr == b.mxcsr && a.cw == b.cw;
}

static struct fp first[2];

static void fpctx0(RESUMED)
{
	first[0] = getfp();
	for (unsigned i = 0;; i++) {
		struct fp mine = rounding(i % 4, i / 4 % 4);

		setfp(mine);
		back(0);
		wrong += !same(getfp(), mine);
	}
}

static void fpctx1(RESUMED)
{
	first[1] = getfp();
	for (;;)
		back(1);
}

Test(gswitch, fp_control_words, .timeout = 20)
{
	struct fp dflt = getfp();
	int bad = 0;

	cr_assert(same(dflt, rounding(0, 0)));
	setfp(rounding(2, 1));
	make(0, fpctx0);
	setfp(dflt);
	make(1, fpctx1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct fp mine = rounding(i / 16 % 4, i / 64 % 4);

		setfp(mine);
		to(0);
		bad += !same(getfp(), mine);
		to(1);
		bad += !same(getfp(), mine);
	}
	setfp(dflt);
	cr_assert_eq(bad, 0, "the test's own were changed");
	cr_assert_eq(wrong, 0, "the context's own were changed");
	cr_assert(same(first[0], rounding(2, 1)), "as its creator's were");
	cr_assert(same(first[1], dflt), "not as the last context's");
}

/* What the words are for: two contexts round a third of one differently. */
static volatile double one = 1, three = 3;
static double third[2];

static void roundsup(RESUMED)
{
	setfp(rounding(2, 2)); /* upward */
	for (;;) {
		third[0] = one / three;
		back(0);
	}
}

Test(gswitch, rounding, .timeout = 20)
{
	make(0, roundsup);
	for (int i = 0; i < 3; i++) {
		to(0);
		third[1] = one / three;
		cr_assert_gt(third[0], third[1]);
		cr_assert_eq(getfp().mxcsr >> 13 & 3, 0u);
	}
}

/* ---- what the switch writes and leaves alone ----------------------------- */

static uint32_t oncpuinside[2];
static void *minside;

static void looks(RESUMED)
{
	for (;;) {
		oncpuinside[0] = ctx[0].oncpu;
		oncpuinside[1] = home.oncpu;
		minside = ctx[0].m;
		back(0);
	}
}

Test(gswitch, oncpu_and_m, .timeout = 20)
{
	sigset_t before, after;

	make(0, looks);
	cr_assert_eq(ctx[0].oncpu, 0u);
	cr_assert_null(ctx[0].m);
	cr_assert_eq(ctx[0].fs, gettp());
	sigemptyset(&before);
	sigaddset(&before, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = 77;
	for (int i = 0; i < 3; i++) {
		void *m = (char *)M1 + i;

		cr_assert_eq(gswitch(&home, &ctx[0], &home, m), 0);
		cr_assert_eq(oncpuinside[0], 1u);
		cr_assert_eq(oncpuinside[1], 0u, "the test was left");
		cr_assert_eq(minside, m);
		cr_assert_eq(home.m, M2);
		cr_assert_eq(home.oncpu, 1u);
		cr_assert_eq(ctx[0].oncpu, 0u);
		cr_assert_eq(ctx[0].m, m, "who leaves does not write it");
	}
	cr_assert_eq(errno, 77);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	cr_assert_eq(memcmp(&before, &after, 8), 0);
}

static bool ran;

static void runs(RESUMED)
{
	ran = true;
	for (;;)
		back(0);
}

/* The target is still being left: g0, here the test itself, goes on instead. */
Test(gswitch, busy_target, .timeout = 20)
{
	make(0, runs);
	ctx[0].oncpu = 1;
	cr_assert_eq(to(0), 1);
	cr_assert(!ran);
	cr_assert_eq(ctx[0].oncpu, 1u, "not ours to change");
	cr_assert_null(ctx[0].m);
	cr_assert_eq(home.oncpu, 1u);
	ctx[0].oncpu = 0;
	cr_assert_eq(to(0), 0);
	cr_assert(ran);
}

static int direct = -1;
static bool came;

static void goesdirect(RESUMED)
{
	direct = gswitch(&ctx[0], &ctx[1], &home, M1);
	for (;;)
		back(0);
}

static void arrives(RESUMED)
{
	came = true;
	for (;;)
		back(1);
}

/* From one context straight to another that is busy: the one that left g0 gets
 * 1, the one that wanted to switch gets 0 once it is resumed. */
Test(gswitch, busy_target_of_a_direct_switch, .timeout = 20)
{
	make(0, goesdirect);
	make(1, arrives);
	ctx[1].oncpu = 1;
	cr_assert_eq(to(0), 1);
	cr_assert_eq(direct, -1);
	cr_assert_eq(ctx[0].oncpu, 0u, "it is saved all the same");
	cr_assert_eq(home.oncpu, 1u);
	cr_assert_eq(home.m, M1);
	ctx[1].oncpu = 0;
	cr_assert_eq(to(1), 0);
	cr_assert(came);
	cr_assert_eq(to(0), 0);
	cr_assert_eq(direct, 0);
}

static int entered[2] = { -1, -1 };

static void isentered(int resumed)
{
	entered[0] = resumed;
	for (;;)
		back(0);
}

static void isfallenbackto(int resumed)
{
	entered[1] = resumed;
	for (;;)
		back(2);
}

static void fallsback(RESUMED)
{
	for (;;)
		direct = gswitch(&ctx[3], &ctx[1], &ctx[2], M2);
}

/* A g0 that never ran has no call that could return 1: its function is told. */
Test(gswitch, busy_target_and_a_fresh_g0, .timeout = 20)
{
	make(0, isentered);
	make(1, arrives);
	make(2, isfallenbackto);
	make(3, fallsback);
	cr_assert_eq(to(0), 0);
	cr_assert_eq(entered[0], 0);
	ctx[1].oncpu = 1;
	cr_assert_eq(to(3), 0);
	cr_assert_eq(entered[1], 1);
	cr_assert(!came);
	cr_assert_eq(ctx[2].m, M2);
	cr_assert_eq(ctx[3].oncpu, 0u);
	ctx[1].oncpu = 0;
	cr_assert_eq(to(3), 0);
	cr_assert(came);
	cr_assert_eq(direct, 0);
}

Test(gswitch, direct, .timeout = 20)
{
	make(0, goesdirect);
	make(1, arrives);
	/* 0 goes to 1 directly, 1 comes back here */
	cr_assert_eq(to(0), 0);
	cr_assert(came);
	cr_assert_eq(direct, -1);
	cr_assert_eq(ctx[1].m, M1);
}

/* ---- a new context's stack ----------------------------------------------- */

static uintptr_t frame;

static void showsframe(RESUMED)
{
	frame = (uintptr_t)__builtin_frame_address(0);
	for (;;)
		back(0);
}

Test(gswitch, new_stack, .timeout = 20)
{
	for (uintptr_t off = 0; off < 64; off++) {
		uintptr_t hi = (uintptr_t)stacks[0] + STACK - off;
		char above[64];

		memset(stacks[0] + STACK - 64, 0x5a, 64);
		memcpy(above, (char *)hi, off);
		gobufinit(&ctx[0], hi, gettp(), showsframe);
		cr_assert_eq(ctx[0].oncpu, 0u);
		to(0);
		cr_assert_eq(frame % 16, 0u, "hi was %lu bytes lower", off);
		cr_assert_lt(frame, hi);
		cr_assert_gt(frame, hi - 512);
		cr_assert_eq(memcmp(above, (char *)hi, off), 0,
			     "wrote above the stack");
	}
}

static int frames;
static bool found;
static _Unwind_Reason_Code unwound;

static void unwinds(RESUMED);

static _Unwind_Reason_Code count(struct _Unwind_Context *c, void *arg)
{
	(void)arg;
	if (_Unwind_FindEnclosingFunction((void *)_Unwind_GetIP(c)) ==
	    (void *)unwinds)
		found = true;
	return ++frames < 1000 ? _URC_NO_REASON : _URC_NORMAL_STOP;
}

static void unwinds(RESUMED)
{
	unwound = _Unwind_Backtrace(count, NULL);
	for (;;)
		back(0);
}

/* An exception or a cancellation unwinds to the end of a G's stack: there has
 * to be one, and nothing strange on the way. */
Test(gswitch, unwinding_ends, .timeout = 20)
{
	memset(stacks[0], 0xa5, STACK);
	make(0, unwinds);
	to(0);
	cr_assert_eq(unwound, _URC_END_OF_STACK);
	cr_assert(found);
	cr_assert_leq(frames, 3);
	cr_assert_geq(frames, 1);
}

/* ---- another thread pointer ---------------------------------------------- */

static uintptr_t tpinside[4];

NOTLS static void tells(int i)
{
	for (;;) {
		tpinside[i] = gettp();
		gswitch(&ctx[i], &home, &home, M2);
	}
}

NOTLS static void tells0(RESUMED)
{
	tells(0);
}

NOTLS static void tells1(RESUMED)
{
	tells(1);
}

static void otherfs(void)
{
	uintptr_t mine = gettp();

	gobufinit(&ctx[0], (uintptr_t)stacks[0] + STACK, (uintptr_t)&tcbs[0],
		  tells0);
	gobufinit(&ctx[1], (uintptr_t)stacks[1] + STACK, (uintptr_t)&tcbs[1],
		  tells1);
	errno = 77;
	for (int i = 0; i < ROUNDS; i++) {
		tpinside[0] = tpinside[1] = 0;
		cr_assert_eq(to(0), 0);
		cr_assert_eq(gettp(), mine);
		cr_assert_eq(to(1), 0);
		cr_assert_eq(gettp(), mine);
		cr_assert_eq(tpinside[0], (uintptr_t)&tcbs[0]);
		cr_assert_eq(tpinside[1], (uintptr_t)&tcbs[1]);
	}
	/* g0 has its own, too: the fall-back has to load it */
	ctx[0].oncpu = 1;
	cr_assert_eq(to(0), 1);
	cr_assert_eq(gettp(), mine);
	cr_assert_eq(errno, 77);
}

Test(gswitch, other_fs_by_instruction, .timeout = 20)
{
	if (!asm_fsgsbase)
		cr_skip("this processor or kernel has no wrfsbase");
	otherfs();
}

Test(gswitch, other_fs_by_system_call, .timeout = 20)
{
	asm_fsgsbase = 0;
	otherfs();
}

NOTLS static void goesdirectfs(RESUMED)
{
	for (;;) {
		tpinside[0] = gettp();
		/* the return value must survive the system call */
		direct = gswitch(&ctx[0], &ctx[1], &home, M1);
	}
}

static void busyfs(void)
{
	uintptr_t mine = gettp();

	gobufinit(&ctx[0], (uintptr_t)stacks[0] + STACK, (uintptr_t)&tcbs[0],
		  goesdirectfs);
	gobufinit(&ctx[1], (uintptr_t)stacks[1] + STACK, (uintptr_t)&tcbs[1],
		  tells1);
	for (int i = 0; i < 100; i++) {
		ctx[1].oncpu = 1;
		cr_assert_eq(to(0), 1);
		cr_assert_eq(gettp(), mine);
		ctx[1].oncpu = 0;
		cr_assert_eq(to(0), 0);
		cr_assert_eq(direct, 0);
		cr_assert_eq(tpinside[1], (uintptr_t)&tcbs[1]);
	}
}

Test(gswitch, busy_target_other_fs_by_instruction, .timeout = 20)
{
	if (!asm_fsgsbase)
		cr_skip("this processor or kernel has no wrfsbase");
	busyfs();
}

Test(gswitch, busy_target_other_fs_by_system_call, .timeout = 20)
{
	asm_fsgsbase = 0;
	busyfs();
}

/* In a child where arch_prctl kills: 42 if a switch did without. */
struct trial {
	uint32_t fsgsbase;
	uintptr_t fs;
};

static int switchesonce(void *arg)
{
	const struct trial *t = arg;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_arch_prctl, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { COUNT(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return 41;
	asm_fsgsbase = t->fsgsbase;
	gobufinit(&ctx[0], (uintptr_t)stacks[0] + STACK, t->fs, tells0);
	to(0);
	return tpinside[0] == t->fs ? 42 : 40;
}

Test(gswitch, fs_is_left_alone_if_equal, .timeout = 20)
{
	struct trial equal = { 0, gettp() };
	struct trial other = { 0, (uintptr_t)&tcbs[0] };
	int end = inchild(switchesonce, &equal);

	if (end == 1041)
		cr_skip("no seccomp filters here");
	cr_assert_eq(end, 1042);
	cr_assert_eq(inchild(switchesonce, &other), SIGSYS);
	if (asm_fsgsbase) {
		other.fsgsbase = 1;
		cr_assert_eq(inchild(switchesonce, &other), 1042);
	}
}

/* ---- two kernel threads -------------------------------------------------- */

/* Contexts that put themselves on a queue and only then leave their stack: the
 * other thread takes them off at once, and gswitch has to wait for the rest. */
enum { NCTX = 4, HOPS = 100000 };
static struct mutex qlock;
static int queue[NCTX], nqueue; /* guarded by qlock */
static struct gobuf g0s[2];
static uint32_t hops[NCTX], moves[NCTX];
static uint32_t fallbacks, ended, badtp, badm;

NOTLS static void push(int i)
{
	lock(&qlock);
	queue[nqueue++] = i;
	unlock(&qlock);
}

NOTLS static void hop(int i)
{
	struct gobuf *was = NULL;

	/* on a busy machine one thread may have done all of them alone */
	while (hops[i] < HOPS || moves[i] < 2) {
		/* who runs us; ours to read until the switch is over */
		struct gobuf *g0 = ctx[i].m;

		if (gettp() != (uintptr_t)&tcbs[i])
			xadd(&badtp, 1);
		if (g0 != &g0s[0] && g0 != &g0s[1])
			xadd(&badm, 1);
		moves[i] += g0 != was;
		was = g0;
		hops[i]++;
		push(i);
		gswitch(&ctx[i], g0, g0, g0);
	}
	xadd(&ended, 1);
	gswitch(&ctx[i], ctx[i].m, ctx[i].m, ctx[i].m);
}

NOTLS static void hop0(RESUMED)
{
	hop(0);
}

NOTLS static void hop1(RESUMED)
{
	hop(1);
}

NOTLS static void hop2(RESUMED)
{
	hop(2);
}

NOTLS static void hop3(RESUMED)
{
	hop(3);
}

static void *hosts(void *arg)
{
	struct gobuf *g0 = arg;

	g0->fs = gettp();
	g0->oncpu = 1;
	while (load_acquire(&ended) < NCTX) {
		int i = -1;

		lock(&qlock);
		if (nqueue > 0) {
			i = queue[0];
			nqueue--;
			memmove(queue, queue + 1, (size_t)nqueue * sizeof(int));
		}
		unlock(&qlock);
		if (i < 0) {
			usleep_raw(1);
		} else if (gswitch(g0, &ctx[i], g0, g0)) {
			xadd(&fallbacks, 1);
			push(i);
		}
	}
	return NULL;
}

static void migrate(void)
{
	static void (*const fns[NCTX])(int) = { hop0, hop1, hop2, hop3 };
	pthread_t t[2];

	for (int i = 0; i < NCTX; i++) {
		gobufinit(&ctx[i], (uintptr_t)stacks[i] + STACK,
			  (uintptr_t)&tcbs[i], fns[i]);
		push(i);
	}
	for (int i = 0; i < 2; i++)
		t[i] = spawn(hosts, &g0s[i]);
	for (int i = 0; i < 2; i++)
		join(t[i]);
	cr_assert_eq(badtp, 0u);
	cr_assert_eq(badm, 0u);
	for (int i = 0; i < NCTX; i++) {
		cr_assert_geq(hops[i], (uint32_t)HOPS);
		cr_assert_eq(ctx[i].oncpu, 0u);
	}
}

Test(gswitch, migrates_while_being_left, .timeout = 120)
{
	if (!asm_fsgsbase)
		cr_skip("this processor or kernel has no wrfsbase");
	migrate();
}

Test(gswitch, migrates_by_system_call, .timeout = 120)
{
	asm_fsgsbase = 0;
	migrate();
}
