/* stack.c - stacks: sizes, places, guards of either kind, memory given back. */
#include "test/unit/unit.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>

#define KiB 1024ul
#define MiB (1024 * KiB)
#define GiB (1024 * MiB)

enum { MANY = 40000 };
static struct g *gs;
static int probe[2];

static void setup(void)
{
	gs = newgs(MANY);
	cr_assert_eq(pipe(probe), 0);
}

TestSuite(stack, .init = setup);

/* Whether the byte at a can be read, without a fault. */
static bool readable(uintptr_t a)
{
	char c;

	if (write(probe[1], (void *)a, 1) != 1)
		return false;
	return read(probe[0], &c, 1) == 1;
}

static size_t slotof(struct g *gp)
{
	return 1ul << (CLASS0 + gp->class);
}

/* All of a fresh stack reads 0 and can be written, its guard cannot be read. */
static bool sound(struct g *gp)
{
	for (uintptr_t a = gp->guardlo; a < gp->stacklo; a += PAGE)
		if (readable(a) || readable(a + PAGE - 1))
			return false;
	for (uintptr_t a = gp->stacklo; a < gp->stackhi; a += PAGE) {
		volatile char *p = (char *)a;

		if (!readable(a) || p[0] || p[PAGE - 1])
			return false;
		p[0] = p[PAGE - 1] = 1;
	}
	return true;
}

static void check(struct g *gp, size_t size, size_t guard)
{
	size_t slot = slotof(gp);

	cr_assert_geq(slot, size);
	cr_assert(gp->class == 0 || slot / 2 < size, "class %d for %lu",
		  gp->class, size);
	/* no larger than was asked for */
	cr_assert_eq(gp->guardlo, gp->slot + ((slot - size) & -PAGE));
	cr_assert_eq(gp->stacklo, gp->guardlo + guard);
	cr_assert_eq(gp->stackhi, gp->slot + slot);
	cr_assert_eq(gp->guard, guard);
	cr_assert_eq(gp->flags, 0u);
}

Test(stack, sizes, .timeout = 20)
{
	static const size_t sizes[] = {
		1,	     16 * KiB, 32 * KiB, 32 * KiB + 1, 48 * KiB,
		64 * KiB,    1 * MiB,  2 * MiB,	 2 * MiB + 1,  8 * MiB,
		8 * MiB - 1, 64 * MiB, 1 * GiB,
	};

	for (size_t i = 0; i < COUNT(sizes); i++)
		for (int k = 0; k < 3; k++) {
			struct g *gp = &gs[3 * i + (size_t)k];

			cr_assert(stackalloc(gp, sizes[i], PAGE));
			check(gp, sizes[i], PAGE);
			/* an odd number of pages on, in the same region */
			if (k && gp->slot - gp[-1].slot < 2 * slotof(gp))
				cr_assert_eq(gp->slot - gp[-1].slot,
					     slotof(gp) + PAGE);
		}
	cr_assert_eq(gs[0].class, 0);
	cr_assert_eq(gs[3 * 3].class, 1);
	for (size_t i = 0; i < 3 * 6; i++)
		cr_assert(sound(&gs[i]));
}

/* What a thread always touches, the top of its stack, and the next one's guard have a page of
 * page tables together, but where the tops have moved on by one such page. */
Test(stack, page_tables, .timeout = 20)
{
	enum { N = 1000 };
	int apart = 0;

	for (int i = 0; i < N; i++)
		cr_assert(stackalloc(&gs[i], 8 * MiB, PAGE));
	for (int i = 1; i < N; i++)
		apart += (gs[i - 1].stackhi - 1) / (2 * MiB) !=
			 gs[i].guardlo / (2 * MiB);
	cr_assert_leq(apart, 2 * N * PAGE / (2 * MiB) + 2);
}

/* Slots of a class lie one after the other and never on another. */
Test(stack, no_overlap, .timeout = 60)
{
	uint32_t seed = 2;

	for (int i = 0; i < 600; i++) {
		cr_assert(stackalloc(&gs[i], 1ul << (15 + rnd(&seed) % 5),
				     PAGE));
		memset((char *)gs[i].stackhi - 64, i % 251, 64);
		memset((char *)gs[i].stacklo, i % 251, 64);
	}
	for (int i = 0; i < 600; i++)
		for (int k = 0; k < 64; k++) {
			cr_assert_eq(((unsigned char *)gs[i].stackhi)[-1 - k],
				     i % 251);
			cr_assert_eq(((unsigned char *)gs[i].stacklo)[k],
				     i % 251);
		}
	for (int i = 0; i < 600; i++)
		for (int k = 0; k < i; k++)
			cr_assert(gs[i].stackhi <= gs[k].slot ||
				  gs[k].stackhi <= gs[i].slot);
}

