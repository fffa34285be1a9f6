/* identity.c - hand-made thread identities: a context that runs with one is a
 * thread to the C library, a recycled one is as good as new.
 */
#include "test/unit/unit.h"
#include "shim/identity.h"
#include <dlfcn.h>
#include <limits.h>
#include <locale.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#define SLOT (256 * 1024ul)
#define TLSMARK 4711

enum { MANY = 200, RECYCLES = 10000 };

static __thread int tlsdata = TLSMARK;
static __thread char tlszero[100];
static __thread long tlsaligned __attribute__((aligned(64))) = TLSMARK;

struct id {
	uintptr_t lo, top, hi, fs;
	struct gobuf buf;
	struct g g;
	void (*fn)(struct id *);
	/* what fn saw */
	uintptr_t self;
	int owner, err, tls;
	bool ok;
	void *p;
};
static struct id ids[MANY], *cur;
static struct gobuf home;

static void setup(void)
{
	const char *why = identityinit(NULL);

	cr_assert_null(why, "no identities here: %s", why);
	asm_fsgsbase = (getauxval(AT_HWCAP2) & 2) != 0;
	home.fs = gettp();
	home.oncpu = 1;
}

/* AddressSanitizer asks the C library where a stack that is jumped on lies, and
 * keeps freed memory back: what depends on either is left out. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif
TestSuite(identity, .init = setup);

static void make(struct id *id)
{
	if (!id->lo) {
		id->lo = (uintptr_t)mmap(NULL, SLOT, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		cr_assert_neq(id->lo, (uintptr_t)MAP_FAILED);
	}
	id->hi = id->top = id->lo + SLOT;
	id->fs = identity_new(id->lo, &id->hi);
	if (id->fs)
		identity_number(id->fs, 0x20000000 + (uint32_t)(id - ids));
	cr_assert_neq(id->fs, 0u);
}

static void entry(int resumed)
{
	struct id *me = cur;

	(void)resumed;
	/* the ctype tables: as every thread's first function does */
	uselocale(LC_GLOBAL_LOCALE);
	me->fn(me);
	gswitch(&me->buf, &home, &home, NULL);
}

/* Run fn to its end as the thread id. */
static void as(struct id *id, void (*fn)(struct id *))
{
	cur = id;
	id->fn = fn;
	gobufinit(&id->buf, id->hi, id->fs, entry);
	gswitch(&home, &id->buf, &home, NULL);
}

/* This thread's p as the thread with pointer fs has it. */
static void *of(uintptr_t fs, void *p)
{
	return (char *)fs + ((uintptr_t)p - gettp());
}

/* ---- a new one ----------------------------------------------------------- */

