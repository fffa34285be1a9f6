/* loader.c - makes references to the functions of GMP_SHIM_BLOCKING lead to our code: in
 * the tables of every object, when it is loaded, and in what dlsym returns.
 *
 * A reference is a slot that a relocation names the function in: of the PLT, of the GOT,
 * or a pointer in data. It counts if it resolves to that function of that library. A
 * slot of the PLT that was not called through yet holds no answer; the loader would
 * give it at the first call and overwrite ours. So it is anticipated where there is but
 * one function of that name in the process, and the loader, which writes the slot only
 * when it is asked through it, is not asked any more.
 *
 * dlopen and dlsym look where they return to: RUNPATH, $ORIGIN and RTLD_NEXT are those
 * of the caller. A wrapper must not stand between. Without the setting ours is a jump.
 * With it the call returns to an instruction `ret` in the caller's own code, which
 * returns to us.
 *
 * What is opened with RTLD_DEEPBIND finds libc's names before ours, and so does who asks
 * dlsym for one of libc's by libc's handle, as run-times of other languages do. Libc's
 * know nothing of the Gs that wait for the same objects: both are led to ours.
 *
 * Locks: look.lock < the loader's < bindlock (blocking.c). dlsym is called in callbacks
 *      of dl_iterate_phdr, where the loader's lock is held: it takes bindlock only.
 */
#include "shim/blocking.h"
#include "shim/shim.h"
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>

/* ---- an object ----------------------------------------------------------- */

struct object {
	const struct dl_phdr_info *info;
	const ElfW(Sym) *sym;
	const char *str, *soname;
	const uint32_t *gnuhash, *hash;
	const ElfW(Rela) *rela[2];
	size_t nrela[2];
	uintptr_t relro, relroend;
};

static const ElfW(Phdr) *segment(const struct dl_phdr_info *info, uintptr_t a)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_LOAD &&
		    a - info->dlpi_addr - ph->p_vaddr < ph->p_memsz)
			return ph;
	}
	return NULL;
}

static void dynamic(struct object *o, const ElfW(Dyn) *d)
{
	uintptr_t soname = 0;

	for (; d->d_tag != DT_NULL; d++) {
		uintptr_t base = o->info->dlpi_addr, v = d->d_un.d_val;
		/* the loader has added the base, but not in the vDSO */
		const void *at = (void *)(v < base ? v + base : v);

		if (d->d_tag == DT_SYMTAB)
			o->sym = at;
		else if (d->d_tag == DT_STRTAB)
			o->str = at;
		else if (d->d_tag == DT_SONAME)
			soname = v;
		else if (d->d_tag == DT_GNU_HASH)
			o->gnuhash = at;
		else if (d->d_tag == DT_HASH)
			o->hash = at;
		else if (d->d_tag == DT_RELA)
			o->rela[0] = at;
		else if (d->d_tag == DT_RELASZ)
			o->nrela[0] = v / sizeof(ElfW(Rela));
		else if (d->d_tag == DT_JMPREL)
			o->rela[1] = at;
		else if (d->d_tag == DT_PLTRELSZ)
			o->nrela[1] = v / sizeof(ElfW(Rela));
	}
	if (soname && o->str)
		o->soname = o->str + soname;
}

static bool describe(const struct dl_phdr_info *info, struct object *o)
{
	uintptr_t page = (uintptr_t)getpagesize();

	*o = (struct object){ .info = info };
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_DYNAMIC)
			dynamic(o, (const ElfW(Dyn) *)lo);
		if (ph->p_type == PT_GNU_RELRO) {
			/* as the loader rounds it */
			o->relro = lo & -page;
			o->relroend = (lo + ph->p_memsz) & -page;
		}
	}
	return o->sym && o->str;
}

/* By its soname, or by its file's name if it has none. */
static bool hasname(const struct object *o, const char *lib)
{
	const char *file = strrchr(o->info->dlpi_name, '/');

	if (o->soname)
		return !strcmp(o->soname, lib);
	return !strcmp(file ? file + 1 : o->info->dlpi_name, lib);
}

