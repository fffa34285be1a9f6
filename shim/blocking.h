/* blocking.h - between blocking.c, which reads GMP_SHIM_BLOCKING and makes the code that
 * is called instead, and loader.c, which puts it where the program finds it. */
#ifndef BLOCKING_H
#define BLOCKING_H

#include <ffi.h>
#include <stdbool.h>
#include <stdint.h>

#define BLOCKING_ARGS 32

/* An entry of the setting: a function of a library. */
struct blocking {
	struct blocking *next;
	const char *lib, *func;
	struct bound *bound;	/* the newest first; load_acquire, no lock */
	uint32_t nrefs;		/* references that lead to our code */
	uint32_t nunclear;	/* that cannot: several libraries have the name */
	uint32_t nargs;
	char letters[1 + BLOCKING_ARGS]; /* the result's, then the arguments' */
	ffi_cif cif;
	ffi_type *types[1 + BLOCKING_ARGS];
};

/* All of them; none before our constructor, or where they cannot be served. */
extern struct blocking *blockings __attribute__((visibility("hidden")));

/* The code to call instead of b's function at real; NULL: there is no memory for
 * code, which has been said. Any thread. */
void *blockingcode(struct blocking *b, void *real);
/* blockingcode has returned that for b. */
bool isblockingcode(struct blocking *b, void *code);

/* Look at every object: its references to those functions lead to our code. */
void loaderpatch(void);
/* Why nothing refers to b, for the report. */
const char *loaderwhynot(struct blocking *b);

#endif
