/*
 * preempt_storm - threads that compute in user space, each on state that a
 * scheduler could lose if it takes the processor away between any two
 * instructions: all registers and flags, the x87 stack, rounding modes, the red
 * zone, string instructions under way, the heap, stdio, exceptions in flight,
 * thread_local objects and errno, libraries opened and closed, names looked up.
 * A turn takes a quarter of a millisecond or
 * so, but a thread leaves the processor of its own only once in many, so that
 * its slices end anywhere.
 *
 * preempt_storm [turns [threads]]
 */
#include "check.h"
#include <arpa/inet.h>
#include <cstddef>
#include <dlfcn.h>
#include <netdb.h>
#include <stdexcept>
#include <string>
#include <xmmintrin.h>

enum {
	TURNS = 1000,
	THREADS = 64,
	SPINS = 200000, /* of an empty loop: some 200 microseconds */
	STRING = 128 << 10,
	CARRIES = 1000,
	TERMS = 200000,
	BLOCKS = 64,
	LINES = 1000,
	THROWS = 12,
	OPENS = 2,
	DEPTH = 8,
	LEAVES = 100, /* one turn in so many is followed by a wait */
	SAID = 20
};

/* What was lost is counted, and the first cases told. */
static int errors;

static void __attribute__((format(printf, 2, 3)))
lost(const char *kind, const char *fmt, ...)
{
	char text[300];
	va_list ap;
	int n;

	if (ADD(errors, 1) > SAID)
		return;
	n = snprintf(text, sizeof(text), "%s: ", kind);
	va_start(ap, fmt);
	n += vsnprintf(text + n, sizeof(text) - n - 1, fmt, ap);
	va_end(ap);
	text[n++] = '\n';
	if (write(2, text, n) < 0)
		_exit(2);
}

struct self {
	uint64_t state;
	int number, mode;

	uint64_t next()
	{
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		return state;
	}
	/* Not the same length twice, or all would end at the same places. */
	long spins()
	{
		return SPINS / 2 + (long)(next() % SPINS);
	}
};

/* ---- Registers ----------------------------------------------------------- */

/*
 * storm_*: loads every register there is from *in, spins without touching one
 * but rcx, and stores them all to *out.  LOOP is the one counting loop that
 * leaves the flags alone, so they are kept over it like the rest.
 */
struct registers {
	unsigned char vector[32][64];
	uint64_t mask[8];
	uint64_t gpr[15]; /* without rsp; the third is rcx, the count */
	uint64_t flags;
	uint64_t mxcsr;
};
static_assert(offsetof(struct registers, mask) == 2048, "as in the asm");
static_assert(offsetof(struct registers, gpr) == 2112, "as in the asm");
static_assert(offsetof(struct registers, flags) == 2232, "as in the asm");
static_assert(offsetof(struct registers, mxcsr) == 2240, "as in the asm");

extern "C" {
void storm_sse(const struct registers *in, struct registers *out);
void storm_avx(const struct registers *in, struct registers *out);
void storm_avx512(const struct registers *in, struct registers *out);
void storm_x87(const long double *in, long double *out, uint16_t *control,
	       long spins);
void storm_redzone(uint64_t *out, uint64_t seed, long spins);
void storm_backwards(void *to, const void *from, long bytes);
uint64_t storm_carry(uint64_t *words, long n);
}