/* The first definition of name after number i of the table (0 at first); 0: no more. */
static uint32_t definition(const struct object *o, const char *name, uint32_t i)
{
	const uint32_t *h = o->gnuhash, *chain = NULL;
	uint32_t hash = 5381, end = o->hash ? o->hash[1] : 0;

	for (const char *s = name; *s; s++)
		hash = hash * 33 + (unsigned char)*s;
	if (h) { /* buckets, first symbol, words of the filter, shift */
		const uint32_t *bucket = h + 4 + 2 * h[2];

		chain = bucket + h[0] - h[1];
		if (i ? chain[i] & 1 : !h[0] || !bucket[hash % h[0]])
			return 0;
		if (!i)
			i = bucket[hash % h[0]] - 1;
		end = UINT32_MAX;
	}
	while (++i < end) {
		const ElfW(Sym) *s = &o->sym[i];
		int type = ELF64_ST_TYPE(s->st_info);

		if (s->st_shndx != SHN_UNDEF && s->st_value &&
		    (type == STT_FUNC || type == STT_GNU_IFUNC ||
		     type == STT_OBJECT || type == STT_NOTYPE) &&
		    !strcmp(o->str + s->st_name, name))
			return i;
		if (chain && chain[i] & 1)
			return 0;
	}
	return 0;
}

/* ---- where a reference leads --------------------------------------------- */

struct search {
	const struct blocking *b;
	uintptr_t value;   /* is it the function? */
	bool is;
	bool loaded, has;  /* the library, and a definition in it */
	uintptr_t only;	   /* the last definition in the process, and how many */
	uint32_t n;
};

static int searchobject(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *s = arg;
	struct object o;
	bool lib;

	(void)size;
	if (!describe(info, &o))
		return 0;
	lib = hasname(&o, s->b->lib);
	s->loaded |= lib;
	for (uint32_t i = 0; (i = definition(&o, s->b->func, i));) {
		uintptr_t at = info->dlpi_addr + o.sym[i].st_value;
		int type = ELF64_ST_TYPE(o.sym[i].st_info);
		bool ifunc = type == STT_GNU_IFUNC;

		if (type == STT_OBJECT)
			continue;
		if (lib && (at == s->value ||
			    (ifunc && s->value && segment(info, s->value))))
			s->is = true;
		/* of what a resolver would choose nothing is known */
		if (!s->n || s->only != at || ifunc)
			s->n += ifunc ? 2 : 1;
		s->only = at;
		s->has |= lib;
	}
	return 0;
}

/* What a slot of o that holds value refers to, if that is b's function; else 0. */
static uintptr_t target(const struct object *o, struct blocking *b,
			uintptr_t value, bool plt)
{
	struct search s = { .b = b, .value = value };

	dl_iterate_phdr(searchobject, &s);
	if (s.is)
		return value;
	if (!plt || !segment(o->info, value))
		return 0;
	/* not called through yet */
	if (s.n == 1 && s.has)
		return s.only;
	b->nunclear += s.has;
	return 0;
}

const char *loaderwhynot(struct blocking *b)
{
	struct search s = { .b = b };

	dl_iterate_phdr(searchobject, &s);
	if (!s.loaded)
		return "no such library is loaded";
	if (!s.has)
		return "the library has no such function";
	if (b->nunclear)
		return "several libraries have one, and it was not called yet";
	return "nothing refers to it";
}

/* ---- patching ------------------------------------------------------------ */

static struct {
	pthread_mutex_t lock;
	/* what needs no second look, while nothing was closed */
	size_t nseen;
	unsigned long long subs;
	bool again; /* a reference may lead there later */
	bool said;
} look = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Calls of dlopen that have begun; self.opening of them on this thread. */
static uint32_t nopening;

/* Nobody else loads anything, of which parts might not be relocated yet. */
static bool alone(void)
{
	/* seq_cst: pairs with dlopenway, before the loader's lock is taken there */
	return __atomic_load_n(&nopening, __ATOMIC_SEQ_CST) == self.opening;
}

/* Under RELRO a slot is read-only. While others load, it may be an object of theirs that
 * the loader still writes to: it, or our look after it, protects that one then. */
