/*
 * programs.h - what the tests of the library as a whole share, beside run.h:
 * where the programs of test/posix are, runs that have to end well, and what
 * they said.
 */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <stddef.h>

#include "run.h"

/* Fails, or skips the test, if there is none. */
void need_library(void);
void program_path(char *path, size_t size, const char *name);

/* A program by its path, with one argument or none. */
void run_program(const char *path, const char *arg, double limit, int preload,
		 const char *const *env, struct result *res);

/* The same by its name; and any command.  They have to end with exit 0. */
void ends_well(const char *name, const char *arg, double limit, int preload,
	       const char *const *env, struct result *res);
void command_ends_well(const struct run *r, struct result *res);

int lines(const char *text);
/* All that stands on stderr is one line, in which this stands. */
void one_line(const struct result *res, const char *with);

/* stderr without the settings that the library lists when it is verbose. */
const char *complaints(const char *err);

#endif
