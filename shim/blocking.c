/* blocking.c - GMP_SHIM_BLOCKING: functions of any library for which the P does not wait.
 *
 * The setting names functions with their signatures. Each gets a closure of libffi's,
 * made for that signature, which calls the real function between entersyscall and
 * exitsyscall; loader.c makes the program's references lead to it. The signature has to
 * be given because the call must come back here: a jump would do without, but arguments
 * that are on the stack lie above a return address that is not ours.
 *
 * libffi is looked for at run time, and only if there is an entry.
 */
#include "shim/blocking.h"
#include "shim/shim.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "GMP_SHIM_BLOCKING"

struct blocking *blockings;

/* ---- the setting --------------------------------------------------------- */

static const struct {
	char letter;
	const char *type; /* libffi's name for it */
} types[] = {
	{ 'v', "ffi_type_void" },   { 'p', "ffi_type_pointer" },
	{ 'b', "ffi_type_sint8" },  { 'B', "ffi_type_uint8" },
	{ 'h', "ffi_type_sint16" }, { 'H', "ffi_type_uint16" },
	{ 'i', "ffi_type_sint32" }, { 'I', "ffi_type_uint32" },
	{ 'l', "ffi_type_sint64" }, { 'L', "ffi_type_uint64" },
	{ 'f', "ffi_type_float" },  { 'd', "ffi_type_double" },
	{ 'D', "ffi_type_longdouble" },
};
#define LETTERS "b B h H i I l L f d D p"

static const char *typename(char letter)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].letter == letter)
			return types[i].type;
	return NULL;
}

/* The value, and in it what the parser has not yet read of one entry. */
struct text {
	char *all, *at, *end;
};

/* One line: where, what was found there, what would be right. */
static bool refuse(const struct text *t, const char *right)
{
	unsigned line = 1, column = 1;
	char found[32];

	for (const char *s = t->all; s < t->at; s++) {
		column++;
		if (*s == '\n')
			line++, column = 1;
	}
	if (t->at == t->end)
		strcpy(found, "the end of the entry");
	else if (*t->at > ' ' && *t->at < 0x7f)
		snprintf(found, sizeof(found), "'%c'", *t->at);
	else
		snprintf(found, sizeof(found), "the byte 0x%02x",
			 (unsigned char)*t->at);
	print("gmp_shim: " NAME ", line %u, column %u: %s is not accepted "
	      "(%s); this entry is left out\n",
	      line, column, found, right);
	return false;
}

static char peek(struct text *t)
{
	while (t->at < t->end && strchr(" \t\r", *t->at))
		t->at++;
	return t->at < t->end ? *t->at : 0;
}

/* The next characters up to a blank or one of those; its end is for the caller to mark. */
static char *word(struct text *t, const char *stop, char **end)
{
	char *s;

	peek(t);
	s = t->at;
	while (t->at < t->end && *t->at > ' ' && !strchr(stop, *t->at))
		t->at++;
	*end = t->at;
	return s == t->at ? NULL : s;
}

static bool letter(struct text *t, char *to)
{
	if (!peek(t) || !typename(*t->at))
		return false;
	*to = *t->at++;
	return true;
}

static bool arguments(struct text *t, struct blocking *b)
{
	for (; peek(t) != ')'; b->nargs++) {
		if (peek(t) == '.')
			return refuse(t, "a variadic function cannot be "
					 "served: the callee alone knows its "
					 "arguments");
		if (b->nargs == BLOCKING_ARGS)
			return refuse(t, "')' after 32 arguments at most");
		if (peek(t) == 'v' || !letter(t, &b->letters[1 + b->nargs]))
			return refuse(t, "an argument is one of " LETTERS
					 ", and ')' ends them");
	}
	t->at++;
	return true;
}

static struct blocking *named(const char *lib, const char *func)
{
	for (struct blocking *b = blockings; b; b = b->next)
		if (!strcmp(b->lib, lib) && !strcmp(b->func, func))
			return b;
	return NULL;
}

/* library:function(arguments)result */
static bool entry(struct text *t, struct blocking *b)
{
	char *end, *start;

	b->lib = word(t, ":/()", &end);
	if (!b->lib)
		return refuse(t, "an entry begins with a library's name without "
				 "its folder, as libpq.so.5");
	if (peek(t) != ':')
		return refuse(t, "':' follows the library's name, which has no "
				 "folder");
	t->at++;
	*end = 0;
	peek(t);
	start = t->at;
	b->func = word(t, ":/()", &end);
	if (!b->func)
		return refuse(t, "a function's name follows ':'");
	if (peek(t) != '(')
		return refuse(t, "'(' follows the function's name");
	t->at++;
	*end = 0;
	if (!arguments(t, b))
		return false;
	if (!letter(t, &b->letters[0]))
		return refuse(t, "the result is one of v " LETTERS);
	if (peek(t))
		return refuse(t, "';' or a new line ends the entry");
	t->at = start;
	if (named(b->lib, b->func))
		return refuse(t, "a function is named once");
	return true;
}

static void parse(char *all)
{
	struct blocking **last = &blockings;
	struct blocking *b = calloc(1, sizeof(*b));
	char *next;

	for (char *s = all; b && s; s = next) {
		struct text t = { all, s, s + strcspn(s, ";\n") };

		next = *t.end ? t.end + 1 : NULL;
		if (!peek(&t))
			continue; /* two separators, or one at the end */
		if (entry(&t, b)) {
			*last = b;
			last = &b->next;
			b = calloc(1, sizeof(*b));
		} else {
			memset(b, 0, sizeof(*b));
		}
	}
	free(b);
}