static bool setslot(const struct object *o, uintptr_t *slot, uintptr_t to)
{
	uintptr_t page = (uintptr_t)getpagesize();
	void *at = (void *)((uintptr_t)slot & -page);
	const ElfW(Phdr) *ph = segment(o->info, (uintptr_t)slot);
	bool relro = (uintptr_t)slot >= o->relro &&
		     (uintptr_t)slot < o->relroend;

	if (!ph || !(ph->p_flags & PF_W))
		return false; /* a pointer in the text */
	if (*slot != to && relro &&
	    mprotect(at, page, PROT_READ | PROT_WRITE) != 0) {
		if (!look.said)
			print("gmp_shim: GMP_SHIM_BLOCKING: references in %s "
			      "stay as they are: the system does not let us "
			      "write them\n",
			      *o->info->dlpi_name ? o->info->dlpi_name :
						    "the program");
		look.said = true;
		return false;
	}
	if (*slot != to)
		__atomic_store_n(slot, to, __ATOMIC_RELAXED);
	if (relro && alone())
		mprotect(at, page, PROT_READ);
	return true;
}

static void reference(const struct object *o, const ElfW(Rela) *r,
		      struct blocking *b)
{
	uintptr_t *slot = (uintptr_t *)(o->info->dlpi_addr + r->r_offset);
	uintptr_t value = __atomic_load_n(slot, __ATOMIC_RELAXED), real;
	bool plt = ELF64_R_TYPE(r->r_info) == R_X86_64_JUMP_SLOT;
	void *code;

	if (isblockingcode(b, (void *)value)) {
		setslot(o, slot, value); /* protected by now? */
		return;
	}
	real = target(o, b, value, plt);
	if (!real) {
		look.again |= plt && segment(o->info, value);
		return;
	}
	code = blockingcode(b, (void *)real);
	if (code && setslot(o, slot, (uintptr_t)code))
		__atomic_fetch_add(&b->nrefs, 1, __ATOMIC_RELAXED);
}

static void references(const struct object *o, const ElfW(Rela) *r, size_t n)
{
	for (; n--; r++) {
		uint32_t type = ELF64_R_TYPE(r->r_info);
		const char *name;

		if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT &&
		    (type != R_X86_64_64 || r->r_addend))
			continue;
		name = o->str + o->sym[ELF64_R_SYM(r->r_info)].st_name;
		for (struct blocking *b = blockings; b; b = b->next)
			if (!strcmp(b->func, name))
				reference(o, r, b);
	}
}

static int lookobject(struct dl_phdr_info *info, size_t size, void *arg)
{
	size_t *n = arg;
	struct object o;

	(void)size;
	if (*n == 0) {
		if (info->dlpi_subs != look.subs || look.again)
			look.nseen = 0;
		if (look.nseen == 0)
			for (struct blocking *b = blockings; b; b = b->next)
				b->nunclear = 0;
		look.again = false;
		look.subs = info->dlpi_subs;
	}
	/* ours must go on calling what it means to */
	if ((*n)++ >= look.nseen && !segment(info, (uintptr_t)lookobject) &&
	    describe(info, &o))
		for (int i = 0; i < 2; i++)
			references(&o, o.rela[i], o.nrela[i]);
	return 0;
}

void loaderpatch(void)
{
	size_t n = 0;

	pthread_mutex_lock(&look.lock);
	dl_iterate_phdr(lookobject, &n);
	if (alone())
		look.nseen = n; /* new ones come at the end of the list */
	pthread_mutex_unlock(&look.lock);
}

/* ---- libc's names that are ours ------------------------------------------ */

struct us {
	struct object o;
	struct dl_phdr_info info; /* o.info */
	bool found;
};

static int ourobject(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct us *us = arg;

	(void)size;
	if (!segment(info, (uintptr_t)ourobject))
		return 0;
	us->info = *info;
	us->found = describe(&us->info, &us->o);
	return 1;
}

/* Ours of that name; 0: none. */
static uintptr_t ours(const struct us *us, const char *name)
{
	uint32_t i = us->found ? definition(&us->o, name, 0) : 0;

	return i ? us->info.dlpi_addr + us->o.sym[i].st_value : 0;
}

struct others {
	const char *name;
	bool have;
};

static int otherdefines(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct others *s = arg;
	struct object o;

	(void)size;
	if (!segment(info, (uintptr_t)ourobject) &&
	    !segment(info, (uintptr_t)REAL(pthread_create)) &&
	    describe(info, &o))
		s->have = definition(&o, s->name, 0) != 0;
	return s->have;
}

/* A slot that was not called through yet will lead to libc's. */
static bool libcs(const struct object *o, uintptr_t value, const char *name)
{
	struct others s = { .name = name };

	if (!segment(o->info, value))
		return false;
	dl_iterate_phdr(otherdefines, &s);
	return !s.have;
}

