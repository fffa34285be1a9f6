/* identity.c - thread identities made by hand, as glibc's allocatestack.c makes them.
 *
 * Why: a G is a whole glibc thread: struct pthread (the TCB), static TLS and DTV, so
 *      errno, __thread, malloc's cache, stdio's owner checks and locale follow it
 *      from M to M. The C library has no interface for this. Offsets come, in this
 *      order, from the descriptors that libc exports for debuggers (_thread_db_*),
 *      from asking the kernel, and from one real thread whose record we can compare
 *      with what we know of it. What cannot be confirmed makes the whole library
 *      stand aside (identityinit returns the reason).
 * Layout of a slot's top: [.. stack | static TLS | struct pthread], the thread
 *      pointer at the struct. Static TLS is below it, as the x86-64 ABI has it.
 *      The struct begins on one page and ends on the next: what a thread that makes,
 *      locks and waits touches of it, its TLS and the first kilobyte of its stack are
 *      on one page, and the rest (keys and their values, resolver state), which is 0 in
 *      a new thread, stays untouched. A parked thread has one page, not two.
 * Recycling: an identity is never freed. libc's own TLS stays as it is (malloc's
 *      cache, resolver state); every other module's is copied anew from its image
 *      (images.c).
 *      _dl_allocate_tls_init would drop the cache: 6 KB and 20 us a thread.
 * Linking: each TCB is on glibc's list of threads with user stacks, so that dlopen
 *      of a library with static TLS initialises it in every G, and dlclose waits.
 */
#include "shim/identity.h"
#include "shim/real.h"
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <linux/futex.h>
#include <netdb.h>
#include <resolv.h>
#undef p_type /* resolv.h has one, too */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* struct pthread's header: fixed by the ABI (stack protector, setjmp, TLS) */
#define TCB_TCB 0x0
#define TCB_DTV 0x8
#define TCB_SELF 0x10
#define TCB_MULTIPLE_THREADS 0x18
#define TCB_STACK_GUARD 0x28
#define TCB_POINTER_GUARD 0x30
#define TCB_FEATURE_1 0x48

#define RSEQ_SIG 0x53053053
#define RSEQ_LEN 32
#define RSEQ_FAILED (-2) /* RSEQ_CPU_ID_REGISTRATION_FAILED */
/* A stack of which libc takes less for alloca, a quarter, than the 64 KiB that it takes at
 * most and where it knows no size. */
#define SMALL (192u << 10)
#define KEYS1 32 /* keys of a block: PTHREAD_KEY_2NDLEVEL_SIZE */
#define DTV_UNALLOCATED ((void *)-1l)

struct list {
	struct list *next, *prev;
};
struct dtv {
	union {
		size_t counter;
		void *val;
	};
	void *to_free;
};
struct keydata {
	uintptr_t seq;
	void *data;
};
struct key {
	uintptr_t seq;
	void (*destr)(void *);
};

/* Offsets in struct pthread and elsewhere; filled by identityinit. */
static struct {
	uint32_t size, list, tid, cancelhandling, specific, report_events, dtvp;
	uint32_t robust, res, stackblock, stackblock_size;
	uint32_t hot;		/* here the second page begins */
	ptrdiff_t rseq;		/* from the thread pointer; 0: none */
	ptrdiff_t resp, errnum, herrno; /* libc's TLS variables */
	size_t tlssize, tlsalign;
	struct list *users;	/* GL(dl_stack_user) */
	int *userslock;		/* GL(dl_stack_cache_lock) */
	size_t *generation;	/* GL(dl_tls_generation) */
	uint32_t maptlsoffset; /* in struct link_map */
} at;

static void *(*allocate_tls)(void *);
static struct key *keys;

#define FIELD(fs, off, type) (*(type *)((fs) + (off)))

static uintptr_t tp(void)
{
	uintptr_t v;

	__asm__ volatile("mov %%fs:0, %0" : "=r"(v));
	return v;
}