asm(R"(
	.pushsection .text
	.macro	function name
	.type	\name, @function
	.p2align 4
\name:
	.endm

	.macro	load_sse
	.irp	i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movups	\i*64(%rdi), %xmm\i
	.endr
	.endm
	.macro	store_sse
	.irp	i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movups	%xmm\i, \i*64(%rdi)
	.endr
	.endm

	.macro	load_avx
	.irp	i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovups	\i*64(%rdi), %ymm\i
	.endr
	.endm
	.macro	store_avx
	.irp	i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovups	%ymm\i, \i*64(%rdi)
	.endr
	vzeroupper
	.endm

	.macro	load_avx512
	.irp	i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovups	\i*64(%rdi), %zmm\i
	.endr
	.irp	i, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vmovups	\i*64(%rdi), %zmm\i
	.endr
	.irp	i, 0,1,2,3,4,5,6,7
	kmovq	2048+\i*8(%rdi), %k\i
	.endr
	.endm
	.macro	store_avx512
	.irp	i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovups	%zmm\i, \i*64(%rdi)
	.endr
	.irp	i, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vmovups	%zmm\i, \i*64(%rdi)
	.endr
	.irp	i, 0,1,2,3,4,5,6,7
	kmovq	%k\i, 2048+\i*8(%rdi)
	.endr
	vzeroupper
	.endm

	.macro	storm unit
	function storm_\unit
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rsi
	sub	$8, %rsp
	stmxcsr	(%rsp)
	load_\unit
	ldmxcsr	2240(%rdi)
	pushq	2232(%rdi)
	mov	2112(%rdi), %rax
	mov	2120(%rdi), %rbx
	mov	2128(%rdi), %rcx
	mov	2136(%rdi), %rdx
	mov	2144(%rdi), %rsi
	mov	2160(%rdi), %rbp
	mov	2168(%rdi), %r8
	mov	2176(%rdi), %r9
	mov	2184(%rdi), %r10
	mov	2192(%rdi), %r11
	mov	2200(%rdi), %r12
	mov	2208(%rdi), %r13
	mov	2216(%rdi), %r14
	mov	2224(%rdi), %r15
	mov	2152(%rdi), %rdi
	popfq
1:	loop	1b
	pushfq
	push	%rdi
	cld
	mov	24(%rsp), %rdi
	mov	%rax, 2112(%rdi)
	mov	%rbx, 2120(%rdi)
	mov	%rcx, 2128(%rdi)
	mov	%rdx, 2136(%rdi)
	mov	%rsi, 2144(%rdi)
	mov	%rbp, 2160(%rdi)
	mov	%r8, 2168(%rdi)
	mov	%r9, 2176(%rdi)
	mov	%r10, 2184(%rdi)
	mov	%r11, 2192(%rdi)
	mov	%r12, 2200(%rdi)
	mov	%r13, 2208(%rdi)
	mov	%r14, 2216(%rdi)
	mov	%r15, 2224(%rdi)
	popq	2152(%rdi)
	popq	2232(%rdi)
	stmxcsr	2240(%rdi)
	store_\unit
	ldmxcsr	(%rsp)
	add	$16, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.endm

	storm	sse
	storm	avx
	storm	avx512

	function storm_x87
	fnstcw	-8(%rsp)
	fldcw	(%rdx)
	.irp	i, 0,1,2,3,4,5,6,7
	fldt	\i*16(%rdi)
	.endr
1:	dec	%rcx
	jnz	1b
	.irp	i, 7,6,5,4,3,2,1,0
	fstpt	\i*16(%rsi)
	.endr
	fnstcw	(%rdx)
	fldcw	-8(%rsp)
	ret

	# All of the 128 bytes; the lowest eight are the count.
	function storm_redzone
	.irp	i, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	lea	\i(%rsi), %rax
	mov	%rax, -\i*8(%rsp)
	.endr
	mov	%rdx, -128(%rsp)
1:	decq	-128(%rsp)
	jnz	1b
	.irp	i, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16
	mov	-\i*8(%rsp), %rax
	mov	%rax, (\i-1)*8(%rdi)
	.endr
	ret

	# From the last byte down, for an overlap.
	function storm_backwards
	mov	%rdx, %rcx
	lea	-1(%rdi,%rdx), %rdi
	lea	-1(%rsi,%rdx), %rsi
	std
	rep movsb
	cld
	ret

	# Adds one to a number of n words; the carry has to ripple through.
	function storm_carry
	mov	%rsi, %rcx
	stc
1:	adcq	$0, (%rdi)
	lea	8(%rdi), %rdi
	loop	1b
	setc	%al
	movzbl	%al, %eax
	ret
	.popsection
)");

