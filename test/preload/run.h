/*
 * run.h - running a program from a test: with a time limit, its output kept,
 * natively or under the library, and with a report of where it stands when it
 * does not end.
 */
#ifndef RUN_H
#define RUN_H

/* Where things are; the environment is asked first: BUILD_DIR and SRC_DIR. */
const char *build_dir(void);
const char *source_dir(void);
/* GMP_SHIM_LIB, else the one in the build directory. */
const char *library(void);

struct run {
	const char *const *argv;
	const char *const *env; /* NAME=value, added; NULL ends */
	int preload;		/* whether the library goes into it */
	double limit;		/* seconds */
};

struct result {
	int status; /* as waitpid gives it */
	int hung;   /* over the limit: reported, then killed */
	char *out, *err;
	double seconds;
};

/*
 * Runs it in a process group of its own, which is gone when this returns.
 * GMP_SHIM and GMP_SHIM_* of our own environment do not reach it.
 */
void run(const struct run *r, struct result *res);
void result_free(struct result *res);

/* "exit 3", "signal 11 (Segmentation fault)", "hang (limit 30 s)" */
const char *ended(const struct result *res, char *buf, int size);

/* The last lines of a text, for a failure's message. */
const char *tail(const char *text, int lines);

#endif
