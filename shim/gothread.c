/* gothread.c - whether a thread is one of a Go run-time's.
 *
 * By where its start routine lies: Go's linker leaves a note in what it makes. The last
 * few objects that threads began in are remembered.
 */
#include "shim/shim.h"
#include <link.h>

struct object {
	uintptr_t pc, lo, hi;
	bool go;
};

/* The linker of Go leaves a note named "Go", type 4, in what it makes. */
static bool hasgonote(const struct dl_phdr_info *info)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		const ElfW(Nhdr) *n;
		uintptr_t at = info->dlpi_addr + ph->p_vaddr;
		uintptr_t end = at + ph->p_memsz;

		if (ph->p_type != PT_NOTE)
			continue;
		for (; at + sizeof(*n) <= end;
		     at += sizeof(*n) + ((n->n_namesz + 3) & -4u) +
			   ((n->n_descsz + 3) & -4u)) {
			n = (const ElfW(Nhdr) *)at;
			if (n->n_type == 4 && n->n_namesz == 4 &&
			    !memcmp(n + 1, "Go\0", 4))
				return true;
		}
	}
	return false;
}

static int lookup(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct object *o = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD || o->pc < lo ||
		    o->pc >= lo + ph->p_memsz)
			continue;
		o->lo = lo;
		o->hi = lo + ph->p_memsz;
		o->go = hasgonote(info);
		return 1;
	}
	return 0;
}

/* The threads of a Go run-time must not move from kernel thread to kernel thread: it
 * keeps them by number and stack. Nor must any that calls into it, and that we do not
 * see: from the first Go thread on all threads are native ones. */
static bool goseen;

static void sawgo(void)
{
	if (__atomic_exchange_n(&goseen, true, __ATOMIC_ACQ_REL))
		return;
	print("gmp_shim: there is a Go run-time in %s: threads run natively "
	      "from here on\n",
	      program_invocation_short_name);
	if (schedstarted)
		gallnative();
}

bool gothread(void *(*fn)(void *))
{
	static struct object seen[8]; /* those that threads began in; hi last */
	static uint32_t n;
	struct object o = { .pc = (uintptr_t)fn };
	uint32_t at;

	if (__atomic_load_n(&goseen, __ATOMIC_ACQUIRE))
		return true;
	for (uint32_t i = 0; i < 8; i++) {
		uintptr_t hi = __atomic_load_n(&seen[i].hi, __ATOMIC_ACQUIRE);

		if (o.pc >= seen[i].lo && o.pc < hi)
			return false;
	}
	if (!dl_iterate_phdr(lookup, &o))
		return false;
	at = o.go ? 8 : __atomic_fetch_add(&n, 1, __ATOMIC_RELAXED);
	if (at < 8) {
		seen[at].lo = o.lo;
		__atomic_store_n(&seen[at].hi, o.hi, __ATOMIC_RELEASE);
	}
	if (o.go)
		sawgo();
	return o.go;
}