static void (*storm)(const struct registers *, struct registers *) = storm_sse;
static size_t vector_bytes = 16;
static int masks;

static void find_vectors()
{
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx")) {
		storm = storm_avx;
		vector_bytes = 32;
	}
	if (__builtin_cpu_supports("avx512f") &&
	    __builtin_cpu_supports("avx512bw")) {
		storm = storm_avx512;
		vector_bytes = 64;
		masks = 8;
	}
}

static void all_registers(struct self &me)
{
	const uint64_t kept = 0xcd5; /* CF PF AF ZF SF DF OF */
	struct registers in, out;
	uint64_t *words = (uint64_t *)&in;
	size_t i;

	for (i = 0; i < offsetof(struct registers, flags) / 8; i++)
		words[i] = me.next();
	in.gpr[2] = me.spins();
	in.flags = (me.next() & kept) | 0x202;
	/* All exceptions masked, some of them seen; any rounding. */
	in.mxcsr = 0x1f80 | (me.next() & 0xe03f);
	memset(&out, 0, sizeof(out));
	storm(&in, &out);
	in.gpr[2] = 0;
	for (i = 0; i < 15; i++)
		if (in.gpr[i] != out.gpr[i])
			lost("gpr", "%zu is %#lx, not %#lx", i, out.gpr[i],
			     in.gpr[i]);
	for (i = 0; i < (vector_bytes == 64 ? 32 : 16); i++)
		if (memcmp(in.vector[i], out.vector[i], vector_bytes))
			lost("vector", "%zu has changed", i);
	for (i = 0; i < (size_t)masks; i++)
		if (in.mask[i] != out.mask[i])
			lost("mask", "%zu is %#lx, not %#lx", i, out.mask[i],
			     in.mask[i]);
	if ((in.flags ^ out.flags) & kept)
		lost("flags", "are %#lx, not %#lx", out.flags, in.flags);
	if ((uint32_t)in.mxcsr != (uint32_t)out.mxcsr)
		lost("mxcsr", "is %#x, not %#x", (uint32_t)out.mxcsr,
		     (uint32_t)in.mxcsr);
}

static void x87(struct self &me)
{
	static const uint16_t precision[] = { 0x000, 0x200, 0x300 };
	long double in[8], out[8];
	uint16_t control, was;
	int i;

	memset(in, 0, sizeof(in));
	memset(out, 0, sizeof(out));
	for (i = 0; i < 8; i++)
		in[i] = (long double)me.next() / 3;
	control = 0x7f | (me.next() & 0xc00) | precision[me.next() % 3];
	was = control;
	storm_x87(in, out, &control, 4 * me.spins());
	if (control != was)
		lost("x87", "control word %#x, not %#x", control, was);
	for (i = 0; i < 8; i++)
		if (memcmp(&in[i], &out[i], 10))
			lost("x87", "st(%d) is %Lg, not %Lg", 7 - i, out[i],
			     in[i]);
}

static void red_zone(struct self &me)
{
	uint64_t out[16], seed = me.next();
	unsigned i;

	storm_redzone(out, seed, 4 * me.spins());
	for (i = 0; i < 15; i++)
		if (out[i] != seed + i + 1)
			lost("red zone", "-%u(%%rsp) is %#lx, not %#lx",
			     (i + 1) * 8, out[i], seed + i + 1);
	if (out[15])
		lost("red zone", "the count ended at %#lx", out[15]);
}

static void strings(struct self &me)
{
	unsigned char *p = (unsigned char *)malloc(STRING + 1);
	unsigned first = me.next(), i;

	CHECK(p != NULL);
	for (i = 0; i < STRING; i++)
		p[i] = (unsigned char)(first + i + (i >> 8));
	storm_backwards(p + 1, p, STRING);
	for (i = 0; i < STRING; i++)
		if (p[i + 1] != (unsigned char)(first + i + (i >> 8)))
			break;
	if (i < STRING)
		lost("rep movsb", "byte %u of %d is wrong", i, STRING);
	free(p);
}