/* libc's own low-level lock: 0 free, 1 locked, 2 waited for. */
static void lll_lock(int *l)
{
	int zero = 0;

	if (__atomic_compare_exchange_n(l, &zero, 1, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(l, 2, __ATOMIC_ACQUIRE) != 0)
		REAL(syscall)(SYS_futex, l, FUTEX_WAIT_PRIVATE, 2, NULL);
}

static void lll_unlock(int *l)
{
	if (__atomic_exchange_n(l, 0, __ATOMIC_RELEASE) == 2)
		REAL(syscall)(SYS_futex, l, FUTEX_WAKE_PRIVATE, 1);
}

/* ---- finding out ------------------------------------------------------------- */

/* A _thread_db_ descriptor {bits, elements, offset} of a field. */
static bool dbfield(const char *name, uint32_t *offset)
{
	char sym[96] = "_thread_db_";
	const uint32_t *d;

	strcat(sym, name);
	d = dlsym(RTLD_DEFAULT, sym);
	if (!d)
		return false;
	*offset = d[2];
	return true;
}

struct probe {
	uintptr_t lo;
	size_t size;
	const char *why;
};

/* The offset of a word with this value in a thread's record, from `from` on. */
static uint32_t scan(uintptr_t pd, uint32_t from, uintptr_t value)
{
	for (uint32_t o = from; o + 8 <= at.size; o += 8)
		if (FIELD(pd, o, uintptr_t) == value)
			return o;
	return 0;
}

/* On a real thread whose stack we know: what its record says where. */
static void *probe(void *arg)
{
	struct probe *p = arg;
	uintptr_t pd = tp();
	struct dtv *dtv = FIELD(pd, TCB_DTV, struct dtv *);
	void *head;
	size_t len;
	struct list *l;

	p->why = NULL;
	at.res = (uint32_t)((uintptr_t)__res_state() - pd);
	if (at.res >= at.size)
		p->why = "its resolver state is not in the thread's record";
	if (REAL(syscall)(SYS_get_robust_list, 0, &head, &len))
		p->why = "the kernel tells no robust list";
	at.robust = (uint32_t)((uintptr_t)head - pd);
	if (at.robust >= at.size)
		p->why = "its robust list is not in the thread's record";
	at.stackblock = scan(pd, at.specific, p->lo);
	at.stackblock_size = at.stackblock + 8;
	if (!at.stackblock || FIELD(pd, at.stackblock_size, size_t) != p->size)
		p->why = "its stack's bounds are not where they were";
	if (!FIELD(pd, at.report_events + 1, uint8_t))
		p->why = "its mark of user stacks is not where it was";
	if (FIELD(pd, at.tid, int) != (int)REAL(syscall)(SYS_gettid))
		p->why = "its thread number is not where it says";
	if (*at.generation != dtv[0].counter)
		p->why = "its TLS generation is not where it was";
	for (l = at.users->next; l != at.users && !p->why; l = l->next)
		if ((uintptr_t)l == pd + at.list)
			return NULL;
	if (!p->why)
		p->why = "its list of threads is not where it says";
	return NULL;
}

static const char *runprobe(void)
{
	static struct probe p;
	pthread_attr_t attr;
	pthread_t t;
	int err;

	p.size = 256 * 1024;
	p.lo = (uintptr_t)mmap(NULL, p.size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p.lo == (uintptr_t)MAP_FAILED)
		return "there is no memory for a stack";
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, (void *)p.lo, p.size);
	err = REAL(pthread_create)(&t, &attr, probe, &p);
	pthread_attr_destroy(&attr);
	if (err)
		return "it cannot start a thread";
	REAL(pthread_join)(t, NULL);
	munmap((void *)p.lo, p.size);
	return p.why;
}

static ptrdiff_t tlsvar(const char *name, const char *version)
{
	void *v = version ? dlvsym(RTLD_DEFAULT, name, version) :
			    dlsym(RTLD_DEFAULT, name);

	return v ? (ptrdiff_t)((uintptr_t)v - tp()) : 0;
}

