/* stack.c - memory for stacks and identities, and core's own permanent objects.
 *
 * Why: a slot holds [guard | stack | identity]; its size is a power of two from
 *      32 KiB. Slots of a class come from regions that are reserved PROT_NONE and
 *      opened 64 slots or 16 MiB at a time, later an eighth of what there is: to open
 *      costs, and mlockall populates all that is readable.
 *      A region starts 16 pages past a 2 MiB boundary, so that
 *      the top of a slot (always used) and the guard of the next share a
 *      page-table page: 4 KiB less a parked G at 8 MiB stacks.
 *      From slot to slot it is an odd number of pages: TLBs choose a set by the lowest bits
 *      of a page's number, or those exclusive-or the next; with round numbers few sets
 *      would hold all tops (a semaphore's ring of 1,000 stacks of 8 MiB: 84 ns a hop, with
 *      8 pages more than the power of two 116).
 *      The guard is below the stack that was asked for, so that it is no larger than
 *      natively; what the slot has below the guard is never touched.
 * Guards: the first MAPPED are mappings of their own, no more than threads have natively:
 *      a debugger that writes a core file gives a mapping up at a page that it cannot
 *      read. Then MADV_GUARD_INSTALL (Linux 6.13) splits no mapping. Elsewhere mprotect
 *      does, and every guard costs two of vm.max_map_count; when half of those are
 *      used, further stacks have no guard, which is said once, and a canary word
 *      at their low end is checked whenever they are switched to.
 * Locks: stacklock, a leaf.
 */
#include "core/runtime.h"
#include <errno.h>

#define PROT_RW 3
#define MADV_NOHUGEPAGE_ 15
#define MADV_DONTNEED_ 4
#define MADV_GUARD_INSTALL_ 102
#define MADV_GUARD_REMOVE_ 103
#define HUGE (2ul << 20)
#define CHUNK 64		      /* slots opened at a time, */
/* but not more bytes, or one slot */
#define CHUNK_MAX ((16ul << 20) + CHUNK * PAGE)
#define REGION_MAX (32ul << 30)	      /* address space a region reserves at most */
#define REGION_MIN (64ul << 20)
#define MAPPED 1000
#define CANARY 0 /* untouched memory reads 0 and costs no page of its own */

static struct region {
	uintptr_t next, open, end; /* next slot, end of open part, end */
	size_t opened; /* in all, of this class */
} regions[NCLASS];
static struct mutex stacklock, permlock;
static enum { GUARD_MADVISE, GUARD_MPROTECT, GUARD_NONE } guardkind;
static uint32_t nprotected, maxprotected;

static size_t slotsize(int class)
{
	return 1ul << (CLASS0 + class);
}

/* From one slot to the next. */
static size_t stride(int class)
{
	return slotsize(class) + PAGE;
}

/* Reserve the next region of a class, smaller if the limit on address space or
 * overcommit_memory=2 wants it so. Holds stacklock. */
static bool newregion(struct region *r, size_t slot)
{
	size_t size = slot * 4096;

	if (size > REGION_MAX)
		size = REGION_MAX;
	if (size < REGION_MIN)
		size = REGION_MIN;
	for (;;) {
		size_t whole;
		uintptr_t lo;

		if (size < slot)
			size = slot;
		whole = size + 2 * HUGE;
		lo = (uintptr_t)sysreserve(whole);
		if (lo) {
			r->next = r->open =
				((lo + HUGE - 1) & -HUGE) + 16 * PAGE;
			r->end = r->next + size;
			RAW(__NR_madvise, r->next, size, MADV_NOHUGEPAGE_);
			return true;
		}
		if (size == slot)
			return false;
		size /= 4;
	}
}

static void noguards(void)
{
	guardkind = GUARD_NONE;
	print("gmp_shim: vm.max_map_count allows no more guard pages: stacks "
	      "from here on have none, overflows are found by a canary\n");
}

/* Where the guard of a stack of `size` bytes, guard included, begins in gp's slot. */
static uintptr_t guardof(const struct g *gp, size_t size)
{
	return gp->slot + ((slotsize(gp->class) - size) & -PAGE);
}

/* Make the `size` bytes from lo on fault, or mark gp as unguarded. Holds stacklock. */
static void installguard(struct g *gp, uintptr_t lo, size_t size)
{
	gp->guardlo = lo;
	gp->guard = size;
	gp->stacklo = lo + size;
	gp->flags &= ~GF_UNGUARDED;
	gp->madvguard = false;
	if (guardkind == GUARD_MADVISE && nprotected < MAPPED &&
	    RAW(__NR_mprotect, lo, size, 0) == 0) {
		nprotected++;
		return;
	}
	if (guardkind == GUARD_MADVISE) {
		if (RAW(__NR_madvise, lo, size, MADV_GUARD_INSTALL_) == 0) {
			gp->madvguard = true;
			return;
		}
		guardkind = GUARD_MPROTECT;
		maxprotected = 65530 / 4; /* the default, two mappings each */
	}
	if (guardkind == GUARD_MPROTECT) {
		if (nprotected < maxprotected &&
		    RAW(__NR_mprotect, lo, size, 0) == 0) {
			nprotected++;
			return;
		}
		noguards();
	}
	gp->flags |= GF_UNGUARDED;
}