static void carries(struct self &me)
{
	uint64_t words[64];
	int i, k;

	for (i = 0; i < CARRIES; i++) {
		memset(words, 0xff, sizeof(words));
		words[63] = me.next() >> 1;
		if (storm_carry(words, 64) || words[63] != (me.state >> 1) + 1)
			lost("carry", "lost on its way");
		for (k = 0; k < 63; k++)
			if (words[k])
				lost("carry", "word %d is %#lx", k, words[k]);
	}
}

/* ---- Rounding: a mode of each thread's own, for all its turns ------------ */

static const int modes[] = { 0, 1, 2, 3 }; /* nearest, down, up, to zero */
static double sums[4];

static void set_mode(int mode)
{
	uint16_t control;

	asm volatile("fnstcw %0" : "=m"(control));
	control = (uint16_t)((control & ~0xc00) | mode << 10);
	asm volatile("fldcw %0" : : "m"(control));
	_mm_setcsr((_mm_getcsr() & ~0x6000u) | (unsigned)mode << 13);
}

static void check_mode(const struct self &me)
{
	uint16_t control;

	asm volatile("fnstcw %0" : "=m"(control));
	if ((control >> 10 & 3) != me.mode)
		lost("rounding", "x87 has %d, not %d", control >> 10 & 3,
		     me.mode);
	if ((int)(_mm_getcsr() >> 13 & 3) != me.mode)
		lost("rounding", "mxcsr has %u, not %d", _mm_getcsr() >> 13 & 3,
		     me.mode);
}

static __attribute__((noinline)) double series()
{
	volatile double one = 1;
	double sum = 0;

	for (int i = 1; i < TERMS; i++)
		sum += one / i;
	return sum;
}

static void rounding(struct self &me)
{
	double got = series();

	if (got != sums[me.mode])
		lost("rounding", "mode %d sums to %a, not %a", me.mode, got,
		     sums[me.mode]);
}

/* ---- The library's state ------------------------------------------------- */

static void holds(const unsigned char *p, size_t size, int with)
{
	for (size_t i = 0; i < size; i++)
		if (p[i] != with) {
			lost("heap", "byte %zu of %zu is %#x, not %#x", i, size,
			     p[i], with);
			return;
		}
}

static void heap(struct self &me)
{
	unsigned char *p[BLOCKS] = {};
	size_t size[BLOCKS] = {};
	int i, k, with;

	for (i = 0; i < 20 * BLOCKS; i++) {
		size_t want = 1 + me.next() % (i % 16 ? 500 : 20000);

		k = (int)(me.next() % BLOCKS);
		with = (me.number + k) & 0xff;
		if (me.next() % 2) {
			holds(p[k], size[k], with);
			free(p[k]);
			p[k] = (unsigned char *)malloc(want);
		} else {
			p[k] = (unsigned char *)realloc(p[k], want);
			holds(p[k], size[k] < want ? size[k] : want, with);
		}
		CHECK(p[k] != NULL);
		size[k] = want;
		memset(p[k], with, want);
	}
	for (k = 0; k < BLOCKS; k++) {
		holds(p[k], size[k], (me.number + k) & 0xff);
		free(p[k]);
	}
}

static FILE *sink;