static const char *findrtld(void)
{
	void (*info)(size_t *, size_t *) =
		(void (*)(size_t *, size_t *))dlsym(
			RTLD_DEFAULT, "_dl_get_tls_static_info");
	char *rtld = dlsym(RTLD_DEFAULT, "_rtld_global");
	uint32_t users, slotinfo;
	const ElfW(Sym) *sym;
	Dl_info dl;

	if (!info || !rtld ||
	    !dbfield("rtld_global__dl_stack_user", &users) ||
	    !dbfield("rtld_global__dl_tls_dtv_slotinfo_list", &slotinfo) ||
	    !dbfield("link_map_l_tls_offset", &at.maptlsoffset))
		return "its loader has none of the names needed";
	info(&at.tlssize, &at.tlsalign);
	at.users = (struct list *)(rtld + users);
	/* no name for the lock of that list: it is the record's last word */
	if (!dladdr1(rtld, &dl, (void **)&sym, RTLD_DL_SYMENT) || !sym ||
	    sym->st_size != users + 48 + 8)
		return "its loader's record has another size";
	at.userslock = (int *)(rtld + users + 48);
	if (*at.userslock != 0)
		return "the lock of its list of threads is not where it was";
	at.generation = (size_t *)(rtld + slotinfo + 40);
	return NULL;
}

static const char *findpthread(void)
{
	const uint32_t *size = dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread");
	const unsigned *rseqsize = dlsym(RTLD_DEFAULT, "__rseq_size");

	allocate_tls = (void *(*)(void *))dlsym(RTLD_DEFAULT,
						"_dl_allocate_tls");
	keys = dlsym(RTLD_DEFAULT, "__pthread_keys");
	if (!size || !allocate_tls || !keys ||
	    !dbfield("pthread_list", &at.list) ||
	    !dbfield("pthread_tid", &at.tid) ||
	    !dbfield("pthread_cancelhandling", &at.cancelhandling) ||
	    !dbfield("pthread_specific", &at.specific) ||
	    !dbfield("pthread_report_events", &at.report_events) ||
	    !dbfield("pthread_dtvp", &at.dtvp))
		return "it has none of the names needed";
	at.size = *size;
	if (at.dtvp != TCB_DTV)
		return "its thread record has another header";
	at.resp = tlsvar("__resp", "GLIBC_PRIVATE");
	at.errnum = (ptrdiff_t)((uintptr_t)&errno - tp());
	at.herrno = (ptrdiff_t)((uintptr_t)&h_errno - tp());
	if (!at.resp)
		return "it has no __resp";
	at.rseq = rseqsize && *rseqsize ? *REAL(__rseq_offset) : 0;
	at.hot = (at.specific - KEYS1 * (uint32_t)sizeof(struct keydata) + 63) &
		 -64u;
	return NULL;
}

const char *identitynames(void)
{
	static const char *why;
	static bool done;

	if (done)
		return why;
	done = true;
	why = findpthread();
	if (!why)
		why = findrtld();
	return why;
}

const char *identityinit(const void *own)
{
	static const char *why;
	static bool done;

	if (done)
		return why;
	done = true;
	why = identitynames();
	if (!why)
		why = runprobe();
	if (!why)
		why = imagesinit(at.generation, at.tlssize, at.maptlsoffset,
				 own);
	return why;
}

/* ---- making one --------------------------------------------------------------------- */

static void linklist(struct list *l)
{
	lll_lock(at.userslock);
	l->next = at.users->next;
	l->prev = at.users;
	at.users->next->prev = l;
	at.users->next = l;
	lll_unlock(at.userslock);
}

/* Fields that a fresh and a recycled identity have alike. */
static void setfields(uintptr_t pd)
{
	uintptr_t me = tp();

	FIELD(pd, TCB_FEATURE_1, uint32_t) = FIELD(me, TCB_FEATURE_1, uint32_t);
	FIELD(pd, at.cancelhandling, int) = 0;
}