/* The reverse. Holds stacklock. */
static void removeguard(struct g *gp)
{
	if (gp->madvguard) {
		RAW(__NR_madvise, gp->guardlo, gp->guard,
		    MADV_GUARD_REMOVE_);
	} else if (!(gp->flags & GF_UNGUARDED)) {
		RAW(__NR_mprotect, gp->guardlo, gp->guard, PROT_RW);
		nprotected--;
	}
}

/* Open the next slots of a region, of so many bytes each. Holds stacklock. */
static bool openslots(struct region *r, size_t each)
{
	size_t n = CHUNK, left = r->end - r->open;

	if (n > CHUNK_MAX / each)
		n = CHUNK_MAX / each;
	if (n < r->opened / 8 / each)
		n = r->opened / 8 / each;
	n = n ? n * each : each;
	if (n > left)
		n = left; /* the last has no other behind it */
	while (!sysopen(r->open, n)) {
		if (n <= each)
			return false;
		n = each; /* a limit on memory is near */
	}
	r->open += n;
	r->opened += n;
	return true;
}

/* Give gp a slot for a stack of `size` bytes, guard included. Sets slot, class,
 * stacklo, stackhi (the top of the slot: the identity lowers it). Any M. */
bool stackalloc(struct g *gp, size_t size, size_t guard)
{
	int class = 0;
	struct region *r;
	size_t slot, each;

	while (slotsize(class) < size)
		if (++class == NCLASS)
			return false;
	slot = slotsize(class);
	r = &regions[class];
	each = stride(class);
	lock(&stacklock);
	if (r->next + slot > r->end && !newregion(r, slot)) {
		unlock(&stacklock);
		return false;
	}
	if (r->next + slot > r->open && !openslots(r, each)) {
		unlock(&stacklock);
		return false;
	}
	gp->slot = r->next;
	r->next += each;
	gp->class = (int8_t)class;
	installguard(gp, guardof(gp, size), guard);
	unlock(&stacklock);
	gp->stackhi = gp->slot + slot;
	return true;
}

/* Make a recycled stack one of that size. The G is dead. */
void stackguard(struct g *gp, size_t size, size_t guard)
{
	uintptr_t lo = guardof(gp, size);

	if (lo == gp->guardlo && guard == gp->guard)
		return;
	lock(&stacklock);
	removeguard(gp);
	if (lo > gp->guardlo) /* what was stack before is not any more */
		RAW(__NR_madvise, gp->guardlo, lo - gp->guardlo,
		    MADV_DONTNEED_);
	installguard(gp, lo, guard);
	unlock(&stacklock);
	if (gp->flags & GF_UNGUARDED)
		*(volatile uint64_t *)gp->stacklo = CANARY;
}

/* Give the pages of a dead G's stack back, all but the identity's. */
void stackfree(struct g *gp)
{
	uintptr_t hi = gp->idlo & -PAGE;

	if (hi > gp->stacklo)
		RAW(__NR_madvise, gp->stacklo, hi - gp->stacklo,
		    MADV_DONTNEED_);
}

/* A stack without a guard page is switched to. */
void stackcheck(struct g *gp)
{
	if ((gp->flags & GF_UNGUARDED) && !gp->userstack &&
	    *(volatile uint64_t *)gp->stacklo != CANARY)
		throw("stack overflow in thread %u: its stack [%lx, %lx) has no "
		      "guard page and its low end was written",
		      gp->id, (unsigned long)gp->stacklo,
		      (unsigned long)gp->stackhi);
}

/* Zeroed memory for ever. Any thread; NULL when there is none. */
void *persistentalloc(size_t size)
{
	static char *next, *end;
	void *p = NULL;

	size = (size + 63) & -64ul;
	lock(&permlock);
	if (size > (size_t)(end - next)) {
		size_t chunk = size > 256 * 1024 ? size : 256 * 1024;

		chunk = (chunk + PAGE - 1) & -PAGE;
		next = sysalloc(chunk);
		end = next ? next + chunk : NULL;
	}
	if (next) {
		p = next;
		next += size;
	}
	unlock(&permlock);
	return p;
}

/* In a fork child: whoever held these is gone. The region of a slot that was being
 * opened may be half open: leave the rest of it. */
void stackfork(void)
{
	if (stacklock.key)
		for (int i = 0; i < NCLASS; i++)
			regions[i] = (struct region){ 0 };
	stacklock.key = 0;
	permlock.key = 0;
}