Test(identity, place, .timeout = 20)
{
	struct id *id = &ids[0];

	id->lo = (uintptr_t)mmap(NULL, SLOT, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	make(id);
	cr_assert_gt(id->hi, id->lo + SLOT / 2);
	cr_assert_lt(id->hi, id->fs);
	cr_assert_lt(id->fs, id->top);
	cr_assert_eq(id->fs % 64, 0u);
	cr_assert_eq(*(uintptr_t *)id->fs, id->fs);
	/* nothing of the stack was used */
	for (uintptr_t a = id->lo; a < id->hi; a++)
		cr_assert_eq(*(char *)a, 0);
	cr_assert_geq((uintptr_t)of(id->fs, &tlsdata), id->hi);
	cr_assert_eq((uintptr_t)of(id->fs, &tlsaligned) % 64, 0u);
}

static void uses(struct id *me)
{
	me->self = (uintptr_t)pthread_self();
	errno = EINTR;
	tlsdata++;
}

/* What a thread touches that has no keys is on one page, with the top of its stack. */
Test(identity, one_page, .timeout = 20)
{
	struct id *id = &ids[0];
	unsigned char last;

	make(id);
	as(id, uses);
	identity_reset(id->fs);
	as(id, uses);
	cr_assert_eq(id->self, id->fs);
	cr_assert_eq(id->fs & -PAGE, id->top - 2 * PAGE);
	cr_assert_eq(mincore((void *)(id->top - PAGE), PAGE, &last), 0);
	cr_assert_eq(last & 1, 0, "the page above is in memory");
}

Test(identity, no_room, .timeout = 20)
{
	static char small[8192] __attribute__((aligned(4096)));
	uintptr_t lo = (uintptr_t)small, hi = lo + 1024;

	cr_assert_eq(identity_new(lo, &hi), 0u);
	for (size_t i = 0; i < sizeof(small); i++)
		cr_assert_eq(small[i], 0);
}

static jmp_buf jump;

static __attribute__((noinline)) void jumps(void)
{
	longjmp(jump, 1);
}

static void looks(struct id *me)
{
	pthread_mutex_t mu = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	char buf[64];

	me->self = (uintptr_t)pthread_self();
	pthread_mutex_lock(&mu);
	me->owner = mu.__data.__owner; /* what libc takes for our number */
	me->ok = pthread_mutex_lock(&mu) == 0;
	pthread_mutex_unlock(&mu);
	pthread_mutex_unlock(&mu);
	me->err = errno;
	me->tls = tlsdata;
	/* mangled with the pointer guard, checked with the stack's */
	if (!SANITIZED && setjmp(jump) == 0)
		jumps();
	snprintf(buf, sizeof(buf), "%s %.2f", setlocale(LC_ALL, NULL), 1.5);
	me->ok = me->ok && !strcmp(buf, "C 1.50") && tlsaligned == TLSMARK;
}

Test(identity, is_a_thread_to_libc, .timeout = 20)
{
	struct id *id = &ids[0];

	make(id);
	errno = 77;
	tlsdata = 5;
	as(id, looks);
	cr_assert_eq(id->self, id->fs);
	cr_assert_eq(id->err, 0, "errno is its own");
	cr_assert_eq(id->tls, TLSMARK, "as are thread-local variables");
	cr_assert(id->ok);
	cr_assert_eq(errno, 77);
	cr_assert_eq(tlsdata, 5);
}

Test(identity, unique, .timeout = 20)
{
	for (int i = 0; i < MANY; i++) {
		make(&ids[i]);
		as(&ids[i], looks);
		cr_assert(ids[i].ok);
		cr_assert_eq(ids[i].owner, 0x20000000 + i, "the given number");
		cr_assert_neq(ids[i].owner, gettid_raw());
		for (int k = 0; k < i; k++) {
			cr_assert_neq(ids[i].owner, ids[k].owner);
			cr_assert_neq(ids[i].self, ids[k].self);
		}
	}
}

static void writestls(struct id *me)
{
	int mine = (int)(me - ids) + 10;

	errno = mine;
	tlsdata = mine;
	tlsaligned = mine;
	memset(tlszero, mine, sizeof(tlszero));
}

static void readstls(struct id *me)
{
	int mine = (int)(me - ids) + 10;

	me->ok = errno == mine && tlsdata == mine && tlsaligned == mine;
	for (size_t i = 0; i < sizeof(tlszero); i++)
		me->ok = me->ok && tlszero[i] == (char)mine;
}

Test(identity, apart, .timeout = 20)
{
	for (int i = 0; i < 50; i++) {
		make(&ids[i]);
		as(&ids[i], writestls);
	}
	for (int i = 0; i < 50; i++)
		as(&ids[i], readstls);
	for (int i = 0; i < 50; i++) {
		cr_assert(ids[i].ok, "%d", i);
		cr_assert_eq(*(int *)of(ids[i].fs, &tlsdata), i + 10);
	}
	cr_assert_eq(tlsdata, TLSMARK);
}

/* ---- a recycled one ------------------------------------------------------ */

Test(identity, reset, .timeout = 20)
{
	struct id *id = &ids[0];
	int owner;

	make(id);
	make(&ids[1]);
	as(id, looks);
	owner = id->owner;
	as(&ids[1], writestls);
	for (int i = 0; i < 3; i++) {
		as(id, writestls);
		cr_assert_eq(*(int *)of(id->fs, &tlsdata), 10);
		identity_reset(id->fs);
		cr_assert_eq(*(int *)of(id->fs, &tlsdata), TLSMARK);
		cr_assert_eq(*(long *)of(id->fs, &tlsaligned), TLSMARK);
		for (size_t k = 0; k < sizeof(tlszero); k++)
			cr_assert_eq(((char *)of(id->fs, tlszero))[k], 0);
		as(id, looks);
		cr_assert_eq(id->err, 0, "errno was not reset");
		cr_assert_eq(id->tls, TLSMARK);
		cr_assert(id->ok);
		cr_assert_eq(id->self, id->fs);
		cr_assert_eq(id->owner, owner);
	}
	as(&ids[1], readstls);
	cr_assert(ids[1].ok, "the others' stay");
}

Test(identity, reset_clears_cancellation, .timeout = 20)
{
	struct id *id = &ids[0];

	make(id);
	cr_assert_eq(*identity_cancel(id->fs), 0u);
	*identity_cancel(id->fs) = 4;
	cr_assert_neq(*identity_cancel(gettp()), 4u);
	identity_reset(id->fs);
	cr_assert_eq(*identity_cancel(id->fs), 0u);
}

static void frees(struct id *me)
{
	void *p = malloc(1000);

	me->p = p;
	free(p);
}

static void *again;

static void allocates(struct id *me)
{
	(void)me;
	again = malloc(1000);
	free(again);
}

/* What a thread has freed waits in its cache for the next with its identity. */
Test(identity, malloc_cache_survives, .timeout = 20,
     .disabled = SANITIZED)
{
	void *other[16];

	make(&ids[0]);
	make(&ids[1]);
	as(&ids[0], frees);
	identity_reset(ids[0].fs);
	for (int i = 0; i < 16; i++) {
		other[i] = malloc(1000);
		cr_assert_neq(other[i], ids[0].p, "it is in the cache of 0");
	}
	as(&ids[1], allocates);
	cr_assert_neq(again, ids[0].p);
	as(&ids[0], allocates);
	cr_assert_eq(again, ids[0].p);
	for (int i = 0; i < 16; i++)
		free(other[i]);
}

/* ---- keys ---------------------------------------------------------------- */

enum { NKEYS = 80 }; /* more than the 32 that lie in the thread's record */
static pthread_key_t key[NKEYS], stubborn;
static int destroyed[NKEYS], rounds;

static void destroys(void *arg)
{
	destroyed[(uintptr_t)arg - 1]++;
}

static void setsagain(void *arg)
{
	rounds++;
	pthread_setspecific(stubborn, arg);
}

static void setskeys(struct id *me)
{
	me->ok = true;
	for (uintptr_t i = 0; i < NKEYS; i++) {
		me->ok = me->ok && !pthread_getspecific(key[i]);
		pthread_setspecific(key[i], (void *)(i + 1));
	}
	for (uintptr_t i = 0; i < NKEYS; i++)
		me->ok = me->ok &&
			 pthread_getspecific(key[i]) == (void *)(i + 1);
	identity_keys();
	for (uintptr_t i = 0; i < NKEYS; i++)
		me->ok = me->ok && !pthread_getspecific(key[i]);
}

static void setsstubborn(struct id *me)
{
	me->ok = !pthread_getspecific(stubborn);
	pthread_setspecific(stubborn, me);
	identity_keys();
}

static void createkeys(void)
{
	for (int i = 0; i < NKEYS; i++)
		cr_assert_eq(pthread_key_create(&key[i], destroys), 0);
}

Test(identity, keys, .timeout = 20)
{
	createkeys();
	make(&ids[0]);
	pthread_setspecific(key[0], &ids);
	pthread_setspecific(key[40], &ids);
	for (int n = 1; n <= 3; n++) {
		as(&ids[0], setskeys);
		cr_assert(ids[0].ok);
		for (int i = 0; i < NKEYS; i++)
			cr_assert_eq(destroyed[i], n);
		identity_reset(ids[0].fs);
	}
	cr_assert_eq(pthread_getspecific(key[0]), &ids);
	cr_assert_eq(pthread_getspecific(key[40]), &ids);
	pthread_setspecific(key[0], NULL);
	pthread_setspecific(key[40], NULL);
}

Test(identity, keys_that_come_back, .timeout = 20)
{
	cr_assert_eq(pthread_key_create(&stubborn, setsagain), 0);
	make(&ids[0]);
	as(&ids[0], setsstubborn);
	cr_assert_eq(rounds, PTHREAD_DESTRUCTOR_ITERATIONS);
	identity_reset(ids[0].fs);
	as(&ids[0], setsstubborn);
	cr_assert(ids[0].ok, "the next thread finds none");
}

/* ---- memory -------------------------------------------------------------- */

static long rss(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size, pages = 0;

	if (fscanf(f, "%ld %ld", &size, &pages) != 2)
		pages = -1;
	fclose(f);
	return pages * (long)PAGE;
}

static void works(struct id *me)
{
	char buf[100];
	void *p[20];

	setskeys(me);
	for (int i = 0; i < 20; i++)
		p[i] = malloc(1ul << i % 14);
	snprintf(buf, sizeof(buf), "%d %s %f", me->owner, strerror(9999), 0.1);
	if (dlsym(RTLD_DEFAULT, "there_is_no_such_name"))
		me->ok = false;
	dlerror();
	for (int i = 0; i < 20; i++)
		free(p[i]);
	writestls(me);
}

static void recycle(int n)
{
	for (int i = 0; i < n; i++) {
		struct id *id = &ids[i % 20];

		as(id, works);
		cr_assert(id->ok);
		identity_reset(id->fs);
	}
}

/* A leak of 32 bytes a thread would show. */
Test(identity, recycling_costs_no_memory, .timeout = 60,
     .disabled = SANITIZED)
{
	long before, after;

	createkeys();
	for (int i = 0; i < 20; i++)
		make(&ids[i]);
	recycle(1000);
	before = rss();
	recycle(RECYCLES);
	after = rss();
	cr_assert_gt(before, 0);
	cr_assert_lt(after - before, 32 * RECYCLES, "%ld bytes more",
		     after - before);
}

/* ---- the kernel thread's part -------------------------------------------- */

static uintptr_t robusthead(void)
{
	void *head = NULL;
	size_t len;

	syscall(SYS_get_robust_list, 0, &head, &len);
	return (uintptr_t)head;
}

/* struct rseq's cpu_id as the kernel and libc have it for the thread fs; -1 or -2, and 0
 * in a new one: not registered. */
static int rseqcpu(uintptr_t fs)
{
	const ptrdiff_t *off = dlvsym(RTLD_NEXT, "__rseq_offset", "GLIBC_2.35");
	const unsigned *size = dlsym(RTLD_DEFAULT, "__rseq_size");

	return off && size && *size ? *(volatile int *)(fs + *off + 4) : -9;
}

Test(identity, kernel_state_moves, .timeout = 20)
{
	struct id *id = &ids[0];
	uintptr_t mine = gettp(), head = robusthead();
	bool rseq = rseqcpu(mine) >= 0;

	make(id);
	/* where programs look none is */
	cr_assert_lt(*(int *)(id->fs + __rseq_offset + 4), 0);
	cr_assert_lt(*(int *)(mine + __rseq_offset + 4), 0);
	identity_mstate(mine, id->fs);
	cr_assert_eq(robusthead() - id->fs, head - mine);
	if (rseq) {
		cr_assert_lt(rseqcpu(mine), 0);
		cr_assert_geq(rseqcpu(id->fs), 0);
	}
	identity_mstate(id->fs, mine);
	cr_assert_eq(robusthead(), head);
	if (rseq) {
		cr_assert_geq(rseqcpu(mine), 0);
		cr_assert_lt(rseqcpu(id->fs), 0);
	}
}