uintptr_t identity_new(uintptr_t lo, uintptr_t *hi)
{
	uintptr_t me = tp();
	size_t cold = (at.size - at.hot + 4095) & -4096ul;
	uintptr_t pd = ((*hi & -4096ul) - cold - at.hot) &
		       -(at.tlsalign < 64 ? 64 : at.tlsalign);
	uintptr_t low = pd - (at.tlssize - at.size);
	uintptr_t head = pd + at.robust;

	if (low < lo + 4096 || !allocate_tls((void *)pd))
		return 0;
	FIELD(pd, TCB_TCB, uintptr_t) = pd;
	FIELD(pd, TCB_SELF, uintptr_t) = pd;
	/* or malloc and the loader would leave their lock prefixes out */
	FIELD(pd, TCB_MULTIPLE_THREADS, int) = 1;
	FIELD(pd, TCB_STACK_GUARD, uintptr_t) =
		FIELD(me, TCB_STACK_GUARD, uintptr_t);
	FIELD(pd, TCB_POINTER_GUARD, uintptr_t) =
		FIELD(me, TCB_POINTER_GUARD, uintptr_t);
	setfields(pd);
	/* a G's own follows (identity_number); this is m0's g0's, which runs on
	 * the process's first kernel thread: setuid and kin must find that */
	if (!schedstarted)
		FIELD(pd, at.tid, int) = getpid();
	/* empty robust list: prev before the head, as glibc has it */
	FIELD(pd, at.robust - 8, uintptr_t) = head;
	FIELD(head, 0, uintptr_t) = head;
	FIELD(head, 8, long) = FIELD(me, at.robust + 8, long);
	FIELD(pd, at.resp, uintptr_t) = pd + at.res;
	if (*hi - lo < SMALL)
		FIELD(pd, at.stackblock_size, size_t) = *hi - lo;
	linklist((struct list *)(pd + at.list));
	*hi = low & -64ul;
	return pd;
}

/* A fork child's only thread is put on libc's list of its own stacks, which it gives to
 * others, but for that mark. */
void identity_forks(void)
{
	FIELD(tp(), at.report_events + 1, uint8_t) = 1;
}

void identity_number(uintptr_t fs, uint32_t tid)
{
	FIELD(fs, at.tid, uint32_t) = tid;
}

int identity_tid(uintptr_t fs)
{
	return FIELD(fs, at.tid, int);
}

/* A module's dynamic TLS of the last thread: the next gets its own, when it asks. That of a
 * module that has gone libc gives back before it uses the entry again. */
static void resetdtv(uintptr_t fs)
{
	struct dtv *dtv = FIELD(fs, TCB_DTV, struct dtv *);
	size_t n = dtv[-1].counter;

	for (size_t i = 1; i <= n; i++)
		if (dtv[i].to_free) {
			free(dtv[i].to_free);
			dtv[i].to_free = NULL;
			dtv[i].val = DTV_UNALLOCATED;
		}
}

void identity_reset(uintptr_t fs)
{
	if (imagescopy(fs))
		resetdtv(fs);
	FIELD(fs, at.errnum, int) = 0;
	FIELD(fs, at.herrno, int) = 0;
	setfields(fs);
}

/* ---- the kernel thread's state --------------------------------------------------------- */

/* The area that the kernel knows is its thread's, not a G's: __rseq_offset leads to one that
 * says so, in every thread. (In a new thread's struct there is 0: CPU 0.) Programs may have a
 * copy of that constant, which the loader makes before any code of ours runs; what it asks
 * an indirect function for it has by then. */
__attribute__((used)) static __thread struct {
	uint32_t cpu_id_start;
	int cpu_id;
	uint64_t rest[3];
} norseq __attribute__((tls_model("initial-exec"))) = { 0, RSEQ_FAILED, { 0 } };
__asm__(".text\n\t"
	".type rseqoffset, @gnu_indirect_function\n"
	"rseqoffset:\n\t"
	"movq norseq@gottpoff(%rip), %rax\n\t"
	"ret\n\t"
	".section .data.rel.ro, \"aw\"\n\t"
	".balign 8\n\t"
	".globl __rseq_offset\n\t"
	".type __rseq_offset, @object\n\t"
	".size __rseq_offset, 8\n"
	"__rseq_offset:\n\t"
	".quad rseqoffset\n\t"
	".text");