/* Exact values only: the text then does not depend on the rounding. */
static void stdio(struct self &me)
{
	char line[80], want[80], *text = NULL;
	size_t size = 0, at = 0;
	FILE *own = open_memstream(&text, &size);
	int i, n;

	CHECK(own != NULL);
	for (i = 0; i < LINES; i++) {
		n = snprintf(line, sizeof(line), "%d:%s:%x:%.3f\n", me.number,
			     "text", i, i / 8.0);
		CHECK(n > 0);
		if (i % 8 == 0)
			fprintf(sink, "%d %s", i, line);
		CHECK(fputs(line, own) >= 0);
	}
	CHECK(fclose(own) == 0);
	for (i = 0; i < LINES; i++) {
		n = snprintf(want, sizeof(want), "%d:text:%x:%d.%03d\n",
			     me.number, i, i / 8, i % 8 * 125);
		if (at + n > size || memcmp(text + at, want, n)) {
			lost("stdio", "line %d is not %s", i, want);
			break;
		}
		at += n;
	}
	if (i == LINES && at != size)
		lost("stdio", "%zu bytes, not %zu", size, at);
	free(text);
}

static thread_local int alive, throws_seen;

struct guard {
	int tag;
	explicit guard(int t) : tag(t)
	{
		alive++;
	}
	~guard()
	{
		if (tag != 77)
			lost("exceptions", "a destructor ran on %d", tag);
		alive--;
	}
};

struct thrown : std::runtime_error {
	int value;
	explicit thrown(int v) : std::runtime_error("thrown"), value(v)
	{
	}
};

static __attribute__((noinline)) int falls(int depth, int value)
{
	guard g(77);

	if (depth == 0)
		throw thrown(value);
	try {
		return falls(depth - 1, value) + 1;
	} catch (const thrown &e) {
		std::string kept(e.what());

		throws_seen++;
		/* One within the handler of another, caught here. */
		try {
			throw value + depth;
		} catch (int v) {
			if (v != value + depth)
				lost("exceptions", "inner %d, not %d", v,
				     value + depth);
		}
		if (e.value != value || kept != "thrown")
			lost("exceptions", "outer %d, not %d", e.value, value);
		throw;
	}
}

static void exceptions(struct self &me)
{
	int i, caught = 0, value = (int)(me.next() % 1000);

	throws_seen = 0;
	for (i = 0; i < THROWS; i++)
		try {
			falls(DEPTH, value + i);
		} catch (const std::exception &e) {
			caught += e.what() == std::string("thrown");
		}
	if (caught != THROWS || throws_seen != THROWS * DEPTH || alive)
		lost("exceptions", "%d caught, %d on the way, %d alive", caught,
		     throws_seen, alive);
}

static thread_local struct local {
	uint64_t word[8];
	std::string name{ "of a thread, and too long to be kept inline" };
} own;

static __attribute__((noinline)) void set_errno(int v)
{
	errno = v;
}

static __attribute__((noinline)) int get_errno()
{
	return errno;
}

static void locals(struct self &me)
{
	int i, v = (int)(me.next() % 1000000) + 1;

	for (i = 0; i < 8; i++)
		own.word[i] = v + i;
	set_errno(v);
	for (i = 0; i < SPINS / 2; i++) {
		own.word[i % 8]++;
		if (get_errno() != v + i)
			break;
		set_errno(v + i + 1);
	}
	if (i < SPINS / 2)
		lost("errno", "is %d, not %d", get_errno(), v + i);
	for (i = 0; i < 8; i++)
		if (own.word[i] != (uint64_t)v + i + SPINS / 2 / 8)
			lost("thread_local", "word %d has changed", i);
	if (own.name.size() != 43)
		lost("thread_local", "the string has changed");
}

/* ---- Libraries ----------------------------------------------------------- */

static std::string library; /* with thread-locals of its own */

static void find_library()
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	CHECK(n > 0);
	library.assign(path, n);
	library.resize(library.rfind('/') + 1);
	library += "libtls_dynamic.so";
}