/* ---- libffi -------------------------------------------------------------- */

#define FFI "libffi.so.8"

static struct {
	__typeof__(ffi_prep_cif) *prep_cif;
	__typeof__(ffi_call) *call;
	__typeof__(ffi_closure_alloc) *closure_alloc;
	__typeof__(ffi_prep_closure_loc) *prep_closure_loc;
} ffi;

static bool ffiload(void)
{
	void *lib = REAL(dlopen)(FFI, RTLD_NOW | RTLD_LOCAL);
	const struct {
		const char *name;
		void *to;
	} names[] = {
		{ "ffi_prep_cif", &ffi.prep_cif },
		{ "ffi_call", &ffi.call },
		{ "ffi_closure_alloc", &ffi.closure_alloc },
		{ "ffi_prep_closure_loc", &ffi.prep_closure_loc },
	};

	for (int i = 0; lib && i < 4; i++)
		if (!(*(void **)names[i].to = REAL(dlsym)(lib, names[i].name)))
			lib = NULL;
	for (struct blocking *b = blockings; lib && b; b = b->next) {
		for (uint32_t i = 0; lib && i <= b->nargs; i++)
			if (!(b->types[i] = REAL(dlsym)(
				      lib, typename(b->letters[i]))))
				lib = NULL;
		if (lib && ffi.prep_cif(&b->cif, FFI_DEFAULT_ABI, b->nargs,
					b->types[0], b->types + 1) != FFI_OK)
			return false; /* no signature of scalars fails */
	}
	if (!lib)
		print("gmp_shim: " NAME " has no effect: %s\n", dlerror());
	return lib != NULL;
}

/* ---- the code that is called --------------------------------------------- */

/* One function of one entry: a library may have it in several versions. */
struct bound {
	struct bound *next;
	void *real, *code;
	uint64_t calls; /* that left their P */
};

static pthread_mutex_t bindlock = PTHREAD_MUTEX_INITIALIZER;

static void leave(bool *entered)
{
	if (*entered)
		exitsyscall();
}

/* The call from inside another, without a P, or from the child of a vfork is plain.
 * An exception leaves through leave(). */
static void closure(ffi_cif *cif, void *ret, void **args, void *arg)
{
	struct bound *d = arg;
	bool entered __attribute__((cleanup(leave))) = ong() && entersyscall();

	if (entered)
		__atomic_fetch_add(&d->calls, 1, __ATOMIC_RELAXED);
	ffi.call(cif, FFI_FN(d->real), ret, args);
}

static struct bound *boundof(struct blocking *b, void *real)
{
	/* acquire: pairs with bind */
	struct bound *d = __atomic_load_n(&b->bound, __ATOMIC_ACQUIRE);

	while (d && d->real != real)
		d = d->next;
	return d;
}

bool isblockingcode(struct blocking *b, void *code)
{
	struct bound *d = __atomic_load_n(&b->bound, __ATOMIC_ACQUIRE);

	while (d && d->code != code)
		d = d->next;
	return d != NULL;
}

/* Holds bindlock. */
static struct bound *bindcall(struct blocking *b, void *real)
{
	static bool said;
	struct bound *d = malloc(sizeof(*d));
	ffi_closure *c;

	if (!d)
		return NULL;
	*d = (struct bound){ .next = b->bound, .real = real };
	c = ffi.closure_alloc(sizeof(*c), &d->code);
	if (!c ||
	    ffi.prep_closure_loc(c, &b->cif, closure, d, d->code) != FFI_OK) {
		if (!said)
			print("gmp_shim: " NAME " has no effect: the system "
			      "allows libffi no memory for code\n");
		said = true;
		free(d);
		return NULL;
	}
	/* release: a reader without the lock finds it whole */
	__atomic_store_n(&b->bound, d, __ATOMIC_RELEASE);
	return d;
}

void *blockingcode(struct blocking *b, void *real)
{
	struct bound *d = boundof(b, real);

	if (!d) {
		pthread_mutex_lock(&bindlock);
		d = boundof(b, real);
		if (!d)
			d = bindcall(b, real);
		pthread_mutex_unlock(&bindlock);
	}
	return d ? d->code : NULL;
}

/* ---- life ---------------------------------------------------------------- */

void blockinginit(void)
{
	char *text = options.blocking ? strdup(options.blocking) : NULL;

	if (!text)
		return;
	parse(text);
	if (!blockings)
		free(text);
	else if (!ffiload())
		blockings = NULL;
	else
		loaderpatch();
}

void blockingfork(void)
{
	bindlock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

void blockingreport(void (*say)(const char *line))
{
	for (struct blocking *b = blockings; b; b = b->next) {
		uint64_t calls = 0;
		char line[512], unclear[64] = "";

		for (struct bound *d = b->bound; d; d = d->next)
			calls += __atomic_load_n(&d->calls, __ATOMIC_RELAXED);
		if (b->nunclear)
			snprintf(unclear, sizeof(unclear),
				 " (unclear and left alone: %u)", b->nunclear);
		if (b->nrefs)
			snprintf(line, sizeof(line),
				 NAME " %s:%s: references bound: %u%s, "
				      "calls that left their P: %lu",
				 b->lib, b->func, b->nrefs, unclear,
				 (unsigned long)calls);
		else
			snprintf(line, sizeof(line),
				 NAME " %s:%s: not bound: %s", b->lib, b->func,
				 loaderwhynot(b));
		say(line);
	}
}