static void deepreference(const struct us *us, const struct object *o,
			  const ElfW(Rela) *r)
{
	uintptr_t *slot = (uintptr_t *)(o->info->dlpi_addr + r->r_offset);
	uintptr_t value = __atomic_load_n(slot, __ATOMIC_RELAXED);
	const char *name = o->str + o->sym[ELF64_R_SYM(r->r_info)].st_name;
	bool plt = ELF64_R_TYPE(r->r_info) == R_X86_64_JUMP_SLOT;
	uintptr_t real = (uintptr_t)realnamed(name), to;

	if (!real || value == 0)
		return;
	if (value != real && (!plt || !libcs(o, value, name)))
		return;
	to = ours(us, name);
	if (to)
		setslot(o, slot, to);
}

static int deepobject(struct dl_phdr_info *info, size_t size, void *arg)
{
	const struct us *us = arg;
	struct object o;

	(void)size;
	if (segment(info, (uintptr_t)ourobject) ||
	    segment(info, (uintptr_t)REAL(pthread_create)) ||
	    !describe(info, &o))
		return 0;
	for (int i = 0; i < 2; i++)
		for (size_t k = 0; k < o.nrela[i]; k++) {
			const ElfW(Rela) *r = &o.rela[i][k];
			uint32_t type = ELF64_R_TYPE(r->r_info);

			if (type == R_X86_64_JUMP_SLOT ||
			    type == R_X86_64_GLOB_DAT ||
			    (type == R_X86_64_64 && !r->r_addend))
				deepreference(us, &o, r);
		}
	return 0;
}

static void deeppatch(void)
{
	struct us us = { .found = false };

	dl_iterate_phdr(ourobject, &us);
	pthread_mutex_lock(&look.lock);
	dl_iterate_phdr(deepobject, &us);
	pthread_mutex_unlock(&look.lock);
}

void loaderfork(void)
{
	look.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	nopening = self.opening;
}

/* ---- dlopen and dlsym ---------------------------------------------------- */

/* Where the real function returns to, and that function. ret NULL: to its caller, that
 * is all. In the registers that hold a result of this size. */
struct way {
	const void *ret;
	void *real;
};

struct seek {
	uintptr_t pc;
	const void *ret;
	bool main;
};

static int seekret(struct dl_phdr_info *info, size_t size, void *arg)
{
	/* Just after an instruction that leaves the stack alone the frame is known to
	 * be a bare return address: unwinding finds the way past us. */
	static const unsigned char xorret[] = { 0x31, 0xc0, 0xc3 };
	struct seek *s = arg;
	const ElfW(Phdr) *ph = segment(info, s->pc);

	(void)size;
	/* the loader takes code that is in no object for the program's, the first */
	for (int i = 0; s->main && i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
		    info->dlpi_phdr[i].p_flags & PF_X)
			ph = &info->dlpi_phdr[i];
	if (!ph)
		return 0;
	if ((ph->p_flags & (PF_R | PF_X)) == (PF_R | PF_X)) {
		const char *at = (char *)info->dlpi_addr + ph->p_vaddr;

		s->ret = memmem(at, ph->p_filesz, xorret, sizeof(xorret));
		s->ret = s->ret ? (const char *)s->ret + 2 :
				  memchr(at, 0xc3, ph->p_filesz);
	}
	return 1;
}

static const void *retin(uintptr_t pc)
{
	struct seek s = { .pc = pc };

	if (!dl_iterate_phdr(seekret, &s)) {
		s.main = true;
		dl_iterate_phdr(seekret, &s);
	}
	return s.ret;
}

static bool deep(int mode)
{
	return shimnative == 0 && (mode & RTLD_DEEPBIND);
}

__attribute__((used)) static struct way dlopenway(const char *file, int mode,
						  uintptr_t caller)
{
	struct way w = { .real = (void *)REAL(dlopen) };

	(void)file;
	if ((blockings || deep(mode)) && (w.ret = retin(caller))) {
		self.opening++;
		__atomic_fetch_add(&nopening, 1, __ATOMIC_SEQ_CST);
	}
	return w;
}

__attribute__((used)) static void *dlopenback(void *handle, int mode)
{
	int e = errno;

	if (handle && deep(mode))
		deeppatch();
	if (handle && blockings)
		loaderpatch();
	self.opening--;
	__atomic_fetch_sub(&nopening, 1, __ATOMIC_SEQ_CST);
	errno = e;
	return handle;
}