/* Past the slots opened at first and past the first region. */
Test(stack, regions, .timeout = 60)
{
	/* a region of 32 KiB slots has 4096 */
	for (int i = 0; i < 9000; i++) {
		cr_assert(stackalloc(&gs[i], 32 * KiB, PAGE));
		check(&gs[i], 32 * KiB, PAGE);
		*(volatile char *)gs[i].stacklo = 1;
		*(volatile char *)(gs[i].stackhi - 1) = 1;
	}
	for (int i = 0; i < 9000; i += 97)
		cr_assert(!readable(gs[i].slot));
}

Test(stack, too_much, .timeout = 20)
{
	cr_assert(!stackalloc(&gs[0], SIZE_MAX / 4, PAGE));
	cr_assert(!stackalloc(&gs[0], 1ul << 47, PAGE));
	cr_assert(!stackalloc(&gs[0], (1ul << 47) + 1, PAGE));
	/* it goes on, and holds no lock */
	cr_assert(stackalloc(&gs[0], 64 * KiB, PAGE));
	cr_assert(sound(&gs[0]));
}

/* With little address space left a region is as small as it has to be. */
static int tight(void *arg)
{
	struct rlimit lim = { GiB, GiB };

	(void)arg;
	if (setrlimit(RLIMIT_AS, &lim))
		return 1;
	/* a region would be 32 GiB */
	for (int i = 0; i < 3; i++) {
		if (!stackalloc(&gs[i], 8 * MiB, PAGE))
			return 2;
		if (!sound(&gs[i]))
			return 3;
	}
	return 0;
}

Test(stack, little_address_space, .timeout = 20)
{
#ifdef __SANITIZE_ADDRESS__
	cr_skip("the sanitizer's own shadow is larger");
#endif
	cr_assert_eq(inchild(tight, NULL), 1000);
}

/* ---- guards -------------------------------------------------------------- */

static int writes(void *arg)
{
	*(volatile char *)arg = 1;
	return 7;
}

static int stores(uintptr_t a)
{
	return inchild(writes, (void *)a);
}

Test(stack, guard_faults, .timeout = 20)
{
	struct g *gp = &gs[0];

	for (int i = 0; i < 3; i++)
		cr_assert(stackalloc(&gs[i], 64 * KiB, PAGE));
	cr_assert_eq(stores(gp->slot), SIGSEGV);
	cr_assert_eq(stores(gp->slot + PAGE - 1), SIGSEGV);
	cr_assert_eq(stores(gp->slot + PAGE), 1007);
	cr_assert_eq(stores(gp->stackhi - 1), 1007);
	/* the next slot's guard */
	cr_assert_eq(stores(gp->stackhi + PAGE), SIGSEGV);
}

static int guardsizes(void *arg)
{
	static const size_t guards[] = { 4 * KiB, 8 * KiB, 64 * KiB,
					 128 * KiB, 252 * KiB };

	(void)arg;
	for (size_t i = 0; i < COUNT(guards); i++)
		if (!stackalloc(&gs[i], 256 * KiB, guards[i]) ||
		    gs[i].stacklo != gs[i].slot + guards[i] ||
		    gs[i].flags || !sound(&gs[i]))
			return (int)i + 1;
	return 0;
}

static bool guardis(struct g *gp, size_t guard)
{
	if (gp->guard != guard || gp->stacklo != gp->slot + guard)
		return false;
	for (size_t o = 0; o < 128 * KiB; o += PAGE) {
		if (readable(gp->slot + o) != (o >= guard))
			return false;
		if (o >= guard)
			*(volatile char *)(gp->slot + o) = 3;
	}
	return true;
}

static int guardchanges(void *arg)
{
	static const size_t guards[] = { 16 * KiB, 16 * KiB, 4 * KiB, 64 * KiB,
					 8 * KiB, 4 * KiB };
	struct g *gp = &gs[0];

	(void)arg;
	if (!stackalloc(gp, 256 * KiB, PAGE) || !guardis(gp, PAGE))
		return 1;
	/* the neighbours' are not touched */
	if (!stackalloc(&gs[1], 256 * KiB, PAGE))
		return 2;
	for (size_t i = 0; i < COUNT(guards); i++) {
		stackguard(gp, 256 * KiB, guards[i]);
		if (!guardis(gp, guards[i]))
			return 10 + (int)i;
	}
	return guardis(&gs[1], PAGE) ? 0 : 3;
}

