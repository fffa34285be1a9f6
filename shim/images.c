/* images.c - the initial values of thread-locals at fixed places, of all libraries but libc
 * and this one, whose record of a thread pthread_create fills in.
 *
 * An identity that is used again gets them anew, while others open and close libraries.
 * So: a list of what to copy where is never changed, and has the images in it, since a
 * library is unmapped before the loader's generation, by which a list is known to be old,
 * says so. Who has copied looks at the generation again, and starts over if it has changed:
 * then what a library that has gone had there was overwritten in turn. One that comes is
 * written by the loader to all threads after the generation, so also to this one.
 * Lists are not freed, as others may read them; one like the new is used again, so that a
 * library that comes and goes costs one.
 * Order: current before scanned, both release; readers acquire scanned first.
 */
#include "shim/identity.h"
#include "shim/real.h"
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

struct module {
	ptrdiff_t offset; /* of the block, from the thread pointer */
	size_t filesz, memsz;
	size_t image; /* from the list's beginning */
};

struct list {
	struct list *next;
	size_t size; /* of modules and images */
	size_t n;
	bool dynamic; /* another library has some at no fixed place */
	struct module modules[];
};

static struct {
	pthread_mutex_t lock; /* libc's: an identity is made in between */
	struct list *all;
	struct list *current;
	size_t scanned;
	const size_t *generation;
	size_t tlssize;
	uint32_t mapoffset; /* of the offset, in struct link_map */
	void *libc, *own;
	const struct r_debug *debug; /* looked up before: that takes the loader's lock */
} images = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The static TLS offset of the module loaded at base: the block is at tp - offset.
 * 0: it has none, or its TLS is dynamic. */
static size_t offsetof_(ElfW(Addr) base, const char *name)
{
	struct link_map *l = images.debug ? images.debug->r_map : NULL;

	for (; l; l = l->l_next)
		if (l->l_addr == base &&
		    (!name || !*name || !strcmp(l->l_name, name))) {
			size_t off = *(size_t *)((char *)l + images.mapoffset);

			return off + 1 <= 1 ? 0 : off; /* 0 none, -1 dynamic */
		}
	return 0;
}

/* What there is to copy: counted at first, then written to `to`. */
struct scan {
	struct list *to;
	size_t n, bytes;
	bool dynamic;
};

static int scanobject(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct scan *s = arg;

	(void)size;
	if ((void *)info->dlpi_addr == images.libc || /* kept warm */
	    (void *)info->dlpi_addr == images.own)
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		size_t off;

		if (ph->p_type != PT_TLS)
			continue;
		off = offsetof_(info->dlpi_addr, info->dlpi_name);
		if (!off || off > images.tlssize) {
			s->dynamic = true;
			continue;
		}
		if (s->to && s->n < s->to->n) {
			struct module *m = &s->to->modules[s->n];

			m->offset = -(ptrdiff_t)off;
			m->filesz = ph->p_filesz;
			m->memsz = ph->p_memsz;
			m->image = s->bytes;
			if (s->bytes + m->filesz <= s->to->size)
				memcpy((char *)s->to + s->bytes,
				       (void *)(info->dlpi_addr + ph->p_vaddr),
				       m->filesz);
		}
		s->n++;
		s->bytes += ph->p_filesz;
	}
	return 0;
}

static size_t headsize(size_t n)
{
	return sizeof(struct list) + n * sizeof(struct module);
}

/* The list of what is loaded; NULL: no memory, or it changed meanwhile. */
static struct list *listnow(void)
{
	struct scan count = { .n = 0 }, s;
	struct list *l;

	dl_iterate_phdr(scanobject, &count);
	l = calloc(1, headsize(count.n) + count.bytes);
	if (!l)
		return NULL;
	l->n = count.n;
	l->size = headsize(count.n) + count.bytes;
	s = (struct scan){ .to = l, .bytes = headsize(count.n) };
	dl_iterate_phdr(scanobject, &s);
	l->dynamic = s.dynamic;
	if (s.n != l->n || s.bytes != l->size) {
		free(l);
		return NULL;
	}
	return l;
}

static bool alike(const struct list *a, const struct list *b)
{
	return a->n == b->n && a->size == b->size && a->dynamic == b->dynamic &&
	       !memcmp(a->modules, b->modules, a->size - sizeof(*a));
}

static bool rescan(void)
{
	size_t generation = __atomic_load_n(images.generation, __ATOMIC_ACQUIRE);
	struct list *l = listnow(), *old = images.all;

	if (!l)
		return false;
	while (old && !alike(old, l))
		old = old->next;
	if (old) {
		free(l);
		l = old;
	} else {
		l->next = images.all;
		images.all = l;
	}
	__atomic_store_n(&images.current, l, __ATOMIC_RELEASE);
	__atomic_store_n(&images.scanned, generation, __ATOMIC_RELEASE);
	return true;
}

const char *imagesinit(const size_t *generation, size_t tlssize,
		       uint32_t mapoffset, const void *own)
{
	Dl_info dl;

	images.generation = generation;
	images.tlssize = tlssize;
	images.mapoffset = mapoffset;
	if (!dladdr((void *)REAL(pthread_create), &dl))
		return "it is in no object";
	images.libc = dl.dli_fbase;
	images.own = dladdr(own, &dl) ? dl.dli_fbase : NULL;
	images.debug = dlsym(RTLD_DEFAULT, "_r_debug");
	return rescan() ? NULL : "its objects with thread-locals change";
}

/* The list for the generation, which is told. */
static const struct list *upto(size_t *generation)
{
	while ((*generation = __atomic_load_n(images.generation,
					      __ATOMIC_ACQUIRE)) !=
	       __atomic_load_n(&images.scanned, __ATOMIC_ACQUIRE)) {
		REAL(pthread_mutex_lock)(&images.lock);
		rescan();
		REAL(pthread_mutex_unlock)(&images.lock);
	}
	return __atomic_load_n(&images.current, __ATOMIC_ACQUIRE);
}

bool imagescopy(uintptr_t fs)
{
	const struct list *l;
	size_t generation;

	do {
		l = upto(&generation);

		for (size_t i = 0; i < l->n; i++) {
			const struct module *m = &l->modules[i];
			char *block = (char *)fs + m->offset;

			memcpy(block, (const char *)l + m->image, m->filesz);
			memset(block + m->filesz, 0, m->memsz - m->filesz);
		}
	} while (__atomic_load_n(images.generation, __ATOMIC_ACQUIRE) !=
		 generation);
	return l->dynamic;
}

void imagesfork(void)
{
	images.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}
