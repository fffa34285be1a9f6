/* gs.c - Gs by number, and the pools of dead ones.
 *
 * Why: struct g is never freed, so that an id, a dump and a debugger can always
 *      find it. A dead G keeps its stack and its identity, warm: making an
 *      identity costs some microseconds, cleaning a used one some 50 ns.
 * Invariants: chunks is append-only (valid at every instant: a fork child uses it);
 *      a G in a pool is Gdead and off its stack.
 * Locks: a P's pool is its owner's; the global pools are under sched.lock.
 */
#include "core/runtime.h"

#define CHUNKG 128
#define NCHUNK (1u << 17) /* sixteen million Gs */
#define BATCH (GFREEMAX / 2)

static struct g *chunks[NCHUNK]; /* load_acquire: pairs with galloc */
static struct mutex chunklock;

/* The G of that id, NULL if there was never one. Any thread. Id 1, the main G, is
 * made when first asked for. */
struct g *gbyid(uint32_t id)
{
	struct g *chunk;

	if (id / CHUNKG >= NCHUNK)
		return NULL;
	chunk = load_acquire(&chunks[id / CHUNKG]);
	if (!chunk && id == 1) {
		lock(&chunklock);
		if (!chunks[0]) {
			chunk = persistentalloc(CHUNKG * sizeof(*chunk));
			store_release(&chunks[0], chunk);
		}
		chunk = chunks[0];
		unlock(&chunklock);
		if (chunk)
			chunk[1].id = 1;
	}
	return chunk ? &chunk[id % CHUNKG] : NULL;
}

/* The same, of this process: a fork child has its parent's Gs only in memory. */
struct g *gliving(uint32_t id)
{
	struct g *gp = gbyid(id);

	return id > sched.ghosts || gp == sched.heir ? gp : NULL;
}

/* A G that never was, with a number of its own. NULL: no memory. Any thread. */
struct g *galloc(void)
{
	struct g *chunk, *gp;
	uint32_t id;

	id = xadd(&sched.idgen, 1) + 2; /* 0 is nobody, 1 main */
	if (id / CHUNKG >= NCHUNK)
		return NULL;
	chunk = load_acquire(&chunks[id / CHUNKG]);
	if (!chunk) {
		lock(&chunklock);
		chunk = chunks[id / CHUNKG];
		if (!chunk) {
			chunk = persistentalloc(CHUNKG * sizeof(*chunk));
			store_release(&chunks[id / CHUNKG], chunk);
		}
		unlock(&chunklock);
		if (!chunk)
			return NULL;
	}
	gp = &chunk[id % CHUNKG];
	gp->id = id;
	gp->class = -1;
	return gp;
}

static int classof(size_t size)
{
	int class = size > 1 ? 64 - __builtin_clzl(size - 1) - CLASS0 : 0;

	return class < 0 ? 0 : class;
}

/* The class that pthread_create without attributes asks for: the one a P pools. */
static int defaultclass(void)
{
	static int class = -1;

	if (unlikely(class < 0))
		class = classof((size_t)options.stack);
	return class;
}

/* A dead G of the global pools, a warm one if there is one. Holds sched.lock. */
static struct g *globget(int class)
{
	struct g **list = sched.gfree[class] ? &sched.gfree[class] :
					       &sched.gcold[class];
	struct g *gp = *list;

	if (gp) {
		*list = gp->schedlink;
		sched.nglist[class]--;
	}
	return gp;
}

static void globput(struct g **list, struct g *gp)
{
	gp->schedlink = *list;
	*list = gp;
	sched.nglist[gp->class]++;
}

/* A P goes away, or has nothing to do: its pool to the global one. Holds sched.lock. */
void gfreeflush(struct p *pp)
{
	while (pp->gfree) {
		struct g *gp = pp->gfree;

		pp->gfree = gp->schedlink;
		globput(&sched.gfree[gp->class], gp);
	}
	pp->ngfree = 0;
}

/* Give the pages of some pooled stacks back to the kernel. Only the identity of a
 * pooled G stays in memory. sysmon, while little else happens. False: nothing left. */
bool gscavenge(void)
{
	lock(&sched.lock);
	for (uint32_t i = 0; i < sched.gomaxprocs; i++)
		if (allp[i]->status == Pidle)
			gfreeflush(allp[i]);
	unlock(&sched.lock);
	for (int class = 0; class < NCLASS; class++) {
		struct g *batch = NULL, *gp;

		if (!READ_ONCE(sched.gfree[class]))
			continue;
		lock(&sched.lock);
		for (int n = 0; n < 512 && sched.gfree[class]; n++) {
			gp = globget(class);
			gp->schedlink = batch;
			batch = gp;
		}
		unlock(&sched.lock);
		for (gp = batch; gp; gp = gp->schedlink)
			stackfree(gp);
		lock(&sched.lock);
		while ((gp = batch)) {
			batch = gp->schedlink;
			globput(&sched.gcold[class], gp);
		}
		unlock(&sched.lock);
		return true;
	}
	return false;
}

/* The next to be taken, if many are: all of it that making one touches, and to know where
 * that is by then the record of the one after it (see warmnext in runq.c). */
