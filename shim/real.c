/* real.c - resolves interpose.def once. */
#include "shim/real.h"
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

struct real real_;
const char *realmissing;

static const struct {
	const char *name, *version;
	size_t offset;
} rows[] = {
#define SYM(name, version, kind) { #name, version, offsetof(struct real, name) },
#define ALIAS(name, of)
#include "shim/interpose.def"
#undef SYM
#undef ALIAS
};

static const struct {
	const char *name;
	size_t offset;
} names[] = {
#define SYM(name, version, kind) { #name, offsetof(struct real, name) },
#define ALIAS(alias, of) { #alias, offsetof(struct real, of) },
#include "shim/interpose.def"
#undef SYM
#undef ALIAS
};

void *realnamed(const char *name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i].name, name))
			return *(void **)((char *)&real_ + names[i].offset);
	return NULL;
}

void realinit(void)
{
	/* dlsym itself is one of them: ours would come back here */
	__typeof__(dlsym) *find = (__typeof__(dlsym) *)dlvsym(
		RTLD_NEXT, "dlsym", "GLIBC_2.2.5");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		void *f = rows[i].version ?
				  dlvsym(RTLD_NEXT, rows[i].name,
					 rows[i].version) :
				  find(RTLD_NEXT, rows[i].name);

		if (!f && !realmissing)
			realmissing = rows[i].name;
		*(void **)((char *)&real_ + rows[i].offset) = f;
	}
	__atomic_store_n(&real_.resolved, 1, __ATOMIC_RELEASE);
}
