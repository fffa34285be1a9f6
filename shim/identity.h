/* identity.h - hand-made glibc thread identities: the hooks that core calls. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "core/core.h"

/* Find out how this C library lays a thread out. NULL, or the reason why the shim
 * cannot make identities here. identitynames only looks for what must be there, when
 * the library is loaded; identityinit, on the process's first thread and before any
 * other function here, starts and joins one real thread to confirm it. The thread-locals
 * of the object that own is in are the caller's to set when an identity is used again. */
const char *identitynames(void);
const char *identityinit(const void *own);
uintptr_t identity_new(uintptr_t lo, uintptr_t *hi);
void identity_reset(uintptr_t fs);
/* The initial values of thread-locals at fixed places, as the loader says at this
 * generation (images.c): NULL or a reason; copied for thread fs, which says whether
 * others have places of their own in each thread; in a fork child. */
const char *imagesinit(const size_t *generation, size_t tlssize,
		       uint32_t mapoffset, const void *own);
bool imagescopy(uintptr_t fs);
void imagesfork(void);
/* The thread's number: unique and constant, recursive locks in libc compare it. */
void identity_number(uintptr_t fs, uint32_t tid);
int identity_tid(uintptr_t fs);
void identity_mstate(uintptr_t from, uintptr_t to);
/* The caller is about to fork; in the child: the rseq area of the kernel thread that
 * forked is dropped. */
void identity_forks(void);
void identity_fork(uintptr_t mtp);
/* The calling thread's key destructors, up to four rounds. */
void identity_keys(void);
/* The calling thread's cancellation word in its TCB, and that of thread fs. */
uint32_t *identity_cancel(uintptr_t fs);
/* The calling thread's number in its TCB is the kernel's, and the kernel knows its
 * robust list, between these two (for libc's robust, PI and shared mutexes). */
void identity_wire(int tid);
void identity_unwire(uintptr_t mtp);
/* The calling thread ends: its robust mutexes are EOWNERDEAD for the next. */
void identity_robust(void);

#endif