static inline void warmfree(const struct g *gp)
{
	const char *fs, *tls;

	if (!gp)
		return;
	fs = (char *)gp->sched.fs;
	tls = fs + ((uintptr_t)&tlsg - gettp());
	__builtin_prefetch(gp->schedlink, 1);
	for (int i = 64; i < 256; i += 64)
		__builtin_prefetch((char *)gp + i, 1);
	for (int i = 0; i < 192; i += 64)
		__builtin_prefetch(tls + i, 1);
	__builtin_prefetch(fs, 1);
	__builtin_prefetch(fs + 64, 1);
	__builtin_prefetch(fs + corehooks.identityhot, 1);
	__builtin_prefetch((char *)gp->idlo - 64, 1);
}

static struct g *poolget(int class)
{
	struct m *mp = acquirem();
	struct p *pp = mp->p;
	struct g *gp = NULL;

	if (class < NCLASS && pp && class == defaultclass()) {
		if (!pp->gfree && READ_ONCE(sched.nglist[class])) {
			lock(&sched.lock);
			while (pp->ngfree < BATCH && (gp = globget(class))) {
				gp->schedlink = pp->gfree;
				pp->gfree = gp;
				pp->ngfree++;
			}
			unlock(&sched.lock);
		}
		gp = pp->gfree;
		if (gp) {
			pp->gfree = gp->schedlink;
			pp->ngfree--;
			warmfree(pp->gfree);
		}
	} else if (class < NCLASS && READ_ONCE(sched.nglist[class])) {
		lock(&sched.lock);
		gp = globget(class);
		unlock(&sched.lock);
	}
	releasem(mp);
	return gp;
}

struct g *gfget(uintptr_t stack, size_t stacksize, size_t guard)
{
	/* on the caller's own stack only the identity is in the slot */
	size_t size = stack ? 1ul << CLASS0 : stacksize;
	struct g *gp;
	struct m *mp;

	guard = stack ? PAGE : (guard + PAGE - 1) & -PAGE;
	if (guard == 0)
		guard = PAGE; /* more than was asked for */
	if (size > SIZE_MAX / 4 || guard > SIZE_MAX / 4)
		return NULL;
	gp = poolget(classof(size));
	if (gp) {
		stackguard(gp, size, guard);
		corehooks.identity_reset(gp->sched.fs);
	} else {
		gp = galloc();
		if (!gp || !stackalloc(gp, size, guard))
			return NULL;
		mp = acquirem();
		semagrow(READ_ONCE(sched.idgen) + 1 - sched.ghosts);
		releasem(mp);
		gp->idlo = gp->stackhi;
		gp->sched.fs = corehooks.identity_new(gp->stacklo, &gp->idlo);
		if (!gp->sched.fs)
			return NULL;
	}
	*(struct g **)(gp->sched.fs + ((uintptr_t)&tlsg - gettp())) = gp;
	gp->status = Gidle;
	gp->userstack = stack;
	if (stack) {
		gp->stacklo = stack;
		gp->stackhi = stack + stacksize;
	}
	return gp;
}

void gfput(struct g *gp)
{
	struct m *mp;
	struct p *pp;

	if (gp->class < 0)
		return; /* main's stack is the process's */
	if (gp->userstack) {
		gp->userstack = 0;
		gp->stacklo = gp->guardlo + gp->guard;
		gp->stackhi = gp->slot + (1ul << (CLASS0 + gp->class));
	}
	mp = acquirem();
	pp = mp->p;
	if (pp && gp->class == defaultclass()) {
		gp->schedlink = pp->gfree;
		pp->gfree = gp;
		if (++pp->ngfree >= GFREEMAX) {
			lock(&sched.lock);
			while (pp->ngfree > BATCH) {
				gp = pp->gfree;
				pp->gfree = gp->schedlink;
				pp->ngfree--;
				globput(&sched.gfree[gp->class], gp);
			}
			unlock(&sched.lock);
		}
	} else {
		lock(&sched.lock);
		globput(&sched.gfree[gp->class], gp);
		unlock(&sched.lock);
	}
	releasem(mp);
}

uint32_t gcount(void)
{
	return READ_ONCE(sched.ng);
}

idlepath uintptr_t gtp(const struct g *gp)
{
	return gp->sched.fs;
}

uint32_t gid(const struct g *gp)
{
	return gp->id;
}

void gstack(const struct g *gp, uintptr_t *lo, uintptr_t *hi)
{
	*lo = gp->stacklo;
	*hi = gp->stackhi;
}

size_t gguard(const struct g *gp)
{
	return gp->userstack ? 0 : gp->guard;
}

struct g *gbynumber(uint32_t id)
{
	return id && id <= READ_ONCE(sched.idgen) + 1 ? gliving(id) : NULL;
}

struct g *gmain(void)
{
	return sched.maing;
}

int gsysmontid(void)
{
	return (int)sched.sysmontid;
}

int gtid(const struct g *gp)
{
	struct m *mp = goncpu(gp);

	return mp ? mp->tid : 0;
}

/* In a fork child: whoever held the lock is gone. */
void gsfork(void)
{
	chunklock.key = 0;
}