/* Now and then it is loaded anew, when nobody else has it open. */
static void opens(struct self &me)
{
	for (int i = 0; i < OPENS; i++) {
		int v = (int)(me.next() % 1000000);
		void *lib = dlopen(library.c_str(), RTLD_NOW), *set, *is;

		if (!lib)
			check_fail(__FILE__, __LINE__, "%s", dlerror());
		set = dlsym(lib, "dynamic_set");
		is = dlsym(lib, "dynamic_is");
		CHECK(set != NULL && is != NULL);
		CHECK(dlsym(lib, "no such name") == NULL);
		if (!strstr(dlerror(), "no such name"))
			lost("dlerror", "is another thread's");
		((void (*)(int))set)(v);
		series();
		if (!((int (*)(int))is)(v))
			lost("dlopen", "its thread-locals have changed");
		CHECK(dlclose(lib) == 0);
	}
}

static void resolves(struct self &me)
{
	struct addrinfo hints = {}, *all = NULL, *a;
	char port[8];
	int err, good = 0, want = 1 + (int)(me.next() % 60000);

	snprintf(port, sizeof(port), "%d", want);
	hints.ai_family = AF_INET;
	hints.ai_socktype = SOCK_STREAM;
	err = getaddrinfo("localhost", port, &hints, &all);
	if (err)
		check_fail(__FILE__, __LINE__, "localhost: %s",
			   gai_strerror(err));
	for (a = all; a; a = a->ai_next) {
		struct sockaddr_in *in = (struct sockaddr_in *)a->ai_addr;

		good += in->sin_addr.s_addr == htonl(INADDR_LOOPBACK) &&
			ntohs(in->sin_port) == want;
	}
	if (!good)
		lost("getaddrinfo", "localhost is somewhere else");
	freeaddrinfo(all);
}

/* ---- The threads --------------------------------------------------------- */

static void (*const kinds[])(struct self &) = {
	all_registers, x87,  red_zone, strings, carries,    all_registers,
	rounding,      heap, stdio,    locals,	exceptions, opens,
	resolves,
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long turns = TURNS, done;
static int inside;

/* Leaves the processor, and often comes back on another. */
static void leaves(struct self &me)
{
	struct timespec t = { 0, (long)(me.next() % 200000) };

	switch (me.next() % 3) {
	case 0:
		sched_yield();
		break;
	case 1:
		CHECK(nanosleep(&t, NULL) == 0);
		break;
	case 2:
		pthread_mutex_lock(&mutex);
		inside = me.number;
		series();
		if (inside != me.number)
			lost("mutex", "two threads inside");
		pthread_mutex_unlock(&mutex);
		break;
	}
}

static void *computes(void *arg)
{
	struct self me;
	long i;

	me.number = (int)(long)arg;
	me.state = 0x9e3779b97f4a7c15ull * (me.number + 1);
	me.mode = modes[me.number % 4];
	set_mode(me.mode);
	for (i = 0; i < turns; i++) {
		kinds[(me.number + i) % KINDS](me);
		check_mode(me);
		if (me.next() % LEAVES == 0) {
			leaves(me);
			check_mode(me);
		}
	}
	pthread_mutex_lock(&mutex);
	done += turns;
	pthread_mutex_unlock(&mutex);
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = THREADS, i;
	pthread_t *t;

	if (argc > 1)
		turns = atol(argv[1]);
	if (argc > 2)
		threads = atoi(argv[2]);
	CHECK(turns > 0 && threads > 0);
	t = (pthread_t *)calloc(threads, sizeof(*t));
	sink = fopen("/dev/null", "w");
	CHECK(t != NULL && sink != NULL);
	find_vectors();
	find_library();
	for (i = 0; i < 4; i++) {
		set_mode(modes[i]);
		sums[i] = series();
	}
	set_mode(modes[0]);
	/* Or the check could not tell one mode from another. */
	CHECK(sums[1] < sums[0] && sums[0] < sums[2]);
	section("storm");
	for (i = 0; i < threads; i++)
		t[i] = start_small(computes, (void *)(long)i);
	for (i = 0; i < threads; i++)
		join(t[i]);
	CHECK_EQ(done, turns * threads);
	printf("%ld turns, %d errors\n", done, errors);
	free(t);
	return errors != 0;
}
