/*
 * storm.h - a process that sends the test's a signal which the program ignores, to each of
 * the kernel's threads, as fast as it goes.
 */
#ifndef STORM_H
#define STORM_H

#include "check.h"
#include <dirent.h>
#include <sys/syscall.h>

static UNUSED void sends_signals(pid_t to)
{
	char path[40];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)to);
	while ((d = opendir(path)) != NULL) {
		while ((e = readdir(d)) != NULL)
			if (e->d_name[0] != '.')
				syscall(SYS_tgkill, to, atoi(e->d_name),
					SIGURG);
		closedir(d);
	}
	_exit(0); /* the test is no more */
}

static UNUSED pid_t begin_storm(void)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0)
		sends_signals(getppid());
	return child;
}

static UNUSED void end_storm(pid_t child)
{
	CHECK(kill(child, SIGKILL) == 0);
	CHECK_EQ(waitpid(child, NULL, 0), child);
}

#endif