static struct blocking *ofname(const char *name)
{
	struct blocking *b = name ? blockings : NULL;

	while (b && strcmp(b->func, name))
		b = b->next;
	return b;
}

__attribute__((used)) static struct way
dlsymway(void *handle, const char *name, uintptr_t caller)
{
	struct way w = { .real = (void *)REAL(dlsym) };

	(void)handle;
	if (ofname(name) || (shimnative == 0 && name && realnamed(name)))
		w.ret = retin(caller);
	return w;
}

/* Not what others, preloaded after us, have of that name: that is our REAL one, and if it
 * asks for libc's it must get that. */
static void *notlibcs(void *value, const char *name)
{
	struct us us = { .found = false };
	uintptr_t to;

	if (shimnative || !value || value != realnamed(name))
		return value;
	dl_iterate_phdr(ourobject, &us);
	to = ours(&us, name);
	return to ? (void *)to : value;
}

__attribute__((used)) static void *dlsymback(void *value, const char *name)
{
	int e = errno;

	for (struct blocking *b = ofname(name); value && b; b = b->next) {
		struct search s = { .b = b, .value = (uintptr_t)value };
		void *code;

		if (strcmp(b->func, name))
			continue;
		dl_iterate_phdr(searchobject, &s);
		code = s.is ? blockingcode(b, value) : NULL;
		if (!code)
			continue;
		__atomic_fetch_add(&b->nrefs, 1, __ATOMIC_RELAXED);
		errno = e;
		return code;
	}
	value = notlibcs(value, name);
	errno = e;
	return value;
}

/* name(rdi, rsi): nameway says how; after it nameback(result, rsi) gives the result. */
#define DETOUR(name)                                                           \
	__asm__(".text\n\t"                                                    \
		".globl " #name "\n\t"                                         \
		".type " #name ", @function\n"                                 \
		#name ":\n\t"                                                  \
		".cfi_startproc\n\t"                                           \
		"pushq %rdi\n\t"                                               \
		".cfi_adjust_cfa_offset 8\n\t"                                 \
		"pushq %rsi\n\t"                                               \
		".cfi_adjust_cfa_offset 8\n\t"                                 \
		"movq 16(%rsp), %rdx\n\t"                                      \
		"subq $8, %rsp\n\t"                                            \
		".cfi_adjust_cfa_offset 8\n\t"                                 \
		"call " #name "way\n\t"                                        \
		"addq $8, %rsp\n\t"                                            \
		".cfi_adjust_cfa_offset -8\n\t"                                \
		"popq %rsi\n\t"                                                \
		".cfi_adjust_cfa_offset -8\n\t"                                \
		"popq %rdi\n\t"                                                \
		".cfi_adjust_cfa_offset -8\n\t"                                \
		"testq %rax, %rax\n\t"                                         \
		"jnz 1f\n\t"                                                   \
		"jmpq *%rdx\n"                                                 \
		"1:\tpushq %rdi\n\t" /* keeps the stack aligned */             \
		".cfi_adjust_cfa_offset 8\n\t"                                 \
		"pushq %rsi\n\t"                                               \
		".cfi_adjust_cfa_offset 8\n\t"                                 \
		"leaq 2f(%rip), %rcx\n\t"                                      \
		"pushq %rcx\n\t"                                               \
		".cfi_adjust_cfa_offset 8\n\t"                                 \
		"pushq %rax\n\t"                                               \
		".cfi_adjust_cfa_offset 8\n\t"                                 \
		"jmpq *%rdx\n\t"                                               \
		".cfi_adjust_cfa_offset -16\n\t"                               \
		"nop\n" /* an unwinder looks one byte before it returns to */  \
		"2:\tmovq (%rsp), %rsi\n\t"                                    \
		"movq %rax, %rdi\n\t"                                          \
		"subq $8, %rsp\n\t"                                            \
		".cfi_adjust_cfa_offset 8\n\t"                                 \
		"call " #name "back\n\t"                                       \
		"addq $24, %rsp\n\t"                                           \
		".cfi_adjust_cfa_offset -24\n\t"                               \
		"ret\n\t"                                                      \
		".cfi_endproc\n\t"                                             \
		".size " #name ", .-" #name)

DETOUR(dlopen);
DETOUR(dlsym);