/* The kernel before 6.13: madvise knows no guards. */
static int withoutmadvise(void *arg)
{
	int (*fn)(void *) = (int (*)(void *))arg;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 102, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { COUNT(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) ||
	    madvise((void *)-PAGE, PAGE, 102) == 0 || errno != EINVAL)
		return 200;
	return fn(NULL);
}

static void bothways(int (*fn)(void *))
{
	int end = inchild(withoutmadvise, (void *)fn);

	cr_assert_eq(inchild(fn, NULL), 1000);
	if (end == 1200)
		cr_skip("no seccomp filters here");
	cr_assert_eq(end, 1000, "by mprotect: %d", end);
}

Test(stack, guard_sizes, .timeout = 20)
{
	bothways(guardsizes);
}

Test(stack, guard_changes, .timeout = 20)
{
	bothways(guardchanges);
}

static int overflows(void *arg)
{
	(void)arg;
	if (!stackalloc(&gs[0], 64 * KiB, PAGE))
		return 1;
	*(volatile char *)(gs[0].slot + PAGE) = 1;
	*(volatile char *)(gs[0].slot + PAGE - 1) = 1;
	return 2;
}

Test(stack, guard_by_mprotect_faults, .timeout = 20)
{
	int end = inchild(withoutmadvise, (void *)overflows);

	if (end == 1200)
		cr_skip("no seccomp filters here");
	cr_assert_eq(end, SIGSEGV);
	cr_assert_eq(inchild(overflows, NULL), SIGSEGV);
}

/* ---- many ---------------------------------------------------------------- */

static int vmas(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int n = 0;

	for (int c; (c = getc(f)) != EOF;)
		n += c == '\n';
	fclose(f);
	return n;
}

static bool kernelguards(void)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return madvise(p, PAGE, 102) == 0;
}

Test(stack, many, .timeout = 60)
{
	int before;

	if (!kernelguards())
		cr_skip("this kernel's madvise makes no guards");
	before = vmas();
	for (int i = 0; i < MANY; i++) {
		cr_assert(stackalloc(&gs[i], 64 * KiB, PAGE));
		cr_assert_eq(gs[i].flags, 0u);
	}
	/* two a stack as far as threads have them natively, then a few a region */
	cr_assert_leq(vmas() - before, 2 * 1000 + 100);
	for (int i = 0; i < MANY; i += 1 + i % 13) {
		cr_assert(!readable(gs[i].slot));
		cr_assert(readable(gs[i].stacklo));
	}
}

/* More guards than mappings are allowed: the rest is said once and has none. */
static int toomany(void *arg)
{
	static struct capture c;
	const char *said;
	int guarded = 0, n = 20000;

	(void)arg;
	begincapture(&c);
	for (int i = 0; i < n; i++) {
		if (!stackalloc(&gs[i], 64 * KiB, PAGE)) {
			endcapture(&c);
			return 1;
		}
		if (gs[i].flags == 0)
			guarded++;
		else if (gs[i].flags != GF_UNGUARDED)
			return 2;
	}
	said = endcapture(&c);
	if (guarded < 1000 || guarded == n)
		return 3;
	for (int i = 0; i < n; i++) {
		if ((gs[i].flags == 0) != (i < guarded))
			return 4;
		if (i % 37 == 0 && readable(gs[i].slot) != (i >= guarded))
			return 5;
	}
	if (lines(said) != 1 || !strstr(said, "vm.max_map_count"))
		return 6;
	/* half of the mappings are left for the program */
	if (vmas() > 65530 / 2 + 1000)
		return 7;
	/* a change of guard leaves an unguarded stack whole */
	stackguard(&gs[n - 1], 64 * KiB, 16 * KiB);
	if (gs[n - 1].stacklo != gs[n - 1].slot + 16 * KiB ||
	    !readable(gs[n - 1].slot))
		return 8;
	/* and its low end is watched instead: untouched is fine */
	*(volatile char *)(gs[n - 1].stacklo + 8) = 1;
	stackcheck(&gs[n - 1]);
	/* a guarded one never is: its word may hold anything */
	*(volatile char *)gs[0].stacklo = 1;
	stackcheck(&gs[0]);
	return 0;
}