static void dropping(uintptr_t fs)
{
	if (!at.rseq)
		return;
	REAL(syscall)(SYS_rseq, fs + at.rseq, RSEQ_LEN, 1, RSEQ_SIG);
	FIELD(fs, at.rseq + 4, int) = RSEQ_FAILED;
}

void identity_mstate(uintptr_t from, uintptr_t to)
{
	if (at.rseq) {
		dropping(from);
		memset((void *)(to + at.rseq), 0, RSEQ_LEN);
		REAL(syscall)(SYS_rseq, to + at.rseq, RSEQ_LEN, 0, RSEQ_SIG);
	}
	REAL(syscall)(SYS_set_robust_list, to + at.robust, 24);
}

void identity_fork(uintptr_t mtp)
{
	dropping(mtp);
}

static __thread uint32_t virtualtid
	__attribute__((tls_model("initial-exec")));

void identity_wire(int tid)
{
	uintptr_t pd = tp();

	virtualtid = FIELD(pd, at.tid, uint32_t);
	FIELD(pd, at.tid, int) = tid;
	REAL(syscall)(SYS_set_robust_list, pd + at.robust, 24);
}

void identity_unwire(uintptr_t mtp)
{
	uintptr_t pd = tp();

	REAL(syscall)(SYS_set_robust_list, mtp + at.robust, 24);
	FIELD(pd, at.tid, uint32_t) = virtualtid;
}

/* As the kernel does for a thread that dies: futex(2), set_robust_list. */
static void ownerdied(uintptr_t pd, uintptr_t entry, long offset)
{
	uint32_t *word = (uint32_t *)((entry & ~1ul) + (uintptr_t)offset);
	uint32_t v = __atomic_load_n(word, __ATOMIC_RELAXED);

	do
		if ((v & FUTEX_TID_MASK) != FIELD(pd, at.tid, uint32_t))
			return;
	while (!__atomic_compare_exchange_n(
		word, &v, (v & FUTEX_WAITERS) | FUTEX_OWNER_DIED, false,
		__ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	if (v & FUTEX_WAITERS)
		REAL(syscall)(SYS_futex, word, FUTEX_WAKE, 1);
}

void identity_robust(void)
{
	uintptr_t pd = tp(), head = pd + at.robust;
	long offset = FIELD(head, 8, long);
	uintptr_t e = FIELD(head, 0, uintptr_t), next;

	for (; (e & ~1ul) != head; e = next) {
		next = FIELD(e & ~1ul, 0, uintptr_t);
		ownerdied(pd, e, offset);
	}
	FIELD(head, 0, uintptr_t) = head;
	FIELD(pd, at.robust - 8, uintptr_t) = head;
}

/* ---- leaving --------------------------------------------------------------------------- */

idlepath uint32_t *identity_cancel(uintptr_t fs)
{
	return &FIELD(fs, at.cancelhandling, uint32_t);
}

/* One round over a block of keys. */
static void keyround(struct keydata *block, size_t first)
{
	for (size_t i = 0; i < KEYS1; i++) {
		void *data = block[i].data;
		struct key *k = &keys[first + i];

		if (!data)
			continue;
		block[i].data = NULL;
		if (block[i].seq == k->seq && k->destr)
			k->destr(data);
	}
}

void identity_keys(void)
{
	uintptr_t pd = tp();
	struct keydata **specific = &FIELD(pd, at.specific, struct keydata *);
	volatile bool *used = &FIELD(pd, at.report_events - 1, bool);

	if (!keys[0].seq || !*used)
		return; /* there was never a key, or it stored nothing */
	specific[0] = (void *)(pd + at.specific - KEYS1 * sizeof(**specific));
	for (int round = 0; *used && round < PTHREAD_DESTRUCTOR_ITERATIONS;
	     round++) {
		*used = false;
		for (size_t b = 0; b < PTHREAD_KEYS_MAX / KEYS1; b++)
			if (specific[b])
				keyround(specific[b], b * KEYS1);
	}
	memset(specific[0], 0, KEYS1 * sizeof(**specific));
	for (size_t b = 1; b < PTHREAD_KEYS_MAX / KEYS1; b++) {
		free(specific[b]);
		specific[b] = NULL;
	}
	*used = false;
}