Test(stack, more_than_mappings, .timeout = 60)
{
	int end = inchild(withoutmadvise, (void *)toomany);

	if (end == 1200)
		cr_skip("no seccomp filters here");
	cr_assert_eq(end, 1000, "%d", end);
}

static int tramples(void *arg)
{
	struct capture c;
	const char *said;

	(void)arg;
	if (!stackalloc(&gs[0], 64 * KiB, PAGE))
		return 1;
	gs[0].id = 4711;
	gs[0].flags |= GF_UNGUARDED;
	stackcheck(&gs[0]);
	*(volatile uint64_t *)gs[0].stacklo = 1;
	/* on the application's own stack there is nothing of ours to check */
	gs[0].userstack = 1;
	stackcheck(&gs[0]);
	gs[0].userstack = 0;
	/* the message is checked by a child of this child */
	begincapture(&c);
	if (fork() == 0)
		stackcheck(&gs[0]);
	wait(NULL);
	said = endcapture(&c);
	if (lines(said) != 1 || !strstr(said, "overflow in thread 4711"))
		return 2;
	begincapture(&c);
	stackcheck(&gs[0]);
	return 3;
}

Test(stack, canary, .timeout = 20)
{
	cr_assert_eq(inchild(tramples, NULL), SIGABRT);
}

/* ---- giving back --------------------------------------------------------- */

static bool resident(uintptr_t a)
{
	unsigned char v = 0;

	cr_assert_eq(mincore((void *)a, PAGE, &v), 0);
	return v & 1;
}

Test(stack, free_returns_the_pages, .timeout = 20)
{
	struct g *gp = &gs[0];

	cr_assert(stackalloc(gp, 256 * KiB, PAGE));
	/* an identity of a page and a half at the top */
	gp->idlo = gp->stackhi - PAGE - PAGE / 2;
	memset((char *)gp->stacklo, 9, gp->stackhi - gp->stacklo);
	for (uintptr_t a = gp->stacklo; a < gp->stackhi; a += PAGE)
		cr_assert(resident(a));
	stackfree(gp);
	for (uintptr_t a = gp->stacklo; a < gp->stackhi - 2 * PAGE; a += PAGE)
		cr_assert(!resident(a));
	for (uintptr_t a = gp->idlo; a < gp->stackhi; a++)
		cr_assert_eq(*(char *)a, 9, "the identity stays");
	cr_assert(!readable(gp->slot), "the guard stays");
	/* and the rest is as good as new */
	for (uintptr_t a = gp->stacklo; a < gp->stackhi - 2 * PAGE; a++)
		cr_assert_eq(*(char *)a, 0);
	/* nothing between the guard and the identity: nothing to do */
	gp->stacklo = gp->stackhi - 2 * PAGE;
	stackfree(gp);
	cr_assert_eq(*(char *)gp->idlo, 9);
}

/* ---- core's own memory --------------------------------------------------- */

enum { THREADS = 4, PIECES = 3000 };
static struct {
	unsigned char *p;
	size_t n;
} pieces[THREADS][PIECES];
static bool strange;

static void *allocates(void *arg)
{
	uintptr_t me = (uintptr_t)arg;
	uint32_t seed = (uint32_t)me + 1;

	for (int i = 0; i < PIECES; i++) {
		size_t n = 1 + rnd(&seed) % (i % 100 ? 500 : 400000);
		unsigned char *p = persistentalloc(n);

		if (!p || (uintptr_t)p % 64) {
			WRITE_ONCE(strange, true);
			return NULL;
		}
		for (size_t k = 0; k < n; k++)
			if (p[k])
				WRITE_ONCE(strange, true);
		memset(p, (int)me + 1, n);
		pieces[me][i].p = p;
		pieces[me][i].n = n;
	}
	return NULL;
}

Test(stack, persistentalloc, .timeout = 60)
{
	pthread_t t[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		t[i] = spawn(allocates, (void *)i);
	for (int i = 0; i < THREADS; i++)
		join(t[i]);
	cr_assert(!strange, "not zeroed, or not on a cache line");
	for (int i = 0; i < THREADS; i++)
		for (int k = 0; k < PIECES; k++)
			for (size_t b = 0; b < pieces[i][k].n; b++)
				if (pieces[i][k].p[b] != i + 1)
					cr_assert_fail("two overlap");
	cr_assert_null(persistentalloc(1ul << 50));
	cr_assert_not_null(persistentalloc(1));
}
